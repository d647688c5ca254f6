// Boxes: overlaps, and non-maximum suppression in rounds. A round settles the next 256 boxes in their order, within one
// block, and then strikes what those that stay cover among all later ones.
#include "cuda/launch.h"
#include "kernels/detect.h"
#include "kernels/detect_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kBoxThreads = 256;
constexpr char kNms[] = "nms";

template <class T>
struct Overlaps {
  static constexpr int kThreads = kBoxThreads;
  static constexpr bool kCollective = false;
  const T *a, *b;
  std::int64_t n, m;
  T* out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global() / m, j = t.global() - i * m;
    if (i >= n) return;
    const Box p = box_of(a + 4 * i), q = box_of(b + 4 * j);
    out[t.global()] = static_cast<T>(overlap(p.x1, p.y1, p.x2, p.y2, p.area, q.x1, q.y1, q.x2, q.y2, q.area));
  }
};
template <class T>
void iou(const void* a, std::int64_t n, const void* b, std::int64_t m, void* out) {
  launch("iou", grid_for(n * m, kBoxThreads),
         Overlaps<T>{static_cast<const T*>(a), static_cast<const T*>(b), n, m, static_cast<T*>(out)});
}

// The boxes in their order, a coordinate to a row of `work`, areas and classes beside them.
struct Ordered {
  double* work;
  std::int64_t n;
  double threshold;

  LAMINA_INLINE double& field(int which, std::int64_t i) const { return work[which * n + i]; }
  LAMINA_INLINE bool covers(std::int64_t i, std::int64_t j) const {
    if (field(5, i) != field(5, j)) return false;
    const double same = overlap(field(0, i), field(1, i), field(2, i), field(3, i), field(4, i), field(0, j),
                                field(1, j), field(2, j), field(3, j), field(4, j));
    return same > threshold;
  }
};

template <class T>
struct PutInOrder {
  static constexpr int kThreads = kBoxThreads;
  static constexpr bool kCollective = false;
  const T* boxes;
  const std::int64_t *order, *classes;
  Ordered to;
  std::uint8_t* kept;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= to.n) return;
    const Box b = box_of(boxes + 4 * order[i]);
    to.field(0, i) = b.x1, to.field(1, i) = b.y1, to.field(2, i) = b.x2, to.field(3, i) = b.y2, to.field(4, i) = b.area;
    to.field(5, i) = classes ? static_cast<double>(classes[order[i]]) : 0;
    kept[i] = 1;
  }
};

struct Settle {
  static constexpr int kThreads = kBoxThreads;
  static constexpr bool kCollective = true;
  struct Shared {
    bool stays[kBoxThreads];
  };
  Ordered boxes;
  std::int64_t first;
  std::uint8_t* kept;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    auto& stays = t.shared<Settle>().stays;
    const int n = static_cast<int>(boxes.n - first < kThreads ? boxes.n - first : kThreads), me = t.thread();
    if (me < n) stays[me] = kept[first + me];
    t.sync();
    for (int i = 0; i + 1 < n; ++i) {
      if (me > i && me < n && stays[i] && stays[me] && boxes.covers(first + i, first + me)) stays[me] = false;
      t.sync();
    }
    if (me < n) kept[first + me] = stays[me];
  }
};

struct Strike {
  static constexpr int kThreads = kBoxThreads;
  static constexpr bool kCollective = false;
  Ordered boxes;
  std::int64_t first, settled;  // those from `first` on to `settled` strike those from there on
  std::uint8_t* kept;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t j = settled + t.global();
    if (j >= boxes.n || !kept[j]) return;
    for (std::int64_t i = first; i < settled; ++i)
      if (kept[i] && boxes.covers(i, j)) {
        kept[j] = 0;
        return;
      }
  }
};

template <class T>
void nms(const void* boxes, const std::int64_t* order, const std::int64_t* classes, std::int64_t n, double threshold,
         double* work, std::uint8_t* kept) {
  const Ordered all{work, n, threshold};
  launch(kNms, grid_for(n, kBoxThreads), PutInOrder<T>{static_cast<const T*>(boxes), order, classes, all, kept});
  for (std::int64_t first = 0; first < n; first += kBoxThreads) {
    launch(kNms, {}, Settle{all, first, kept});
    const std::int64_t settled = first + kBoxThreads;
    if (settled < n) launch(kNms, grid_for(n - settled, kBoxThreads), Strike{all, first, settled, kept});
  }
}

template <class T>
void fill(DetectTable& t, DType type) {
  t.iou[static_cast<int>(type)] = iou<T>;
  t.nms[static_cast<int>(type)] = nms<T>;
}

}  // namespace

void fill_detect(DetectTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
