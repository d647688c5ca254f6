#include "kernels/augment.h"

#include "core/parallel.h"
#include "cpu/reduce_lanes.h"
#include "kernels/augment_formulas.h"

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
LAMINA_INLINE Vec<float> load_pixels(const In* p, int lanes) {
  if constexpr (std::is_same_v<In, float>)
    return lanes == Vec<float>::width ? Vec<float>::load(p) : Vec<float>::load(p, lanes);
  else
    return from_bytes<float>(p, lanes);
}
template <class Out>
LAMINA_INLINE void store_pixels(Vec<float> v, Out* p, int lanes) {
  if constexpr (std::is_same_v<Out, float>)
    lanes == Vec<float>::width ? v.store(p) : v.store(p, lanes);
  else
    to_bytes(v, p, lanes);
}

// ---- places ----

constexpr std::int64_t kRun = 256;  // pixels of a row whose places are found at once

// The blends of a run (kernels/augment_formulas.h).
struct Places {
  std::int64_t n;
  std::int32_t at[4][kRun];
  float part[4][kRun], outside[kRun];
};

LAMINA_INLINE void find(const Sampling& s, std::int64_t image, std::int64_t v, std::int64_t begin, Places& p) {
  using V = Vec<float>;
  constexpr int W = V::width;
  const float* m = s.matrices + image * 6;
  const std::int64_t row = (image * 2 * s.out_height + v) * s.out_width + begin, plane = s.out_height * s.out_width;
  p.n = s.out_width - begin < kRun ? s.out_width - begin : kRun;
  alignas(64) static constexpr float kFirst[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const V first = V::load(kFirst) + V(static_cast<float>(begin));
  for (std::int64_t i = 0; i < p.n; i += W) {
    const V u = first + V(static_cast<float>(i));
    V x = mapped(m, u, static_cast<float>(v)), y = mapped(m + 3, u, static_cast<float>(v));
    if (s.shifts) {
      const int lanes = static_cast<int>(p.n - i < W ? p.n - i : W);
      x += V::load(s.shifts + row + i, lanes);
      y += V::load(s.shifts + row + plane + i, lanes);
    }
    const Blend<V> blend(s, x, y);
    for (int k = 0; k < 4; ++k) {
      to_ints(blend.at[k]).store(p.at[k] + i);
      blend.part[k].store(p.part[k] + i);
    }
    blend.outside.store(p.outside + i);
  }
}

template <class In>
void move(const Sampling& s, const Move& m, const In* x, In* y) {
  const auto within = [](std::int64_t i, std::int64_t n) { return i < 0 ? 0 : i > n ? n : i; };
  // Outputs from `from` to `to` lie in the image.
  const std::int64_t from = within(m.along > 0 ? -m.c : m.c - s.in_width + 1, s.out_width),
                     to = within(m.along > 0 ? s.in_width - m.c : m.c + 1, s.out_width);
  const In fill = stored<In>(s.fill);
  for (std::int64_t v = 0; v < s.out_height; ++v, y += s.out_width) {
    const std::int64_t line = m.r + m.down * v;
    const bool inside = line >= 0 && line < s.in_height && from < to;
    const std::int64_t begin = inside ? from : s.out_width, end = inside ? to : s.out_width;
    for (std::int64_t u = 0; u < begin; ++u) y[u] = fill;
    if (inside) {
      const In* row = x + line * s.in_width + m.c;
      if (m.along > 0)
        __builtin_memcpy(y + begin, row + begin, static_cast<std::size_t>(end - begin) * sizeof(In));
      else
        for (std::int64_t u = begin; u < end; ++u) y[u] = row[-u];
    }
    for (std::int64_t u = end; u < s.out_width; ++u) y[u] = fill;
  }
}

template <class In>
void blend(const Places& p, const In* x, In* y) {
  float blended[kRun];
  for (std::int64_t i = 0; i < p.n; ++i) {
    const float upper =
        p.part[0][i] * static_cast<float>(x[p.at[0][i]]) + p.part[1][i] * static_cast<float>(x[p.at[1][i]]);
    const float lower =
        p.part[2][i] * static_cast<float>(x[p.at[2][i]]) + p.part[3][i] * static_cast<float>(x[p.at[3][i]]);
    blended[i] = upper + lower + p.outside[i];
  }
  using V = Vec<float>;
  for (std::int64_t i = 0; i < p.n; i += V::width) {
    const int lanes = static_cast<int>(p.n - i < V::width ? p.n - i : V::width);
    store_pixels(V::load(blended + i), y + i, lanes);
  }
}

template <class In>
void sample(Sampling s, void* out) {
  const std::int64_t in = s.in_height * s.in_width, outputs = s.out_height * s.out_width;
  for_images(s.images, s.channels * outputs, [&](std::int64_t n) {
    const In* x = static_cast<const In*>(s.x) + n * s.channels * in;
    In* y = static_cast<In*>(out) + n * s.channels * outputs;
    const Move m(s, n);
    if (m.whole) {
      for (std::int64_t c = 0; c < s.channels; ++c) move(s, m, x + c * in, y + c * outputs);
      return;
    }
    Places p;
    for (std::int64_t v = 0; v < s.out_height; ++v)
      for (std::int64_t begin = 0; begin < s.out_width; begin += kRun) {
        find(s, n, v, begin, p);
        for (std::int64_t c = 0; c < s.channels; ++c) blend(p, x + c * in, y + c * outputs + v * s.out_width + begin);
      }
  });
}

// ---- colours ----

LAMINA_INLINE bool is_diagonal(const float* m, std::int64_t n) {
  for (std::int64_t i = 0; i < n * n; ++i)
    if (i % (n + 1) != 0 && m[i] != 0) return false;
  return true;
}

template <class In, class Out>
void recolour(Colours c, Out* out) {
  using V = Vec<float>;
  constexpr int W = V::width;
  for_images(c.images, c.channels * c.pixels, [&](std::int64_t n) {
    const In* x = static_cast<const In*>(c.x) + n * c.channels * c.pixels;
    Out* y = out + n * c.channels * c.pixels;
    const std::int64_t map = c.maps == 1 ? 0 : n;
    const float *m = c.matrices + map * c.channels * c.channels, *offset = c.offsets + map * c.channels;
    if (is_diagonal(m, c.channels)) {
      for (std::int64_t k = 0; k < c.channels; ++k) {
        const V by(m[k * c.channels + k]), add(offset[k]);
        const In* from = x + k * c.pixels;
        Out* to = y + k * c.pixels;
        std::int64_t i = 0;
        for (; i + W <= c.pixels; i += W) store_pixels(fma(load_pixels(from + i, W), by, add), to + i, W);
        if (const int rest = static_cast<int>(c.pixels - i))
          store_pixels(fma(load_pixels(from + i, rest), by, add), to + i, rest);
      }
      return;
    }
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
