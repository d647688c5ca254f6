// Float functions whose steps would each lose a bit too many: computed in double, at half the lanes, they need no
// tricks and come out correctly rounded in all but a few cases in a hundred.
#pragma once
#include "simd/math_scale.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kParts = Vec<float>::width / Vec<double>::width;

template <class F>
LAMINA_INLINE Vec<float> in_double(Vec<float> x, Vec<float> y, F f) {
  Vec<double> xs[kParts], ys[kParts];
  widen(x, xs);
  widen(y, ys);
  for (int i = 0; i < kParts; ++i) xs[i] = f(xs[i], ys[i]);
  return narrow(xs);
}
template <class F>
LAMINA_INLINE Vec<float> in_double(Vec<float> x, Vec<float> y, Vec<float> z, F f) {
  Vec<double> xs[kParts], ys[kParts], zs[kParts];
  widen(x, xs);
  widen(y, ys);
  widen(z, zs);
  for (int i = 0; i < kParts; ++i) xs[i] = f(xs[i], ys[i], zs[i]);
  return narrow(xs);
}

// 2^x for |x| < 1000, off by less than 2^-29: enough for a float.
LAMINA_INLINE Vec<double> exp2_for_float(Vec<double> x) {
  // In the low bits of the sum stands the exponent field of 2^n.
  constexpr double rounder = 0x1.8p52 + 1023;
  const Vec<double> shifted = x + rounder, r = x - (shifted - rounder);
  const Vec<double> p =
      polynomial(r, 0x1.00000002614f7p+0, 0x1.62e430c7e922cp-1, 0x1.ebfbdadcb093fp-3, 0x1.c6aed4b95132dp-5,
                 0x1.3b2dbbc11a379p-7, 0x1.5f456a8a95522p-10, 0x1.41d33356964cdp-13);
  return p * as_vec(shift_left<52>(as_ints(shifted)));
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
