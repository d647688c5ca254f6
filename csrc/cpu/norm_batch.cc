// Batch norm, with a residual and ReLU: one pass over x for its statistics and one that normalises it, while a channel
// is in the cache.
#include "cpu/norm_channel.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kNormedAtOnce = 32768;  // elements that one thread takes

std::int64_t channels_of_cut(const ChannelNorm& a) {
  const std::int64_t size = a.batch * a.spatial;
  return size >= kNormedAtOnce ? 1 : kNormedAtOnce / (size > 0 ? size : 1);
}
Runs runs_of(const ChannelNorm& a) { return {a.batch, a.spatial, a.channels * a.spatial}; }

// ---- channels of one element to a sample: the lanes are channels ----

constexpr std::int64_t kRowsSummed = 64;

// totals[k][lane] = Σ over rows of what f(row, v) gives as v[k].
template <int sums, class T, class F>
LAMINA_INLINE void sum_rows(std::int64_t rows, double (&totals)[sums][Vec<T>::width], F f) {
  using V = Vec<T>;
  for (auto& lanes : totals)
    for (double& total : lanes) total = 0;
  for (std::int64_t begin = 0; begin < rows; begin += kRowsSummed) {
    V a[sums];
    for (V& v : a) v = V(0);
    for (std::int64_t row = begin; row < rows && row < begin + kRowsSummed; ++row) {
      V v[sums];
      f(row, v);
      for (int k = 0; k < sums; ++k) a[k] += v[k];
    }
    for (int k = 0; k < sums; ++k) {
      T part[V::width];
      a[k].store(part);
      for (int i = 0; i < V::width; ++i) totals[k][i] += part[i];
    }
  }
}

template <class T>
struct Columns {
  static constexpr int W = Vec<T>::width;
  Statistics<T> s[W] = {};
  T center[W] = {}, by[W] = {}, add[W] = {};

  void scale_by(const ChannelNorm& a, std::int64_t channel, int lanes) {
    for (int i = 0; i < lanes; ++i) {
      const Scaling<T> to(s[i], a, channel + i);
      center[i] = s[i].center, by[i] = to.by, add[i] = to.add;
    }
  }
};

template <class T>
void forward_columns(const ChannelNorm& a, const RunningStatistics& running, std::int64_t channel, int lanes, T* y,
                     Statistics<T>* kept) {
  using V = Vec<T>;
  constexpr int W = V::width;
  const T* x = static_cast<const T*>(a.x) + channel;
  const double count = static_cast<double>(a.batch);
  Columns<T> c;
  if (a.own_statistics) {
    double sums[1][W], squares[2][W];
    const V first = load(x, lanes);
    sum_rows<1, T>(a.batch, sums, [&](std::int64_t row, V* v) { v[0] = load(x + row * a.channels, lanes) - first; });
    T center[W];
    for (int i = 0; i < W; ++i) center[i] = i < lanes ? static_cast<T>(x[i] + sums[0][i] / count) : T(0);
    const V around = V::load(center);
    sum_rows<2, T>(a.batch, squares, [&](std::int64_t row, V* v) {
      v[0] = load(x + row * a.channels, lanes) - around;
      v[1] = v[0] * v[0];
    });
    const Update update(running, count);
    for (int i = 0; i < lanes; ++i) {
      const double off = squares[0][i] / count, left = squares[1][i] - squares[0][i] * off;
      const Moments m{center[i] + off, left < 0 ? 0 : left};
      update.template operator()<T>(channel + i, m);
      c.s[i] = statistics_of<T>(m.mean, m.squares / count, a.eps);
    }
  } else {
    for (int i = 0; i < lanes; ++i)
      c.s[i] = running.mean ? running_statistics<T>(running, channel + i, a.eps) : kept[channel + i];
  }
  for (int i = 0; i < lanes; ++i) kept[channel + i] = c.s[i];
  c.scale_by(a, channel, lanes);
  const V center = V::load(c.center), by = V::load(c.by), add = V::load(c.add);
  const T* residual = static_cast<const T*>(a.residual);
  for (std::int64_t row = 0; row < a.batch; ++row) {
    const std::int64_t at = row * a.channels + channel;
    V v = fma(load(x + row * a.channels, lanes) - center, by, add);
    if (residual) v += load(residual + at, lanes);
    store(a.relu ? maximum(v, V(0)) : v, y + at, lanes);
  }
}

// What reaches the normalised element of dy: nothing where ReLU held it back.
template <class T>
LAMINA_INLINE Vec<T> let_through(const ChannelNorm& a, Vec<T> dy, Vec<T> off_center, Vec<T> by, Vec<T> add, const T* y,
                                 int lanes) {
  using V = Vec<T>;
  if (!a.relu) return dy;
  return select((y ? load(y, lanes) : fma(off_center, by, add)) > V(0), dy, V(0));
}

