// Variance and standard deviation. Of each block first the mean, then the squares of the distances from it, which loses
// nothing however large the mean is; blocks are joined by Chan, Golub and LeVeque's formula (1979).
#include "cpu/elementwise_move.h"
#include "cpu/reduce_driver.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Moments {
  double count, mean, squares;  // squares: sum of (x - mean)²
};
LAMINA_INLINE Moments join_moments(Moments a, Moments b) {
  const double n = a.count + b.count, delta = b.mean - a.mean, share = b.count / n;
  return {n, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share};
}
// `sum` and `squares` are of the distances from `center`, the mean as rounded to the element's type.
LAMINA_INLINE Moments centered(double count, double center, double sum, double squares) {
  return {count, center + sum / count, squares - sum * sum / count};
}

template <class In_>
struct Variance {
  using In = In_;
  using T = FloatLane<In>;
  using V = Vec<T>;
  using Partial = Moments;
  static constexpr int W = V::width;
  static constexpr std::int64_t kBlock = kVectorBlock<T>;
  static constexpr bool kOrdered = false;

  static Partial merge(Partial a, Partial b) { return join_moments(a, b); }

  [[gnu::noinline]] static Partial block(const In* x, std::int64_t n, std::int64_t, const Reduction&) {
    const T center = sum(join_block<T>(
                         x, n, V(0), [](V v) { return v; }, plus<V>)) /
                     static_cast<T>(n);
    const V c(center);
    const T rest = sum(join_block<T>(
        x, n, V(0), [c](V v) { return v - c; }, plus<V>));
    const T squares = sum(join_block<T>(
        x, n, V(0), [c](V v) { return (v - c) * (v - c); }, plus<V>));
    return centered(static_cast<double>(n), center, rest, squares);
  }

  static constexpr int kGroup = 16;  // rows whose values stay in registers between the two passes
  struct Band {
    double count;
    alignas(64) double mean[kStripColumns];
    alignas(64) double squares[kStripColumns];
  };
  template <int rows>
  static void add_rows(Band& b, const In* x, std::int64_t stride, std::int64_t n) {
    alignas(64) T center[kStripColumns], sums[kStripColumns], squares[kStripColumns];
    const auto group = [&](std::int64_t c, auto load, auto keep) {
      V v[rows], t[rows];
      for (int r = 0; r < rows; ++r) t[r] = v[r] = load(x + r * stride + c);
      const V mean = join_tree(t, plus<V>) * V(T(1) / rows);
      for (int r = 0; r < rows; ++r) t[r] = v[r] = v[r] - mean;
      const V sum = join_tree(t, plus<V>);
      for (int r = 0; r < rows; ++r) v[r] = v[r] * v[r];
      keep(mean, center + c);
      keep(sum, sums + c);
      keep(join_tree(v, plus<V>), squares + c);
    };
    std::int64_t c = 0;
    for (; c + W <= n; c += W)
      group(
          c, [](const In* p) { return V::load(p); }, [](V v, T* to) { v.store(to); });
    if (const int rest = static_cast<int>(n - c))
      group(
          c, [rest](const In* p) { return V::load(p, rest); }, [rest](V v, T* to) { v.store(to, rest); });
    const double before = b.count, count = before + rows, share = rows / count;
    b.count = count;
    if (before == 0)
      for (c = 0; c < n; ++c) {
        const Moments m = centered(rows, center[c], sums[c], squares[c]);
        b.mean[c] = m.mean;
        b.squares[c] = m.squares;
      }
    else
      for (c = 0; c < n; ++c) {
        const Moments m = centered(rows, center[c], sums[c], squares[c]);
        const double delta = m.mean - b.mean[c];
        b.mean[c] += delta * share;
        b.squares[c] += m.squares + delta * delta * before * share;
      }
  }
  [[gnu::noinline]] static void band(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n,
                                     std::int64_t, const Reduction&) {
    b.count = 0;
    std::int64_t r = 0;
    for (; r + kGroup <= rows; r += kGroup) add_rows<kGroup>(b, x + r * stride, stride, n);
    for (; r + 4 <= rows; r += 4) add_rows<4>(b, x + r * stride, stride, n);
    for (; r < rows; ++r) add_rows<1>(b, x + r * stride, stride, n);
  }
  static LAMINA_INLINE Partial partial(const Band& b, std::int64_t c) { return {b.count, b.mean[c], b.squares[c]}; }

  static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, Partial p) {
    const double freedom = static_cast<double>(g.count) - g.p;
    const double variance = p.squares / (freedom > 0 ? freedom : 0);
    static_cast<In*>(g.out)[at] = convert<In>(g.root ? sqrt(variance) : variance);
    if (g.second) static_cast<In*>(g.second)[at] = convert<In>(p.mean);
  }
};

}  // namespace

void fill_reduce_moments(ReduceTable& t) {
  t.var[static_cast<int>(DType::f32)] = reduce<Variance<float>>;
  t.var[static_cast<int>(DType::f64)] = reduce<Variance<double>>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
