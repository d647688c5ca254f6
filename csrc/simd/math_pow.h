// pow(x, y) = 2^(y log2(x)) for float. The product has to be known to 2^-28 where it may be as large as 150, beyond
// what floats hold: it is computed in double.
#pragma once
#include "simd/math_double.h"
#include "simd/math_log.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// log2(1 + f) / f, off by a fraction of less than 2^-35.
LAMINA_INLINE Vec<double> log2_slope(Vec<double> f) {
  return polynomial(f, 0x1.71547652a1e99p+0, -0x1.715476565d002p-1, 0x1.ec709ebb94626p-2, -0x1.71547097d2b1ap-2,
                    0x1.277651fc68fbep-2, -0x1.ec72b585c08fcp-3, 0x1.a63f444b8bcf6p-3, -0x1.714172129cba6p-3,
                    0x1.45291b1a4fda9p-3, -0x1.252f2e08f67f7p-3, 0x1.2871d2d9fc415p-3, -0x1.24890f911927dp-3,
                    0x1.3ce9202d5e859p-4);
}

// For finite y.
LAMINA_INLINE Vec<float> pow_of_parts(LogParts x, Vec<float> y) {
  return in_double(x.k, x.f, y, [](Vec<double> k, Vec<double> f, Vec<double> y) {
    const Vec<double> exponent = y * fma(log2_slope(f), f, k);
    return exp2_for_float(min(200.0, max(-200.0, exponent)));
  });
}

// The cases of C's pow: zeros, infinities and negative x, to which integers are the only powers.
LAMINA_INLINE Vec<float> pow_of_any(Vec<float> x, Vec<float> y) {
  const Vec<float> a = abs(x), inf = HUGE_VALF;
  const Mask<float> tiny = a < 0x1p-126f;
  LogParts parts = split_log(select(tiny, a * 0x1p23f, a));
  parts.k = select(tiny, parts.k - 23.0f, parts.k);

  Vec<float> z = pow_of_parts(parts, y);
  const Mask<float> zero_or_inf = (a == 0.0f) | isinf(x);
  z = select(zero_or_inf | isinf(y), select((a > 1.0f) ^ (y > 0.0f), 0.0f, inf), z);
  const Mask<float> integer = round(y) == y, odd = integer & (round(y * 0.5f) != y * 0.5f);
  z = select((x < 0.0f) & ~integer & ~isinf(x), NAN, z);
  z = select(odd, copysign(z, x), z);
  z = select(isnan(x) | isnan(y), x + y, z);
  return select((x == 1.0f) | (y == 0.0f) | ((a == 1.0f) & isinf(y)), 1.0f, z);
}

LAMINA_INLINE Vec<float> pow(Vec<float> x, Vec<float> y) {
  const float inf = HUGE_VALF;
  if (all((x >= 0x1p-126f) & (x < inf) & (abs(y) < inf))) return pow_of_parts(split_log(x), y);
  return pow_of_any(x, y);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