template <class T>
struct Gradients {
  const T *dy, *y;
  T *dx, *dresidual, *dweight, *dbias;
};

// Σ g and Σ g (x - center) to what is wanted of them.
template <class T>
LAMINA_INLINE Slope<T> slope_of(const ChannelNorm& a, const Gradients<T>& to, std::int64_t channel,
                                const Statistics<T>& s, double sum_g, double sum_gx) {
  const double sum_gz = sum_gx * s.scale + sum_g * s.shift;
  if (to.dweight) to.dweight[channel] = static_cast<T>(sum_gz);
  if (to.dbias) to.dbias[channel] = static_cast<T>(sum_g);
  const double weight = a.weight ? static_cast<const T*>(a.weight)[channel] : T(1);
  const double share = a.own_statistics ? weight / static_cast<double>(a.batch * a.spatial) : 0;
  return {s, weight, sum_g * share, sum_gz * share};
}

template <class T>
void backward_columns(const ChannelNorm& a, const Gradients<T>& to, const Statistics<T>* kept, std::int64_t channel,
                      int lanes) {
  using V = Vec<T>;
  constexpr int W = V::width;
  const T* x = static_cast<const T*>(a.x);
  Columns<T> c;
  for (int i = 0; i < lanes; ++i) c.s[i] = kept[channel + i];
  c.scale_by(a, channel, lanes);
  const V center = V::load(c.center), by = V::load(c.by), add = V::load(c.add);
  const auto gradient = [&](std::int64_t at, V& off) {
    off = load(x + at, lanes) - center;
    return let_through(a, load(to.dy + at, lanes), off, by, add, to.y ? to.y + at : nullptr, lanes);
  };
  double sums[2][W];
  sum_rows<2, T>(a.batch, sums, [&](std::int64_t row, V* v) {
    V off;
    v[0] = gradient(row * a.channels + channel, off);
    v[1] = v[0] * off;
  });
  T of_g[W] = {}, of_x[W] = {}, rest[W] = {};
  for (int i = 0; i < lanes; ++i) {
    const Slope<T> slope = slope_of(a, to, channel + i, c.s[i], sums[0][i], sums[1][i]);
    of_g[i] = slope.of_g, of_x[i] = slope.of_x, rest[i] = slope.rest;
  }
  const V along_g = V::load(of_g), along_x = V::load(of_x), always = V::load(rest);
  for (std::int64_t row = 0; row < a.batch; ++row) {
    const std::int64_t at = row * a.channels + channel;
    V off;
    const V g = gradient(at, off);
    if (to.dresidual) store(g, to.dresidual + at, lanes);
    if (to.dx) store(fma(g, along_g, fma(off, along_x, always)), to.dx + at, lanes);
  }
}

// ---- channels of many elements ----

template <class T, bool relu, bool added>
void forward_channel(const ChannelNorm& a, const Statistics<T>& s, std::int64_t channel, T* y) {
  using V = Vec<T>;
  const Scaling<T> to(s, a, channel);
  const V center(s.center), by(to.by), add(to.add);
  for (std::int64_t b = 0; b < a.batch; ++b) {
    const std::int64_t at = (b * a.channels + channel) * a.spatial;
    const T *x = static_cast<const T*>(a.x) + at, *residual = static_cast<const T*>(a.residual) + (added ? at : 0);
    T* out = y + at;
    for_vectors<V::width>(a.spatial, [&](std::int64_t i, int lanes) {
      V v = fma(load(x + i, lanes) - center, by, add);
      if constexpr (added) v += load(residual + i, lanes);
      if constexpr (relu) v = maximum(v, V(0));
      store(v, out + i, lanes);
    });
  }
}

template <class T>
void forward(ChannelNorm a, RunningStatistics running, void* out, void* statistics) {
  auto* y = static_cast<T*>(out);
  auto* kept = static_cast<Statistics<T>*>(statistics);
  constexpr int W = Vec<T>::width;
  if (a.spatial == 1) {
    const std::int64_t cut = channels_of_cut(a) / W * W;
    return parallel_for(a.channels, cut > W ? cut : W, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; c += W)
        forward_columns(a, running, c, static_cast<int>(end - c < W ? end - c : W), y, kept);
    });
  }
  const double count = static_cast<double>(a.batch * a.spatial);
  parallel_for(a.channels, channels_of_cut(a), [&](std::int64_t begin, std::int64_t end) {
    const Update update(running, count);
    for (std::int64_t c = begin; c < end; ++c) {
      if (a.own_statistics) {
        const Moments m = moments(static_cast<const T*>(a.x) + c * a.spatial, runs_of(a));
        update.template operator()<T>(c, m);
        kept[c] = statistics_of<T>(m.mean, m.squares / count, a.eps);
      } else if (running.mean) {
        kept[c] = running_statistics<T>(running, c, a.eps);
      }
      if (a.relu && a.residual)
        forward_channel<T, true, true>(a, kept[c], c, y);
      else if (a.relu)
        forward_channel<T, true, false>(a, kept[c], c, y);
      else if (a.residual)
        forward_channel<T, false, true>(a, kept[c], c, y);
      else
        forward_channel<T, false, false>(a, kept[c], c, y);
    }
  });
}

