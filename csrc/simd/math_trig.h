// sin, cos, tan and their inverses.
//
// Method: x = n pi / 2 + r, with pi / 2 in three parts of 24 bits, whose products with n fused multiply-adds keep whole
// (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980); then polynomials in r.
// Arguments beyond 2^17, rare and in need of many more digits of pi, go to the C library one by one.
// Coefficients: bench/lab/minimax.py.
#pragma once
#include "simd/math_lanes.h"
#include "simd/math_scale.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr float kTrigLimit = 0x1p17f;
constexpr float kPi1 = 0x1.921fb6p+1f, kPi2 = -0x1.777a5cp-24f;
constexpr float kHalfPi1 = 0x1.921fb6p+0f, kHalfPi2 = -0x1.777a5cp-25f, kHalfPi3 = -0x1.ee59dap-50f;

// x = n pi / 2 + r with |r| <= pi / 4, for |x| < kTrigLimit. The last bits of `quadrant` are those of n.
struct Quadrant {
  Vec<float> r;
  Ints<float> quadrant;
};
LAMINA_INLINE Quadrant split_quadrant(Vec<float> x) {
  const Vec<float> shifted = fma(x, 0x1.45f306p-1f, kRounder), n = shifted - kRounder;
  const Vec<float> r = fnma_once(n, kHalfPi3, fnma_once(n, kHalfPi2, fnma_once(n, kHalfPi1, x)));
  return {r, as_ints(shifted)};
}

// sin(r) for |r| <= pi / 4, off by less than 2^-27.
LAMINA_INLINE Vec<float> sin_near_zero(Vec<float> r, Vec<float> s) {
  const Vec<float> p = polynomial(s, -0x1.555544p-3f, 0x1.1106c6p-7f, -0x1.991c26p-13f);
  return fma(p, s * r, r);
}
// cos(r), off by less than 2^-32.
LAMINA_INLINE Vec<float> cos_near_zero(Vec<float> s) {
  const Vec<float> p = polynomial(s, 0x1.55554ap-5f, -0x1.6c0c1ep-10f, 0x1.99e336p-16f);
  return fma(fma(p, s, -0.5f), s, 1.0f);
}

// The sine of r turned by `quadrant` right angles.
LAMINA_INLINE Vec<float> turned_sin(Vec<float> r, Ints<float> quadrant) {
  const Vec<float> s = r * r;
  const Mask<float> odd = shift_left<31>(quadrant) == Ints<float>(INT32_MIN);
  const Ints<float> sign = shift_left<30>(quadrant) & Ints<float>(INT32_MIN);
  return as_vec(as_ints(select(odd, cos_near_zero(s), sin_near_zero(r, s))) ^ sign);
}

LAMINA_INLINE Vec<float> sin(Vec<float> x) {
  const auto [r, quadrant] = split_quadrant(x);
  const Vec<float> y = select(x == 0.0f, x, turned_sin(r, quadrant));  // -0 stays -0
  const Mask<float> in_range = abs(x) < kTrigLimit;
  if (all(in_range)) return y;
  return replace_lanes(~in_range, y, x, [](float lane) { return sin(lane); });
}

LAMINA_INLINE Vec<float> cos(Vec<float> x) {
  const auto [r, quadrant] = split_quadrant(x);
  const Vec<float> y = turned_sin(r, quadrant + Ints<float>(1));
  const Mask<float> in_range = abs(x) < kTrigLimit;
  if (all(in_range)) return y;
  return replace_lanes(~in_range, y, x, [](float lane) { return cos(lane); });
}

// tan(r) for even n, -1 / tan(r) for odd.
LAMINA_INLINE Vec<float> tan(Vec<float> x) {
  // r as in split_quadrant, and what it was too short for: tan is steep enough to feel it.
  const Vec<float> shifted = fma(x, 0x1.45f306p-1f, kRounder), n = shifted - kRounder;
  const Vec<float> first = fnma_once(n, kHalfPi1, x), second = n * kHalfPi2, r = first - second;
  const Vec<float> second_lost = fnma_once(n, kHalfPi2, second);
  const Vec<float> rest = fnma(n, kHalfPi3, ((first - r) - second) + second_lost);
  const Vec<float> s = r * r;
  const Vec<float> p = polynomial(s, 0x1.555562p-2f, 0x1.110d18p-3f, 0x1.baf164p-5f, 0x1.5bcb7cp-6f, 0x1.67ced8p-7f,
                                  -0x1.9a7f0ep-14f, 0x1.24fb86p-8f);
  const Vec<float> t = r + fma(p, s * r, fma(rest, s, rest));
  const Mask<float> odd = shift_left<31>(as_ints(shifted)) == Ints<float>(INT32_MIN);
  const Vec<float> y = select(x == 0.0f, x, select(odd, -1.0f, t) / select(odd, t, 1.0f));
  const Mask<float> in_range = abs(x) < kTrigLimit;
  if (all(in_range)) return y;
  return replace_lanes(~in_range, y, x, [](float lane) { return tan(lane); });
}

