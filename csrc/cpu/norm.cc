// Layer norm and RMS norm. A row is read from memory once; its later passes find it in the cache.
#include "kernels/norm.h"

#include "core/parallel.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// (x - center) · scale + shift
template <class T>
struct RowStatistics {
  T center, scale, shift;
};

// The sum of f(i, lanes) over a row: vectors of the elements from i on, `lanes` of them or all if that is 0.
template <class T, class F>
LAMINA_INLINE double sum_over(std::int64_t n, F f) {
  using V = Vec<T>;
  constexpr int W = V::width, flight = 4;
  double total = 0;
  for (std::int64_t block = 0; block < n; block += kVectorBlock<T>) {
    const std::int64_t end = block + kVectorBlock<T> < n ? block + kVectorBlock<T> : n;
    V a[flight];
    for (V& v : a) v = V(0);
    std::int64_t i = block;
    for (; i + flight * W <= end; i += flight * W)
      for (int k = 0; k < flight; ++k) a[k] += f(i + k * W, 0);
    for (; i + W <= end; i += W) a[0] += f(i, 0);
    if (const int rest = static_cast<int>(end - i)) a[1] += select(first_lanes<T>(rest), f(i, rest), V(0));
    total += sum(join_tree(a, plus<V>));
  }
  return total;
}

template <class T, class In>
LAMINA_INLINE Vec<T> load(const In* p, std::int64_t i, int lanes) {
  return lanes ? Vec<T>::load(p + i, lanes) : Vec<T>::load(p + i);
}
template <class T, class In>
LAMINA_INLINE void store(Vec<T> v, In* p, std::int64_t i, int lanes) {
  lanes ? v.store(p + i, lanes) : v.store(p + i);
}
template <int W, class F>
LAMINA_INLINE void for_vectors(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) f(i, 0);
  if (i < n) f(i, static_cast<int>(n - i));
}

template <class In, bool centered>
RowStatistics<FloatLane<In>> statistics_of(const In* x, std::int64_t n, double eps) {
  using T = FloatLane<In>;
  using V = Vec<T>;
  const double count = static_cast<double>(n);
  if constexpr (!centered) {
    const double squares = sum_over<T>(n, [x](std::int64_t i, int lanes) {
      const V v = load<T>(x, i, lanes);
      return v * v;
    });
    return {0, static_cast<T>(1 / sqrt(squares / count + eps)), 0};
  }
  const T center =
      static_cast<T>(sum_over<T>(n, [x](std::int64_t i, int lanes) { return load<T>(x, i, lanes); }) / count);
  const V c(center);
  // What rounding the mean left over is not summed up in a pass of its own but with the squares.
  V rest(0);
  double remainder = 0;
  const double squares = sum_over<T>(n, [&](std::int64_t i, int lanes) {
    const V d = load<T>(x, i, lanes) - c;
    rest += lanes ? select(first_lanes<T>(lanes), d, V(0)) : d;
    return d * d;
  });
  remainder = sum(rest) / count;
  const double variance = squares / count - remainder * remainder,
               scale = 1 / sqrt((variance > 0 ? variance : variance * 0) + eps);
  return {center, static_cast<T>(scale), static_cast<T>(-remainder * scale)};
}

template <class In, bool centered>
void forward(RowNorm a, void* out, void* kept) {
  using T = FloatLane<In>;
  using V = Vec<T>;
  const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
  parallel_for(a.rows, rows_of_norm_cut(a.n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const In* x = static_cast<const In*>(a.x) + row * a.n;
      In* y = static_cast<In*>(out) + row * a.n;
      const RowStatistics<T> s = statistics_of<In, centered>(x, a.n, a.eps);
      if (kept) static_cast<RowStatistics<T>*>(kept)[row] = s;
      const V center(s.center), scale(s.scale), shift(s.shift);
      for_vectors<V::width>(a.n, [&](std::int64_t i, int lanes) {
        V v = fma(load<T>(x, i, lanes) - center, scale, shift);
        if (weight) v = v * load<T>(weight, i, lanes);
        if (bias) v += load<T>(bias, i, lanes);
        store<T>(v, y, i, lanes);
      });
    }
  });
}

