#include "kernels/augment.h"

#include "core/parallel.h"
#include "cpu/reduce_lanes.h"
#include "simd/interleave.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kChangedAtOnce = 32768;  // elements that one thread takes

template <class F>
LAMINA_INLINE void for_images(std::int64_t images, std::int64_t elements, F f) {
  const std::int64_t cut = elements >= kChangedAtOnce ? 1 : kChangedAtOnce / (elements > 0 ? elements : 1);
  parallel_for(images, cut, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) f(n);
  });
}

template <class In>
LAMINA_INLINE In stored(float v) {
  if constexpr (std::is_same_v<In, float>)
    return v;
  else
    return to_byte(v);
}

// ---- places ----

constexpr std::int64_t kRun = 256;  // pixels of a row whose places are found at once

// The four pixels that one of the output is a blend of, and their parts; those outside have part 0 and count as pixel
// 0.
struct Places {
  std::int64_t n;
  std::int32_t at[4][kRun];
  float part[4][kRun], outside[kRun];
  bool whole;  // every place is one pixel
};

LAMINA_INLINE float clamped(float x, std::int64_t size) {
  const float last = static_cast<float>(size - 1);
  return x > 0 ? (x < last ? x : last) : 0;  // NaN: 0
}

LAMINA_INLINE void find(const Sampling& s, std::int64_t image, std::int64_t v, std::int64_t begin, Places& p) {
  const float* m = s.matrices + image * 6;
  const std::int64_t row = (image * 2 * s.out_height + v) * s.out_width, plane = s.out_height * s.out_width;
  const float width = static_cast<float>(s.in_width), height = static_cast<float>(s.in_height);
  p.n = s.out_width - begin < kRun ? s.out_width - begin : kRun;
  const float x0 = m[1] * static_cast<float>(v) + m[2], y0 = m[4] * static_cast<float>(v) + m[5];
  p.whole = true;
  for (std::int64_t i = 0; i < p.n; ++i) {
    const float u = static_cast<float>(begin + i);
    float x = fma(m[0], u, x0), y = fma(m[3], u, y0);
    if (s.shifts) {
      x += s.shifts[row + begin + i];
      y += s.shifts[row + plane + begin + i];
    }
    if (s.edge) x = clamped(x, s.in_width), y = clamped(y, s.in_height);
    const bool near = x > -1 && x < width && y > -1 && y < height;  // NaN is far
    const float left = near ? floor(x) : 0, top = near ? floor(y) : 0, far_x = near ? x - left : 0,
                far_y = near ? y - top : 0;
    const auto column = static_cast<std::int32_t>(left), line = static_cast<std::int32_t>(top);
    const auto last_column = static_cast<std::int32_t>(s.in_width - 1),
               last_line = static_cast<std::int32_t>(s.in_height - 1);
    const bool in_left = near && column >= 0, in_right = near && column < last_column, in_top = line >= 0,
               in_bottom = line < last_line;
    const std::int32_t c0 = column >= 0 ? column : 0, c1 = column < last_column ? column + 1 : last_column;
    const auto across = static_cast<std::int32_t>(s.in_width);
    const std::int32_t r0 = (line >= 0 ? line : 0) * across, r1 = (line < last_line ? line + 1 : last_line) * across;
    p.at[0][i] = r0 + c0, p.at[1][i] = r0 + c1, p.at[2][i] = r1 + c0, p.at[3][i] = r1 + c1;
    const float w0 = in_left ? 1 - far_x : 0, w1 = in_right ? far_x : 0, h0 = in_top ? 1 - far_y : 0,
                h1 = in_bottom ? far_y : 0;
    p.part[0][i] = w0 * h0, p.part[1][i] = w1 * h0, p.part[2][i] = w0 * h1, p.part[3][i] = w1 * h1;
    p.outside[i] = 1 - (w0 + w1) * (h0 + h1);
    p.whole = p.whole && far_x == 0 && far_y == 0;
  }
}