// asin(s) - s for 0 <= s <= 1/2 and z = s^2; asin(s) is then off by less than 2^-27.
LAMINA_INLINE Vec<float> asin_tail(Vec<float> s, Vec<float> z) {
  const Vec<float> p = polynomial(z, 0x1.5555c8p-3f, 0x1.330204p-4f, 0x1.747bbap-5f, 0x1.8c3e2ap-6f, 0x1.595c8cp-5f);
  return p * (s * z);
}

struct AsinParts {
  Mask<float> large;
  Vec<float> s, tail;
};
// asin(|x|) = s + tail, or pi / 2 - 2 (s + tail) where |x| > 1/2 is large, with s = sqrt((1 - |x|) / 2); NaN beyond 1.
LAMINA_INLINE AsinParts split_asin(Vec<float> x) {
  const Vec<float> a = abs(x);
  const Mask<float> large = a > 0.5f;
  const Vec<float> z = select(large, fnma(a, 0.5f, 0.5f), a * a), s = select(large, sqrt(z), a);
  return {large, s, asin_tail(s, z)};
}

LAMINA_INLINE Vec<float> asin(Vec<float> x) {
  const auto [large, s, tail] = split_asin(x);
  const Vec<float> from_end = fnma(s, 2.0f, kHalfPi1), lost = fnma(s, 2.0f, kHalfPi1 - from_end);
  return copysign(select(large, from_end + (lost + fnma(tail, 2.0f, kHalfPi2)), s + tail), x);
}

LAMINA_INLINE Vec<float> acos(Vec<float> x) {
  const auto [large, s, tail] = split_asin(x);
  const Vec<float> near_one = 2.0f * (s + tail), y = copysign(s + tail, x);
  const Vec<float> near_minus_one = fnma(s, 2.0f, kPi1) + fnma(tail, 2.0f, kPi2);
  return select(large, select(x < 0.0f, near_minus_one, near_one), kHalfPi1 + (kHalfPi2 - y));
}

// atan(z) for 0 <= z <= 1, off by less than 2^-28.
LAMINA_INLINE Vec<float> atan_to_one(Vec<float> z) {
  const Vec<float> s = z * z;
  const Vec<float> p = polynomial(s, -0x1.55553ep-2f, 0x1.9991e4p-3f, -0x1.242086p-3f, 0x1.c08c46p-4f, -0x1.5808bep-4f,
                                  0x1.da2736p-5f, -0x1.fd742ap-6f, 0x1.6414a6p-7f, -0x1.d331dap-10f);
  return fma(p, s * z, z);
}

LAMINA_INLINE Vec<float> atan(Vec<float> x) {
  const Vec<float> a = abs(x);
  const Mask<float> large = a > 1.0f;
  const Vec<float> t = atan_to_one(select(large, 1.0f / a, a));
  return copysign(select(large, kHalfPi1 + (kHalfPi2 - t), t), x);
}

LAMINA_INLINE Vec<float> atan2(Vec<float> y, Vec<float> x) {
  const Vec<float> ax = abs(x), ay = abs(y), most = maximum(ax, ay), least = minimum(ax, ay);
  // Where both are zero or both infinite the quotient would be NaN; it counts as 0 or 1.
  const Vec<float> z = select(most == 0.0f, 0.0f, select(least == most, 1.0f, least / most));
  const Vec<float> t = atan_to_one(z);
  const Vec<float> first = select(ay > ax, kHalfPi1 + (kHalfPi2 - t), t);  // as if x were positive
  return copysign(select(copysign(1.0f, x) < 0.0f, kPi1 + (kPi2 - first), first), y);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