constexpr std::int64_t kJoinedColumns = 512;

// With g = dy · weight and z the normalised row: dx = scale (g - mean(g) - z mean(g z)), without mean(g) for RMS norm;
// dweight = Σ dy z and dbias = Σ dy over the rows.
template <class In, bool centered>
void backward(RowNorm a, const void* gradient, const void* kept, void* to_x, void* to_weight, void* to_bias,
              void* scratch) {
  using T = FloatLane<In>;
  using V = Vec<T>;
  const std::int64_t n = a.n, cut = rows_of_norm_cut(n);
  const T* weight = static_cast<const T*>(a.weight);
  T* sums = to_weight || to_bias ? static_cast<T*>(scratch) : nullptr;
  parallel_for(a.rows, cut, [&](std::int64_t begin, std::int64_t end) {
    T* dweight = sums ? sums + begin / cut * 2 * n : nullptr;
    T* dbias = sums ? dweight + n : nullptr;
    for (std::int64_t i = 0; sums && i < 2 * n; ++i) dweight[i] = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      const In *x = static_cast<const In*>(a.x) + row * n, *dy = static_cast<const In*>(gradient) + row * n;
      const RowStatistics<T> s = static_cast<const RowStatistics<T>*>(kept)[row];
      const V center(s.center), scale(s.scale), shift(s.shift);
      const auto normalised = [&](std::int64_t i, int lanes) {
        return fma(load<T>(x, i, lanes) - center, scale, shift);
      };
      const auto weighted = [&](std::int64_t i, int lanes) {
        const V d = load<T>(dy, i, lanes);
        return weight ? d * load<T>(weight, i, lanes) : d;
      };
      if (sums)
        for_vectors<V::width>(n, [&](std::int64_t i, int lanes) {
          const V d = load<T>(dy, i, lanes);
          store<T>(fma(d, normalised(i, lanes), load<T>(dweight, i, lanes)), dweight, i, lanes);
          store<T>(load<T>(dbias, i, lanes) + d, dbias, i, lanes);
        });
      if (!to_x) continue;
      In* dx = static_cast<In*>(to_x) + row * n;
      const double count = static_cast<double>(n);
      const double along =
          sum_over<T>(n, [&](std::int64_t i, int lanes) { return weighted(i, lanes) * normalised(i, lanes); }) / count;
      const double mean = centered ? sum_over<T>(n, weighted) / count : 0;
      const V slope(static_cast<T>(along)), level(static_cast<T>(mean));
      for_vectors<V::width>(n, [&](std::int64_t i, int lanes) {
        store<T>(scale * (weighted(i, lanes) - fma(normalised(i, lanes), slope, level)), dx, i, lanes);
      });
    }
  });
  if (!sums) return;
  const std::int64_t cuts = norm_cuts(a.rows, n);
  // A few columns at a time, so that each cut's part of them is read in one go.
  parallel_for(n, kJoinedColumns, [&](std::int64_t begin, std::int64_t end) {
    double dweight[kJoinedColumns] = {}, dbias[kJoinedColumns] = {};
    for (std::int64_t c = 0; c < cuts; ++c) {
      const T *from_weight = sums + 2 * c * n, *from_bias = from_weight + n;
      for (std::int64_t i = begin; i < end; ++i) {
        dweight[i - begin] += from_weight[i];
        dbias[i - begin] += from_bias[i];
      }
    }
    for (std::int64_t i = begin; i < end; ++i) {
      if (to_weight) static_cast<T*>(to_weight)[i] = static_cast<T>(dweight[i - begin]);
      if (to_bias) static_cast<T*>(to_bias)[i] = static_cast<T>(dbias[i - begin]);
    }
  });
}

template <class In>
void fill(NormTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.layer_norm[i] = forward<In, true>;
  t.rms_norm[i] = forward<In, false>;
  t.layer_norm_grad[i] = backward<In, true>;
  t.rms_norm_grad[i] = backward<In, false>;
}

}  // namespace

void fill_norm(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
