// Layer norm and RMS norm. A row is read from memory once; its later passes find it in the cache.
#include "kernels/norm.h"

#include "core/parallel.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// (x - center) · scale + shift
template <class T>
struct RowStatistics {
  T center, scale, shift;
};

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

constexpr std::int64_t kSummed = 32;  // vectors that are added up one after the other, and sums of these

// totals[k] = the sum over a row of what f(i, lanes, v) gives as v[k]: vectors of the elements from i on, `lanes` of
// them or all if that is 0.
template <int sums, class T, class F>
LAMINA_INLINE void sum_over(std::int64_t n, double (&totals)[sums], F f) {
  using V = Vec<T>;
  constexpr int W = V::width, flight = 4;
#pragma GCC unroll 8
  for (double& total : totals) total = 0;
  for (std::int64_t block = 0; block < n; block += kSummed * flight * W) {
    const std::int64_t end = smaller(block + kSummed * flight * W, n);
    V a[sums][flight];
#pragma GCC unroll 8
    for (int k = 0; k < sums * flight; ++k) a[k / flight][k % flight] = V(0);
    const auto add = [&](int to, std::int64_t i, int lanes) {
      V v[sums];
      f(i, lanes, v);
#pragma GCC unroll 8
      for (int k = 0; k < sums; ++k) a[k][to] += lanes ? select(first_lanes<T>(lanes), v[k], V(0)) : v[k];
    };
    std::int64_t i = block;
    for (; i + flight * W <= end; i += flight * W)
#pragma GCC unroll 4
      for (int k = 0; k < flight; ++k) add(k, i + k * W, 0);
    for (; i + W <= end; i += W) add(0, i, 0);
    if (i < end) add(1, i, static_cast<int>(end - i));
#pragma GCC unroll 8
    for (int k = 0; k < sums; ++k) totals[k] += sum(join_tree(a[k], plus<V>));
  }
}

template <class In, bool centered>
RowStatistics<FloatLane<In>> statistics_of(const In* x, std::int64_t n, double eps) {
  using T = FloatLane<In>;
  using V = Vec<T>;
  const double count = static_cast<double>(n);
  double total[1];
  if constexpr (!centered) {
    sum_over<1, T>(n, total, [x](std::int64_t i, int lanes, V* v) {
      v[0] = load<T>(x, i, lanes);
      v[0] = v[0] * v[0];
    });
    return {0, static_cast<T>(1 / sqrt(total[0] / count + eps)), 0};
  }
  sum_over<1, T>(n, total, [x](std::int64_t i, int lanes, V* v) { v[0] = load<T>(x, i, lanes); });
  const T center = static_cast<T>(total[0] / count);
  const V c(center);
  // What rounding the mean left over is summed up with the squares.
  double totals[2];
  sum_over<2, T>(n, totals, [x, c](std::int64_t i, int lanes, V* v) {
    v[0] = load<T>(x, i, lanes) - c;
    v[1] = v[0] * v[0];
  });
  const double remainder = totals[0] / count, variance = totals[1] / count - remainder * remainder,
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
        if (weight)
          v = fma(v, load<T>(weight, i, lanes), bias ? load<T>(bias, i, lanes) : V(0));
        else if (bias)
          v += load<T>(bias, i, lanes);
        store<T>(v, y, i, lanes);
      });
    }
  });
}

// With g = dy · weight and z the normalised row: dx = scale (g - mean(g) - z mean(g z)), without mean(g) for RMS norm;
// dweight = Σ dy z and dbias = Σ dy over the rows.
constexpr std::int64_t kRowsAtOnce = 4;

template <class In>
struct RowGradient {
  using T = FloatLane<In>;
  using V = Vec<T>;
  static constexpr int W = V::width;

  std::int64_t n;
  const T* weight;

  LAMINA_INLINE V weighted(V d, std::int64_t i, int lanes) const { return weight ? d * load<T>(weight, i, lanes) : d; }

