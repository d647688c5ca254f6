// log(sum(exp(x))) without overflow: the sum is kept relative to exp(shift), the shift being the largest element so
// far.
#pragma once
#include "cpu/elementwise_move.h"
#include "cpu/reduce_driver.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// What is subtracted before exp. An infinite shift is left out: inf - inf would be NaN where the sum is 0 or inf.
template <class V>
LAMINA_INLINE V finite_or_zero(V shift) {
  return select(isinf(shift), V(0), shift);
}

struct ExpSum {
  double shift, sum;  // the sum of exp(x - finite_or_zero(shift))
};
LAMINA_INLINE ExpSum join_exp_sums(ExpSum a, ExpSum b) {
  const double shift = maximum(a.shift, b.shift), by = finite_or_zero(shift);
  const double from_a = a.shift == shift ? a.sum : a.sum * exp(a.shift - by);
  const double from_b = b.shift == shift ? b.sum : b.sum * exp(b.shift - by);
  return {shift, from_a + from_b};
}

template <class In_>
struct LogSumExp {
  using In = In_;
  using T = FloatLane<In>;
  using V = Vec<T>;
  using Partial = ExpSum;
  static constexpr int W = V::width;
  static constexpr std::int64_t kBlock = kVectorBlock<T>;
  static constexpr bool kOrdered = false;

  static Partial merge(Partial a, Partial b) { return join_exp_sums(a, b); }

  [[gnu::noinline]] static Partial block(const In* x, std::int64_t n, std::int64_t, const Reduction&) {
    const V lowest(static_cast<T>(-HUGE_VAL));
    const T largest = hmax(join_block<T>(
        x, n, lowest, [](V v) { return v; }, [](V a, V b) { return maximum(a, b); }));
    return {largest, relative_sum(x, n, largest)};
  }
  static double relative_sum(const In* x, std::int64_t n, T shift) {
    const V by(finite_or_zero(shift));
    return sum(join_block<T>(
        x, n, V(0), [by](V v) { return exp(v - by); }, plus<V>));
  }

  struct Band {
    alignas(64) T shift[kStripColumns];
    alignas(64) T sum[kStripColumns];
  };
  template <int rows, bool first>
  static void add_rows(Band& b, const In* x, std::int64_t stride, std::int64_t n) {
    const auto group = [&](std::int64_t c, auto load) {
      V v[rows], t[rows];
      for (int r = 0; r < rows; ++r) t[r] = v[r] = load(x + r * stride + c);
      V shift = join_tree(t, [](V p, V q) { return maximum(p, q); });
      if (!first) shift = maximum(shift, V::load(b.shift + c));
      const V by = finite_or_zero(shift);
      for (int r = 0; r < rows; ++r) v[r] = exp(v[r] - by);
      V total = join_tree(v, plus<V>);
      if (!first) total += V::load(b.sum + c) * exp(V::load(b.shift + c) - by);
      shift.store(b.shift + c);
      total.store(b.sum + c);
    };
    std::int64_t c = 0;
    for (; c + W <= n; c += W) group(c, [](const In* p) { return V::load(p); });
    if (const int rest = static_cast<int>(n - c)) group(c, [rest](const In* p) { return V::load(p, rest); });
  }
  [[gnu::noinline]] static void band(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n,
                                     std::int64_t, const Reduction&) {
    band(b, x, rows, stride, n);
  }
  [[gnu::noinline]] static void band(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n) {
    std::int64_t r = rows >= 8 ? 8 : 1;
    rows >= 8 ? add_rows<8, true>(b, x, stride, n) : add_rows<1, true>(b, x, stride, n);
    for (; r + 8 <= rows; r += 8) add_rows<8, false>(b, x + r * stride, stride, n);
    for (; r < rows; ++r) add_rows<1, false>(b, x + r * stride, stride, n);
  }
  static LAMINA_INLINE Partial partial(const Band& b, std::int64_t c) { return {b.shift[c], b.sum[c]}; }

  static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, Partial p) {
    static_cast<In*>(g.out)[at] = convert<In>(log(p.sum) + finite_or_zero(p.shift));
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
