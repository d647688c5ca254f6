// Powers of two and exponents, the ends of every exponential and logarithm.
#pragma once
#include "simd/polynomial.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// A float is rounded to an integer by adding 1.5 * 2^23: one addition, and the integer stands in the low bits of the
// sum.
constexpr float kRounder = 0x1.8p23f;

// 2^n for integral n in [-126, 127].
LAMINA_INLINE Vec<float> power_of_two(Vec<float> n) { return as_vec(shift_left<23>(as_ints(n + (kRounder + 127)))); }

// x * 2^n for integral n in [-252, 254], rounded once, denormal results included (if |x| >= 2^-24).
LAMINA_INLINE Vec<float> scale(Vec<float> x, Vec<float> n) {
#ifdef LAMINA_TARGET_AVX512
  return _mm512_scalef_ps(x.v, n.v);
#else
  // In two steps, since 2^n itself may not be representable; only the second can round.
  const Ints<float> biased = as_ints(n + (kRounder + 254)), half = shift_right<1>(biased);
  return x * as_vec(shift_left<23>(half)) * as_vec(shift_left<23>(biased - half));
#endif
}

// c - a * b rounded once on every target, the scalar one too.
LAMINA_INLINE Vec<float> fnma_once(Vec<float> a, Vec<float> b, Vec<float> c) {
#ifdef LAMINA_TARGET_SCALAR
  return static_cast<float>(c.v - static_cast<double>(a.v) * b.v);  // the product is exact in double
#else
  return fnma(a, b, c);
#endif
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
