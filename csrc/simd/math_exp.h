// exp, exp2, expm1 and what is one step from them: sigmoid, sinh, cosh, tanh.
//
// Method: x = n log 2 + r with n an integer and |r| <= log(2) / 2, so exp(x) = 2^n exp(r), and exp(r) is a polynomial
// (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). log 2 is subtracted in two parts, the
// first so short that its products with n are exact. Coefficients: bench/lab/minimax.py.
#pragma once
#include "simd/math_scale.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr float kLog2E = 0x1.715476p+0f;
constexpr float kLog2High = 0x1.62e4p-1f;  // 15 bits
constexpr float kLog2Low = 0x1.7f7d1cp-20f;

struct ExpParts {
  Vec<float> n, r;
};
// x = n log 2 + r, for |x| < 10^4.
LAMINA_INLINE ExpParts split_exp(Vec<float> x) {
  const Vec<float> n = fma(x, kLog2E, kRounder) - kRounder;
  return {n, fnma(n, kLog2Low, fnma(n, kLog2High, x))};
}

// (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2: exp(r) is then off by less than 2^-28.
LAMINA_INLINE Vec<float> exp_remainder(Vec<float> r) {
  return polynomial(r, 0x1.fffffcp-2f, 0x1.55548cp-3f, 0x1.555858p-5f, 0x1.123dep-7f, 0x1.6ac74ep-10f);
}
LAMINA_INLINE Vec<float> exp_near_zero(Vec<float> r) { return fma(fma(exp_remainder(r), r, 1.0f), r, 1.0f); }

LAMINA_INLINE Vec<float> exp(Vec<float> x) {
  // Where scale() takes several instructions it is worth a branch to do without for results well inside the range.
  if constexpr (kTarget == Target::avx2 || kTarget == Target::neon) {
    if (all(abs(x) < 87.0f)) {
      const auto [n, r] = split_exp(x);
      return exp_near_zero(r) * power_of_two(n);
    }
  }
  // Beyond these bounds the result is 0 or infinity. A NaN, as the second operand, passes.
  const auto [n, r] = split_exp(min(89.0f, max(-104.0f, x)));
  return scale(exp_near_zero(r), n);
}

// x = n + r
LAMINA_INLINE ExpParts split_exp2(Vec<float> x) {
  const Vec<float> n = (x + kRounder) - kRounder;
  return {n, x - n};
}
// 2^r for |r| <= 1/2, off by less than 2^-27.
LAMINA_INLINE Vec<float> exp2_near_zero(Vec<float> r) {
  return polynomial(r, 1.0f, 0x1.62e432p-1f, 0x1.ebfbe6p-3f, 0x1.c6ada6p-5f, 0x1.3b21c6p-7f, 0x1.5fc01ep-10f,
                    0x1.4bc6p-13f);
}
LAMINA_INLINE Vec<float> exp2(Vec<float> x) {
  const auto [n, r] = split_exp2(min(129.0f, max(-151.0f, x)));
  return scale(exp2_near_zero(r), n);
}

// exp(x) - 1 = 2^n r^2 p(r) + (2^n r + (2^n - 1)): near zero, where n = 0, the bracket is r itself, and elsewhere its
// rounding is all that matters.
LAMINA_INLINE Vec<float> expm1_in_range(Vec<float> x) {
  const auto [n, r] = split_exp(x);
  const Vec<float> two_n = power_of_two(n);
  return fma(two_n, exp_remainder(r) * (r * r), fma(two_n, r, two_n - 1.0f));
}
LAMINA_INLINE Vec<float> expm1(Vec<float> x) {
  // The last half octave, where 2^n overflows and exp(x) need not, is left to exp; x < -18 gives -1.
  const Vec<float> near = expm1_in_range(min(88.0f, max(-18.0f, x)));
  return copysign(select(x > 88.0f, exp(x), near), x);
}

// Of |x|, so that nothing overflows; for negative x it is the tail itself rather than one less something.
LAMINA_INLINE Vec<float> sigmoid(Vec<float> x) {
  const Vec<float> e = exp(-abs(x));
  return select(x < 0.0f, e, 1.0f) / (1.0f + e);
}

// t / (t + 2) for t = expm1(2|x|), which forgives errors of t the better the larger it is; beyond 10 it is 1.
LAMINA_INLINE Vec<float> tanh(Vec<float> x) {
  const Vec<float> t = expm1_in_range(2.0f * min(10.0f, abs(x)));
  return copysign(t / (t + 2.0f), x);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
