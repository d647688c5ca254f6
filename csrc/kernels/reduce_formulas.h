// One struct per row of LAMINA_FOLDS. V is a vector or a plain number of the type that a block is folded in; Wide is
// what blocks are joined in: blocks are short, so that float sums lose next to nothing on the way.
#pragma once
#include <limits>

#include "kernels/reduce.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {
namespace folds {

template <class T>
using Widened = std::conditional_t<std::is_same_v<T, float>, double, T>;
template <class T>
constexpr T kLowest = Real<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
template <class T>
constexpr T kHighest = Real<T> ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();

struct Finish {  // what the last step may need beside the total
  std::int64_t count;
  double p;
};

// clang-format off
struct sum_op {
  template <class T> using Wide = Widened<T>;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return T(0); }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return x; }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return a + b; }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};
struct mean_op : sum_op {
  template <class W> LAMINA_DEVICE static W finish(W total, Finish f) { return total / static_cast<W>(f.count); }
};
struct nansum_op : sum_op {
  template <class V> LAMINA_DEVICE static V map(V x, double) { return select(x == x, x, V(0)); }
};
struct prod_op {
  template <class T> using Wide = Widened<T>;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return T(1); }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return x; }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return a * b; }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};
struct amax_op {
  template <class T> using Wide = T;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return kLowest<T>; }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return x; }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return maximum(a, b); }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};
struct amin_op {
  template <class T> using Wide = T;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return kHighest<T>; }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return x; }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return minimum(a, b); }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};

template <class V>
LAMINA_DEVICE V one_unless_zero(V x) { return select(x == V(0), V(0), V(1)); }

struct any_op {
  template <class T> using Wide = T;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return T(0); }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return one_unless_zero(x); }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return max(a, b); }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};
struct all_op {
  template <class T> using Wide = T;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return T(1); }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return one_unless_zero(x); }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return min(a, b); }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};
struct count_nonzero_op {  // a block is so short that its count is exact in float
  template <class T> using Wide = std::int64_t;
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return T(0); }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return one_unless_zero(x); }
  template <class V> LAMINA_DEVICE static V join(V a, V b) { return a + b; }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return total; }
};

struct norm_1_op : sum_op {
  template <class V> LAMINA_DEVICE static V map(V x, double) { return abs(x); }
};
struct norm_2_op : sum_op {
  template <class V> LAMINA_DEVICE static V map(V x, double) { return x * x; }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish) { return sqrt(total); }
};
struct norm_inf_op : amax_op {
  template <class T> LAMINA_DEVICE static constexpr T neutral() { return T(0); }
  template <class V> LAMINA_DEVICE static V map(V x, double) { return abs(x); }
};
struct norm_minus_inf_op : amin_op {
  template <class V> LAMINA_DEVICE static V map(V x, double) { return abs(x); }
};
struct norm_p_op : sum_op {
  template <class V> [[gnu::noinline]] LAMINA_DEVICE static V map(V x, double p) { return pow(abs(x), V(static_cast<Lane<V>>(p))); }
  template <class W> LAMINA_DEVICE static W finish(W total, Finish f) { return pow(total, W(1 / f.p)); }
};
// clang-format on

}  // namespace folds
}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