template <class In>
void sample(Sampling s, void* out) {
  const std::int64_t in = s.in_height * s.in_width, outputs = s.out_height * s.out_width;
  for_images(s.images, s.channels * outputs, [&](std::int64_t n) {
    Places p;
    for (std::int64_t v = 0; v < s.out_height; ++v)
      for (std::int64_t begin = 0; begin < s.out_width; begin += kRun) {
        find(s, n, v, begin, p);
        for (std::int64_t c = 0; c < s.channels; ++c) {
          const In* x = static_cast<const In*>(s.x) + (n * s.channels + c) * in;
          In* y = static_cast<In*>(out) + (n * s.channels + c) * outputs + v * s.out_width + begin;
          if (p.whole) {
            const In fill = stored<In>(s.fill);
            for (std::int64_t i = 0; i < p.n; ++i) y[i] = p.outside[i] == 0 ? x[p.at[0][i]] : fill;
            continue;
          }
          for (std::int64_t i = 0; i < p.n; ++i) {
            const float upper =
                p.part[0][i] * static_cast<float>(x[p.at[0][i]]) + p.part[1][i] * static_cast<float>(x[p.at[1][i]]);
            const float lower =
                p.part[2][i] * static_cast<float>(x[p.at[2][i]]) + p.part[3][i] * static_cast<float>(x[p.at[3][i]]);
            y[i] = stored<In>(upper + lower + p.outside[i] * s.fill);
          }
        }
      }
  });
}

// ---- colours ----

template <class In>
LAMINA_INLINE Vec<float> load_pixels(const In* p, int lanes) {
  if constexpr (std::is_same_v<In, float>)
    return Vec<float>::load(p, lanes);
  else
    return from_bytes<float>(p, lanes);
}
template <class Out>
LAMINA_INLINE void store_pixels(Vec<float> v, Out* p, int lanes) {
  if constexpr (std::is_same_v<Out, float>)
    v.store(p, lanes);
  else
    to_bytes(v, p, lanes);
}

template <class In, class Out>
void recolour(Colours c, Out* out) {
  using V = Vec<float>;
  constexpr int W = V::width;
  for_images(c.images, c.channels * c.pixels, [&](std::int64_t n) {
    const In* x = static_cast<const In*>(c.x) + n * c.channels * c.pixels;
    Out* y = out + n * c.channels * c.pixels;
    const float *m = c.matrices + n * c.channels * c.channels, *offset = c.offsets + n * c.channels;
    for (std::int64_t i = 0; i < c.pixels; i += W) {
      const int lanes = static_cast<int>(c.pixels - i < W ? c.pixels - i : W);
      V colour[kMostColours];
      for (std::int64_t k = 0; k < c.channels; ++k) colour[k] = load_pixels(x + k * c.pixels + i, lanes);
      for (std::int64_t k = 0; k < c.channels; ++k) {
        V sum(offset[k]);
        for (std::int64_t j = 0; j < c.channels; ++j)
          if (m[k * c.channels + j] != 0) sum = fma(V(m[k * c.channels + j]), colour[j], sum);
        store_pixels(sum, y + k * c.pixels + i, lanes);
      }
    }
  });
}
template <class In>
void recolour_alike(Colours c, void* out) {
  recolour<In, In>(c, static_cast<In*>(out));
}

template <class In>
void means(Colours c, float* out) {
  using V = Vec<float>;
  constexpr int W = V::width;
  constexpr std::int64_t block = 64 * W;
  for_images(c.images, c.channels * c.pixels, [&](std::int64_t n) {
    for (std::int64_t k = n * c.channels; k < (n + 1) * c.channels; ++k) {
      const In* x = static_cast<const In*>(c.x) + k * c.pixels;
      double total = 0;
      for (std::int64_t from = 0; from < c.pixels; from += block) {
        V part(0);
        for (std::int64_t i = from; i < c.pixels && i < from + block; i += W)
          part += load_pixels(x + i, static_cast<int>(c.pixels - i < W ? c.pixels - i : W));
        total += sum(part);
      }
      out[k] = static_cast<float>(total / static_cast<double>(c.pixels));
    }
  });
}

template <class In>
void erase(void* out, std::int64_t images, std::int64_t channels, std::int64_t height, std::int64_t width,
           const std::int64_t* boxes, float fill) {
  const auto within = [](std::int64_t x, std::int64_t size) { return x < 0 ? 0 : x > size ? size : x; };
  for_images(images, channels * height * width, [&](std::int64_t n) {
    const std::int64_t *box = boxes + 4 * n, left = within(box[0], width), right = within(box[2], width),
                       top = within(box[1], height), bottom = within(box[3], height);
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t y = top; y < bottom; ++y) {
        In* row = static_cast<In*>(out) + ((n * channels + c) * height + y) * width;
        for (std::int64_t x = left; x < right; ++x) row[x] = stored<In>(fill);
      }
  });
}

template <class In>
void fill(AugmentTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.sample[i] = sample<In>;
  t.recolour[i] = recolour_alike<In>;
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