  // Of `rows` rows at once: along[r] = Σ g z and level[r] = Σ g, and what they add to dweight and dbias, if these are
  // not null, so that these are read and written once for all of them.
  template <int rows>
  void sums(const In* x, const In* dy, const RowStatistics<T>* s, T* dweight, T* dbias, double* along,
            double* level) const {
    for (int r = 0; r < rows; ++r) along[r] = level[r] = 0;
    for (std::int64_t block = 0; block < n; block += kSummed * kSummed * W) {
      V far_along[rows], far_level[rows];
      for (int r = 0; r < rows; ++r) far_along[r] = far_level[r] = V(0);
      const std::int64_t end = smaller(block + kSummed * kSummed * W, n);
      for (std::int64_t near = block; near < end; near += kSummed * W) {
        V a[rows], l[rows];
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) a[r] = l[r] = V(0);
        const auto add = [&](std::int64_t i, int lanes) {
          V products(0), gradients(0);
#pragma GCC unroll 4
          for (int r = 0; r < rows; ++r) {
            const V d = load<T>(dy + r * n, i, lanes);
            V z = fma(load<T>(x + r * n, i, lanes) - V(s[r].center), V(s[r].scale), V(s[r].shift));
            if (lanes) z = select(first_lanes<T>(lanes), z, V(0));
            const V g = weighted(d, i, lanes);
            a[r] = fma(g, z, a[r]);
            l[r] += g;
            products = fma(d, z, products);
            gradients += d;
          }
          if (!dweight) return;
          store<T>(load<T>(dweight, i, lanes) + products, dweight, i, lanes);
          store<T>(load<T>(dbias, i, lanes) + gradients, dbias, i, lanes);
        };
        std::int64_t i = near;
        const std::int64_t last = smaller(near + kSummed * W, end);
        for (; i + W <= last; i += W) add(i, 0);
        if (i < last) add(i, static_cast<int>(last - i));
#pragma GCC unroll 4
        for (int r = 0; r < rows; ++r) far_along[r] += a[r], far_level[r] += l[r];
      }
      for (int r = 0; r < rows; ++r) along[r] += sum(far_along[r]), level[r] += sum(far_level[r]);
    }
  }

  // dx = scale g - (x - center) scale² mean(g z) - scale (mean(g) + shift mean(g z))
  void apply(const In* x, const In* dy, const RowStatistics<T>& s, double along, double level, In* dx) const {
    const double scale = s.scale;
    const V center(s.center), by(s.scale), slope(static_cast<T>(-scale * scale * along)),
        offset(static_cast<T>(-scale * (level + s.shift * along)));
    for_vectors<W>(n, [&](std::int64_t i, int lanes) {
      // The rows that come next, into the second cache: theirs are too many streams for the machine to foresee.
      __builtin_prefetch(x + i + kRowsAtOnce * n, 0, 2);
      __builtin_prefetch(dy + i + kRowsAtOnce * n, 0, 2);
      const V rest = fma(load<T>(x, i, lanes) - center, slope, offset);
      store<T>(fma(weighted(load<T>(dy, i, lanes), i, lanes), by, rest), dx, i, lanes);
    });
  }
};

constexpr std::int64_t kJoinedColumns = 512;

template <class In, bool centered>
void backward(RowNorm a, const void* gradient, const void* kept, void* to_x, void* to_weight, void* to_bias,
              void* scratch) {
  using T = FloatLane<In>;
  const std::int64_t n = a.n, cut = rows_of_norm_cut(n);
  const RowGradient<In> g{n, static_cast<const T*>(a.weight)};
  T* sums = to_weight || to_bias ? static_cast<T*>(scratch) : nullptr;
  parallel_for(a.rows, cut, [&](std::int64_t begin, std::int64_t end) {
    T* dweight = sums ? sums + begin / cut * 2 * n : nullptr;
    T* dbias = sums ? dweight + n : nullptr;
    for (std::int64_t i = 0; sums && i < 2 * n; ++i) dweight[i] = 0;
    for (std::int64_t row = begin, rows; row < end; row += rows) {
      rows = end - row >= kRowsAtOnce ? kRowsAtOnce : 1;
      const In *x = static_cast<const In*>(a.x) + row * n, *dy = static_cast<const In*>(gradient) + row * n;
      const auto* s = static_cast<const RowStatistics<T>*>(kept) + row;
      double along[kRowsAtOnce], level[kRowsAtOnce];
      if (rows == kRowsAtOnce)
        g.template sums<kRowsAtOnce>(x, dy, s, dweight, dbias, along, level);
      else
        g.template sums<1>(x, dy, s, dweight, dbias, along, level);
      const double count = static_cast<double>(n);
      for (std::int64_t r = 0; to_x && r < rows; ++r)
        g.apply(x + r * n, dy + r * n, s[r], along[r] / count, centered ? level[r] / count : 0,
                static_cast<In*>(to_x) + (row + r) * n);
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

void fill_norm_batch(NormTable& t);
void fill_norm_group(NormTable& t);

void fill_norm(NormTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
  fill_norm_batch(t);
  fill_norm_group(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
