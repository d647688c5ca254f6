// Group norm: a group of channels of a sample is one row of memory.
#include "cpu/norm_channel.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kNormedAtOnce = 16384;  // elements that one thread takes
constexpr std::int64_t kChannelsJoined = 256;

struct Groups {
  std::int64_t groups, channels, elements, cut;  // of all samples; of a group; a cut is so many groups

  explicit Groups(const ChannelNorm& a)
      : groups(a.batch * a.groups),
        channels(a.channels / a.groups),
        elements(channels * a.spatial),
        cut(elements >= kNormedAtOnce ? 1 : kNormedAtOnce / (elements > 0 ? elements : 1)) {}
};

template <class T>
void forward(ChannelNorm a, void* out, void* statistics) {
  using V = Vec<T>;
  const Groups g(a);
  parallel_for(g.groups, g.cut, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t group = begin; group < end; ++group) {
      const T* x = static_cast<const T*>(a.x) + group * g.elements;
      T* y = static_cast<T*>(out) + group * g.elements;
      const Moments m = moments(x, Runs{1, g.elements, 0});
      const Statistics<T> s = statistics_of<T>(m.mean, m.squares / static_cast<double>(g.elements), a.eps);
      static_cast<Statistics<T>*>(statistics)[group] = s;
      const V center(s.center);
      for (std::int64_t c = 0; c < g.channels; ++c, x += a.spatial, y += a.spatial) {
        const Scaling<T> to(s, a, group % a.groups * g.channels + c);
        const V by(to.by), add(to.add);
        for_vectors<V::width>(a.spatial, [&](std::int64_t i, int lanes) {
          store(fma(load(x + i, lanes) - center, by, add), y + i, lanes);
        });
      }
    }
  });
}

template <class T>
void backward(ChannelNorm a, const void* gradient, const void* statistics, void* to_x, void* to_weight, void* to_bias,
              void* scratch) {
  using V = Vec<T>;
  const Groups g(a);
  const double count = static_cast<double>(g.elements);
  auto* sums = static_cast<T*>(scratch);  // (batch, 2, channels): Σ dy z and Σ dy
  parallel_for(g.groups, g.cut, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t group = begin; group < end; ++group) {
      const T *x = static_cast<const T*>(a.x) + group * g.elements,
              *dy = static_cast<const T*>(gradient) + group * g.elements;
      const Statistics<T> s = static_cast<const Statistics<T>*>(statistics)[group];
      const V center(s.center);
      const std::int64_t first = group % a.groups * g.channels;
      T *sum_gz = sums + group / a.groups * 2 * a.channels + first, *sum_g = sum_gz + a.channels;
      double level = 0, along = 0;
      for (std::int64_t c = 0; c < g.channels; ++c) {
        double of_g = 0, of_gx = 0;
        const T *xc = x + c * a.spatial, *dyc = dy + c * a.spatial;
        for_blocks<2, T>(
            Runs{1, a.spatial, 0},
            [&](std::int64_t i, int lanes, V* v) {
              v[0] = load(dyc + i, lanes);
              v[1] = v[0] * (load(xc + i, lanes) - center);
            },
            [&](const double(&totals)[2], double) { of_g += totals[0], of_gx += totals[1]; });
        const double of_gz = of_gx * s.scale + of_g * s.shift;
        sum_gz[c] = static_cast<T>(of_gz);
        sum_g[c] = static_cast<T>(of_g);
        const double weight = a.weight ? static_cast<const T*>(a.weight)[first + c] : T(1);
        along += weight * of_gz;
        level += weight * of_g;
      }
      if (!to_x) continue;
      T* dx = static_cast<T*>(to_x) + group * g.elements;
      for (std::int64_t c = 0; c < g.channels; ++c) {
        const double weight = a.weight ? static_cast<const T*>(a.weight)[first + c] : T(1);
        const Slope<T> slope(s, weight, level / count, along / count);
        const V of_g(slope.of_g), of_x(slope.of_x), rest(slope.rest);
        for_vectors<V::width>(a.spatial, [&](std::int64_t i, int lanes) {
          const std::int64_t at = c * a.spatial + i;
          store(fma(load(dy + at, lanes), of_g, fma(load(x + at, lanes) - center, of_x, rest)), dx + at, lanes);
        });
      }
    }
  });
  if (!to_weight && !to_bias) return;
  parallel_for(a.channels, kChannelsJoined, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      double dweight = 0, dbias = 0;
      for (std::int64_t b = 0; b < a.batch; ++b) {
        dweight += sums[2 * b * a.channels + c];
        dbias += sums[(2 * b + 1) * a.channels + c];
      }
      if (to_weight) static_cast<T*>(to_weight)[c] = static_cast<T>(dweight);
      if (to_bias) static_cast<T*>(to_bias)[c] = static_cast<T>(dbias);
    }
  });
}

template <class T>
void fill(NormTable& t, DType type) {
  t.group_norm[static_cast<int>(type)] = forward<T>;
  t.group_norm_grad[static_cast<int>(type)] = backward<T>;
}

}  // namespace

void fill_norm_group(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
