// log, log2, log10, log1p and softplus.
//
// Method: x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and log(1 + f) = f - f^2 / 2 + f^3 p(f), a polynomial
// whose leading terms are exact, so that the result is accurate to its last bits near 1 (W. J. Cody and W. Waite,
// Software Manual for the Elementary Functions, 1980). k log 2 is added in two parts, the first exact.
// Coefficients: bench/lab/minimax.py.
#pragma once
#include "simd/math_exp.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct LogParts {
  Vec<float> k, f;
};
// x = 2^k (1 + f), for positive normal x.
LAMINA_INLINE LogParts split_log(Vec<float> x) {
  constexpr int32_t sqrt_half = 0x3f3504f3, one = 0x3f800000;
  const Ints<float> bits = as_ints(x) + Ints<float>(one - sqrt_half);
  const Vec<float> k = to_vec(shift_right<23>(bits)) - 127.0f;
  return {k, as_vec((bits & Ints<float>(0x7fffff)) + Ints<float>(sqrt_half)) - 1.0f};
}

// (log(1 + f) - f) / f^2; log(1 + f) is then off by less than 2^-30.
LAMINA_INLINE Vec<float> log_remainder(Vec<float> f) {
  return polynomial(f, -0.5f, 0x1.555544p-2f, -0x1.ffffep-3f, 0x1.99a626p-3f, -0x1.55664cp-3f, 0x1.2327b6p-3f,
                    -0x1.fadc1p-4f, 0x1.e67488p-4f, -0x1.e4a584p-4f, 0x1.1ca58cp-4f);
}

LAMINA_INLINE Vec<float> natural_log(LogParts x) {
  const Vec<float> w = log_remainder(x.f) * (x.f * x.f);
  return fma(x.k, kLog2High, x.f + fma(x.k, kLog2Low, w));
}

// Other bases: log10(1 + f) = (f + w) log10(e), the factor in two parts.
LAMINA_INLINE Vec<float> decimal_log(LogParts x) {
  constexpr float log2_high = 0x1.344p-2f, log2_low = 0x1.3509f8p-18f;  // log10(2)
  constexpr float e_high = 0x1.bcb7b2p-2f, e_low = -0x1.5b235ep-27f;    // log10(e)
  const Vec<float> w = log_remainder(x.f) * (x.f * x.f);
  const Vec<float> low = fma(w, e_high, fma(x.f + w, e_low, x.k * log2_low));
  return fma(x.k, log2_high, fma(x.f, e_high, low));
}

LAMINA_INLINE Vec<float> binary_log(LogParts x) {
  constexpr float e_high = 0x1.715476p+0f, e_low = 0x1.4ae0cp-26f;  // log2(e)
  const Vec<float> w = log_remainder(x.f) * (x.f * x.f);
  return x.k + fma(x.f, e_high, fma(w, e_high, (x.f + w) * e_low));
}

// Any x, given the logarithm of positive normal numbers: the others are rare enough for a branch.
template <class Log>
LAMINA_INLINE Vec<float> log_of_any(Vec<float> x, Log log_of) {
  const float inf = HUGE_VALF;
  if (all((x >= 0x1p-126f) & (x < inf))) return log_of(split_log(x));
  const Mask<float> tiny = x < 0x1p-126f;
  LogParts parts = split_log(select(tiny, x * 0x1p23f, x));
  parts.k = select(tiny, parts.k - 23.0f, parts.k);
  const Vec<float> y = select(x < inf, log_of(parts), x);
  return select(x > 0.0f, y, select(x == 0.0f, -inf, select(isnan(x), x, NAN)));
}

LAMINA_INLINE Vec<float> log(Vec<float> x) {
  return log_of_any(x, [](LogParts parts) { return natural_log(parts); });
}
LAMINA_INLINE Vec<float> log2(Vec<float> x) {
  return log_of_any(x, [](LogParts parts) { return binary_log(parts); });
}
LAMINA_INLINE Vec<float> log10(Vec<float> x) {
  return log_of_any(x, [](LogParts parts) { return decimal_log(parts); });
}

// For x in (-1, 2^127): what 1 + x loses in rounding is given back to f.
LAMINA_INLINE Vec<float> log1p_in_range(Vec<float> x) {
  const Vec<float> u = 1.0f + x, from_one = u - 1.0f, lost = (1.0f - (u - from_one)) + (x - from_one);
  auto [k, f] = split_log(u);
  return natural_log({k, fma(lost, power_of_two(-k), f)});
}
LAMINA_INLINE Vec<float> log1p(Vec<float> x) {
  const Mask<float> in_range = (x > -1.0f) & (x < 0x1p126f);
  if (all(in_range)) return copysign(log1p_in_range(x), x);
  return select(in_range, copysign(log1p_in_range(select(in_range, x, 0.0f)), x), log(1.0f + x));
}

LAMINA_INLINE Vec<float> softplus(Vec<float> x) { return maximum(x, 0.0f) + log1p_in_range(exp(-abs(x))); }
LAMINA_INLINE Vec<float> log_sigmoid(Vec<float> x) { return -softplus(-x); }

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
