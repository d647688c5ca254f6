// What every target's Vec<T> shares. Friends of a base class, not templates, so that plain numbers convert:
// maximum(v, 0.0f) works as v + 1.0f does.
#pragma once
#include <math.h>

#include <cstdint>

#include "core/dtype.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
struct Vec;
template <class T>
struct Mask;
template <class T>
struct Ints;

template <class V, class T>
struct VecOps {
  friend LAMINA_INLINE V& operator+=(V& a, V b) { return a = a + b; }
  friend LAMINA_INLINE V& operator-=(V& a, V b) { return a = a - b; }
  friend LAMINA_INLINE V& operator*=(V& a, V b) { return a = a * b; }
  friend LAMINA_INLINE V& operator/=(V& a, V b) { return a = a / b; }

  friend LAMINA_INLINE Mask<T> isnan(V x) { return x != x; }
  friend LAMINA_INLINE Mask<T> isinf(V x) { return abs(x) == V(static_cast<T>(HUGE_VALF)); }

  friend LAMINA_INLINE T sum(V x) {
    return fold(x, [](V a, V b) { return a + b; });
  }
  friend LAMINA_INLINE T hmax(V x) {
    return fold(x, [](V a, V b) { return maximum(a, b); });
  }
  friend LAMINA_INLINE T hmin(V x) {
    return fold(x, [](V a, V b) { return minimum(a, b); });
  }

  // The bfloat16 nearest to each float, halves to even, in the low 16 bits. A NaN stays one: rounding its low bits
  // could carry all the way into infinity.
  friend LAMINA_INLINE Ints<T> brain_bits(V x) {
    const Ints<T> bits = as_ints(x), high = shift_right<16>(bits);
    return select(isnan(x), high | Ints<T>(0x40), shift_right<16>(bits + Ints<T>(0x7fff) + (high & Ints<T>(1))));
  }
};

// Ints<T>: int32 lanes for float, int64 lanes for double.
//   + - & | ^ ~, shift_left<k>, shift_right<k> (zeros come in), == and > (signed), select
//   load(p), store(p)            unaligned, a whole register
//   product_of_low_halves(a, b)  of the low 32 bits of each int64 lane, all 64 bits of it
//   as_ints(Vec), as_vec(Ints)   the same bits
//   to_ints(Vec), to_vec(Ints)   the same value, halves to even; for |value| < 2^31 (float), < 2^51 (double)
//
// widen(v, parts), narrow(parts): a Vec<float> to and from the 2 (on scalar 1) Vec<double> that hold the same lanes.

// The element type behind a formula's V, and what its comparisons give.
template <class V>
struct LaneOf {
  using type = V;
  using mask = bool;
};
template <class T>
struct LaneOf<Vec<T>> {
  using type = T;
  using mask = Mask<T>;
};
template <class V>
using Lane = typename LaneOf<V>::type;
template <class V>
using MaskFor = typename LaneOf<V>::mask;

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
