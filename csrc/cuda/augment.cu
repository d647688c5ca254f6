// Changes to batches of images: a thread for a pixel of the result; what changes from image to image has been drawn
// before.
#include "cuda/along.h"
#include "kernels/augment.h"
#include "kernels/augment_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "augment";
constexpr int kImageThreads = 256;

// All channels of a pixel, whose place is found once.
template <class In>
struct Sample {
  static constexpr int kThreads = kImageThreads;
  static constexpr bool kCollective = false;
  Sampling s;
  In* y;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    using V = Vec<float>;
    const std::int64_t plane = s.out_height * s.out_width, image = t.global() / plane,
                       pixel = t.global() - image * plane, v = pixel / s.out_width, u = pixel - v * s.out_width;
    if (image >= s.images) return;
    const std::int64_t in = s.in_height * s.in_width;
    const In* const from = static_cast<const In*>(s.x) + image * s.channels * in;
    In* const to = y + image * s.channels * plane + pixel;
    const Move move(s, image);
    if (move.whole) {
      const std::int64_t column = move.c + move.along * u, line = move.r + move.down * v;
      const bool inside = column >= 0 && column < s.in_width && line >= 0 && line < s.in_height;
      const In fill = stored<In>(s.fill);
      for (std::int64_t c = 0; c < s.channels; ++c)
        to[c * plane] = inside ? from[c * in + line * s.in_width + column] : fill;
      return;
    }
    const float* const m = s.matrices + image * 6;
    V x = mapped(m, V(static_cast<float>(u)), static_cast<float>(v)),
      y = mapped(m + 3, V(static_cast<float>(u)), static_cast<float>(v));
    if (s.shifts) {
      x += V(s.shifts[image * 2 * plane + pixel]);
      y += V(s.shifts[(image * 2 + 1) * plane + pixel]);
    }
    const Blend<V> blend(s, x, y);
    for (std::int64_t c = 0; c < s.channels; ++c) {
      const In* const pixels = from + c * in;
      const auto part = [&](int k) {
        return blend.part[k].v * static_cast<float>(pixels[static_cast<std::int64_t>(blend.at[k].v)]);
      };
      const float upper = part(0) + part(1), lower = part(2) + part(3);
      to[c * plane] = stored<In>(upper + lower + blend.outside.v);
    }
  }
};
template <class In>
void sample(Sampling s, void* y) {
  launch(kName, grid_for(s.images * s.out_height * s.out_width, kImageThreads), Sample<In>{s, static_cast<In*>(y)});
}

template <class In, class Out>
struct Recolour {
  static constexpr int kThreads = kImageThreads;
  static constexpr bool kCollective = false;
  Colours c;
  Out* y;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t plane = t.global() / c.pixels, pixel = t.global() - plane * c.pixels, image = plane / c.channels,
                       channel = plane - image * c.channels;
    if (image >= c.images) return;
    const std::int64_t map = c.maps == 1 ? 0 : image;
    const float* const m = c.matrices + (map * c.channels + channel) * c.channels;
    const In* const x = static_cast<const In*>(c.x) + image * c.channels * c.pixels + pixel;
    float sum = c.offsets[map * c.channels + channel];
    for (std::int64_t j = 0; j < c.channels; ++j)
      if (m[j] != 0) sum = fma(m[j], static_cast<float>(x[j * c.pixels]), sum);
    y[t.global()] = stored<Out>(sum);
  }
};
template <class In, class Out>
void recolour(Colours c, Out* y) {
  launch(kName, grid_for(c.images * c.channels * c.pixels, kImageThreads), Recolour<In, Out>{c, y});
}

template <class In>
struct Means {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<double>;
  const In* x;
  Along rows;
  int group;
  float* out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Member m(t, rows, group);
    double sum = 0;
    if (m.there)
      for (std::int64_t i = m.number; i < rows.length; i += group) sum += static_cast<double>(x[m.first + i]);
    sum = m.join(t, t.shared<Means>(), sum, [](double a, double b) { return a + b; });
    if (m.there && m.number == 0) out[m.position] = static_cast<float>(sum / static_cast<double>(rows.length));
  }
};
template <class In>
void means(Colours c, float* out) {
  const Along rows{c.images * c.channels, c.pixels, 1};
  const int group = group_for(rows);
  launch(kName, grid_of(rows, group), Means<In>{static_cast<const In*>(c.x), rows, group, out});
}

template <class In>
struct Erase {
  static constexpr int kThreads = kImageThreads;
  static constexpr bool kCollective = false;
  In* x;
  std::int64_t count, height, width, image_size;
  const std::int64_t* boxes;
  float fill;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t at = t.global();
    if (at >= count) return;
    const std::int64_t* const box = boxes + at / image_size * 4;
    const std::int64_t column = at % width, line = at / width % height;
    if (column >= box[0] && line >= box[1] && column < box[2] && line < box[3]) x[at] = stored<In>(fill);
  }
};
template <class In>
void erase(void* x, std::int64_t images, std::int64_t channels, std::int64_t height, std::int64_t width,
           const std::int64_t* boxes, float fill) {
  const std::int64_t image_size = channels * height * width, count = images * image_size;
  launch(kName, grid_for(count, kImageThreads),
         Erase<In>{static_cast<In*>(x), count, height, width, image_size, boxes, fill});
}

template <class In>
void fill(AugmentTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.sample[i] = sample<In>;
  t.recolour[i] = [](Colours c, void* y) { recolour<In, In>(c, static_cast<In*>(y)); };
  t.recolour_to_float[i] = recolour<In, float>;
  t.means[i] = means<In>;
  t.erase[i] = erase<In>;
}

}  // namespace

void fill_augment(AugmentTable& t) {
  fill<std::uint8_t>(t, DType::u8);
  fill<float>(t, DType::f32);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
