#include "kernels/detect.h"

#include "core/parallel.h"
#include "kernels/detect_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kPairs = 16384;  // that one thread takes at once

template <class T>
void iou(const void* left, std::int64_t n, const void* right, std::int64_t m, void* out) {
  const auto *a = static_cast<const T*>(left), *b = static_cast<const T*>(right);
  parallel_for(n, kPairs / m + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Box p = box_of(a + 4 * i);
      for (std::int64_t j = 0; j < m; ++j) {
        const Box q = box_of(b + 4 * j);
        static_cast<T*>(out)[i * m + j] =
            static_cast<T>(overlap(p.x1, p.y1, p.x2, p.y2, p.area, q.x1, q.y1, q.x2, q.y2, q.area));
      }
    }
  });
}

// The boxes in their order, a coordinate to a row, areas and classes beside them: those after a box that stays are then
// compared with it a vector at a time.
template <class T>
void nms(const void* boxes, const std::int64_t* order, const std::int64_t* classes, std::int64_t n, double threshold,
         double* work, std::uint8_t* kept) {
  using V = Vec<double>;
  constexpr int W = V::width;
  double *x1 = work, *y1 = x1 + n, *x2 = y1 + n, *y2 = x2 + n, *area = y2 + n, *group = area + n;
  for (std::int64_t i = 0; i < n; ++i) {
    const Box b = box_of(static_cast<const T*>(boxes) + 4 * order[i]);
    x1[i] = b.x1, y1[i] = b.y1, x2[i] = b.x2, y2[i] = b.y2, area[i] = b.area;
    group[i] = classes ? static_cast<double>(classes[order[i]]) : 0;
    kept[i] = 1;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    if (!kept[i]) continue;
    const V a1(x1[i]), b1(y1[i]), a2(x2[i]), b2(y2[i]), own(area[i]), alike(group[i]), most(threshold);
    parallel_for(n - i - 1, kPairs, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = i + 1 + begin; j < i + 1 + end; j += W) {
        const int lanes = static_cast<int>(i + 1 + end - j < W ? i + 1 + end - j : W);
        const auto at = [&](const double* p) { return V::load(p + j, lanes); };
        const V same = overlap(a1, b1, a2, b2, own, at(x1), at(y1), at(x2), at(y2), at(area));
        const Mask<double> stays = Mask<double>::load_bytes(kept + j, lanes) & ~((same > most) & (at(group) == alike));
        stays.store_bytes(kept + j, lanes);
      }
    });
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
