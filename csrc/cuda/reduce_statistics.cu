// Extremes with their places, variances, log-sum-exp.
#include "cuda/reduce_driver.h"
#include "kernels/elementwise_convert.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// The first of the most extreme elements; a NaN is more extreme than any number.
template <class T>
struct Best {
  T value;
  std::int64_t at;  // -1: none
};

template <bool largest, class T>
struct Extreme {
  using In = T;
  using Partial = Best<T>;
  static constexpr const char* name = largest ? "max" : "min";

  LAMINA_INLINE static Partial none(const Reduction&) { return {T(0), -1}; }
  LAMINA_INLINE static Partial merge(Partial a, Partial b) {
    if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (!a_nan && a.value != b.value) return (largest ? a.value > b.value : a.value < b.value) ? a : b;
    return a.at < b.at ? a : b;
  }
  LAMINA_INLINE static void add(Partial& p, T x, std::int64_t at, const Reduction&) { p = merge(p, {x, at}); }
  LAMINA_INLINE static void store(const Reduction& g, std::int64_t at, Partial p) {
    if (g.out) static_cast<T*>(g.out)[at] = p.value;
    if (g.second) static_cast<std::int64_t*>(g.second)[at] = p.at;
  }
};

// B. P. Welford (1962), joined by the formula of Chan, Golub and LeVeque (1979).
struct Moments {
  double count, mean, squares;  // squares: sum of (x - mean)²
};
template <class T>
struct Variance {
  using In = T;
  using Partial = Moments;
  static constexpr const char* name = "var";

  LAMINA_INLINE static Partial none(const Reduction&) { return {0, 0, 0}; }
  LAMINA_INLINE static void add(Partial& p, T x, std::int64_t, const Reduction&) {
    const double value = static_cast<double>(x), delta = value - p.mean;
    p.count += 1;
    p.mean += delta / p.count;
    p.squares += delta * (value - p.mean);
  }
  LAMINA_INLINE static Partial merge(Partial a, Partial b) {
    if (a.count == 0 || b.count == 0) return a.count == 0 ? b : a;
    const double n = a.count + b.count, delta = b.mean - a.mean, share = b.count / n;
    return {n, a.mean + delta * share, a.squares + b.squares + delta * delta * a.count * share};
  }
  LAMINA_INLINE static void store(const Reduction& g, std::int64_t at, Partial p) {
    const double freedom = static_cast<double>(g.count) - g.p;
    const double variance = p.squares / (freedom > 0 ? freedom : 0);
    static_cast<T*>(g.out)[at] = static_cast<T>(g.root ? sqrt(variance) : variance);
    if (g.second) static_cast<T*>(g.second)[at] = static_cast<T>(p.mean);
  }
};

// log Σ exp(x), from the largest x and the sum of exp(x - largest).
template <class T>
struct Scaled {
  T largest;
  double sum;
};
template <class T>
struct LogSumExp {
  using In = T;
  using Partial = Scaled<T>;
  static constexpr const char* name = "logsumexp";
  static constexpr T kLowest = -std::numeric_limits<T>::infinity();

  LAMINA_INLINE static Partial none(const Reduction&) { return {kLowest, 0}; }
  LAMINA_INLINE static double scaled(double sum, T from, T to) {
    return from == to ? sum : sum * static_cast<double>(exp(Vec<T>(from - to)).v);
  }
  LAMINA_INLINE static Partial merge(Partial a, Partial b) {
    const T most = maximum(a.largest, b.largest);
    return {most, scaled(a.sum, a.largest, most) + scaled(b.sum, b.largest, most)};
  }
  LAMINA_INLINE static void add(Partial& p, T x, std::int64_t, const Reduction&) { p = merge(p, {x, 1}); }
  LAMINA_INLINE static void store(const Reduction& g, std::int64_t at, Partial p) {
    static_cast<T*>(g.out)[at] = static_cast<T>(static_cast<double>(p.largest) + log(p.sum));
  }
};

template <class T>
void fill_extreme(ReduceTable& t, DType type) {
  t.max[static_cast<int>(type)] = reduce<Extreme<true, T>>;
  t.min[static_cast<int>(type)] = reduce<Extreme<false, T>>;
}

}  // namespace

void fill_reduce_statistics(ReduceTable& t) {
  fill_extreme<float>(t, DType::f32);
  fill_extreme<double>(t, DType::f64);
  fill_extreme<std::int64_t>(t, DType::i64);
  fill_extreme<std::int32_t>(t, DType::i32);
  fill_extreme<std::uint8_t>(t, DType::u8);
  fill_extreme<std::uint8_t>(t, DType::b8);
  t.var[static_cast<int>(DType::f32)] = reduce<Variance<float>>;
  t.var[static_cast<int>(DType::f64)] = reduce<Variance<double>>;
  t.logsumexp[static_cast<int>(DType::f32)] = reduce<LogSumExp<float>>;
  t.logsumexp[static_cast<int>(DType::f64)] = reduce<LogSumExp<double>>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
