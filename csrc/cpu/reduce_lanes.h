// Small things that the kernels of this family share.
#pragma once
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class In>
constexpr bool kIsFloating = Real<In> || std::is_same_v<In, float16> || std::is_same_v<In, bfloat16>;
// What floating elements are computed in.
template <class In>
using FloatLane = std::conditional_t<std::is_same_v<In, double>, double, float>;

// A few vectors in flight hide the latency of an addition; each takes 16 before they are joined, which bounds the
// error.
constexpr int kInFlight = 8;
template <class T>
constexpr std::int64_t kVectorBlock = 16 * kInFlight* Vec<T>::width;

template <class T>
LAMINA_INLINE Mask<T> first_lanes(int n) {
  alignas(64) static constexpr T lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return Vec<T>::load(lanes) < Vec<T>(static_cast<T>(n));
}

// The join of v[0 … n) as a balanced tree; n is a power of two. By recursion: of a loop over steps the compiler would
// keep the array in memory.
template <int n, class V, class Join>
LAMINA_INLINE V join_first(const V* v, Join join) {
  if constexpr (n == 1)
    return v[0];
  else
    return join(join_first<n / 2>(v, join), join_first<n / 2>(v + n / 2, join));
}
template <int n, class V, class Join>
LAMINA_INLINE V join_tree(const V (&v)[n], Join join) {
  return join_first<n>(v, join);
}

// Joins f(x) over the vectors of a block. Lanes past its end give `neutral`.
template <class T, class In, class F, class Join>
LAMINA_INLINE Vec<T> join_block(const In* x, std::int64_t n, Vec<T> neutral, F f, Join join) {
  using V = Vec<T>;
  constexpr int W = V::width;
  V a[kInFlight];
#pragma GCC unroll 8
  for (V& v : a) v = neutral;
  std::int64_t i = 0;
  for (; i + kInFlight * W <= n; i += kInFlight * W)
#pragma GCC unroll 8
    for (int k = 0; k < kInFlight; ++k) a[k] = join(a[k], f(V::load(x + i + k * W)));
  for (; i + W <= n; i += W) a[0] = join(a[0], f(V::load(x + i)));
  if (const int rest = static_cast<int>(n - i))
    a[1] = join(a[1], select(first_lanes<T>(rest), f(V::load(x + i, rest)), neutral));
  return n < kInFlight * W ? join(a[0], a[1]) : join_tree(a, join);
}
template <class V>
LAMINA_INLINE V plus(V a, V b) {
  return a + b;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