enum class Held { nothing, by_result, by_input };  // where ReLU let nothing through, seen by y or by x

template <class T, Held held>
void backward_channel(const ChannelNorm& a, const Gradients<T>& to, const Statistics<T>& s, std::int64_t channel) {
  using V = Vec<T>;
  const Scaling<T> scaling(s, a, channel);
  const V center(s.center), by(scaling.by), add(scaling.add);
  const std::int64_t first = channel * a.spatial;
  const T *x = static_cast<const T*>(a.x) + first, *dy = to.dy + first;
  const auto gradient = [&](std::int64_t at, int lanes, V& off) {
    off = load(x + at, lanes) - center;
    const V g = load(dy + at, lanes);
    if constexpr (held == Held::by_result) return select(load(to.y + first + at, lanes) > V(0), g, V(0));
    if constexpr (held == Held::by_input) return select(fma(off, by, add) > V(0), g, V(0));
    return g;
  };
  double sum_g = 0, sum_gx = 0;
  if (a.own_statistics || to.dweight || to.dbias)
    for_blocks<2, T>(
        runs_of(a),
        [&](std::int64_t at, int lanes, V* v) {
          V off;
          v[0] = gradient(at, lanes, off);
          v[1] = v[0] * off;
        },
        [&](const double(&totals)[2], double) { sum_g += totals[0], sum_gx += totals[1]; });
  const Slope<T> slope = slope_of(a, to, channel, s, sum_g, sum_gx);
  const V of_g(slope.of_g), of_x(slope.of_x), rest(slope.rest);
  for (std::int64_t b = 0; b < a.batch; ++b) {
    const std::int64_t run = b * a.channels * a.spatial;
    if (to.dx && to.dresidual)
      for_vectors<V::width>(a.spatial, [&](std::int64_t i, int lanes) {
        V off;
        const V g = gradient(run + i, lanes, off);
        store(g, to.dresidual + first + run + i, lanes);
        store(fma(g, of_g, fma(off, of_x, rest)), to.dx + first + run + i, lanes);
      });
    else if (to.dx || to.dresidual)
      for_vectors<V::width>(a.spatial, [&](std::int64_t i, int lanes) {
        V off;
        const V g = gradient(run + i, lanes, off);
        to.dx ? store(fma(g, of_g, fma(off, of_x, rest)), to.dx + first + run + i, lanes)
              : store(g, to.dresidual + first + run + i, lanes);
      });
  }
}

template <class T>
void backward(ChannelNorm a, const void* dy, const void* y, const void* statistics, void* dx, void* dresidual,
              void* dweight, void* dbias) {
  const Gradients<T> to{static_cast<const T*>(dy),  static_cast<const T*>(y), static_cast<T*>(dx),
                        static_cast<T*>(dresidual), static_cast<T*>(dweight), static_cast<T*>(dbias)};
  const auto* kept = static_cast<const Statistics<T>*>(statistics);
  constexpr int W = Vec<T>::width;
  if (a.spatial == 1) {
    const std::int64_t cut = channels_of_cut(a) / W * W;
    return parallel_for(a.channels, cut > W ? cut : W, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t c = begin; c < end; c += W)
        backward_columns(a, to, kept, c, static_cast<int>(end - c < W ? end - c : W));
    });
  }
  parallel_for(a.channels, channels_of_cut(a), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      if (a.relu && y)
        backward_channel<T, Held::by_result>(a, to, kept[c], c);
      else if (a.relu)
        backward_channel<T, Held::by_input>(a, to, kept[c], c);
      else
        backward_channel<T, Held::nothing>(a, to, kept[c], c);
    }
  });
}

template <class T>
void fill(NormTable& t, DType type) {
  t.batch_norm[static_cast<int>(type)] = forward<T>;
  t.batch_norm_grad[static_cast<int>(type)] = backward<T>;
}

}  // namespace

void fill_norm_batch(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
