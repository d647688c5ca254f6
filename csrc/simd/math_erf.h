// erf, erfc and the normal distribution. Coefficients: bench/lab/minimax.py.
#pragma once
#include "simd/math_double.h"
#include "simd/math_exp.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// x + x p(x^2) below 3/4, off by less than 2^-29; above, 1 - 2^p(x), off by less than 2^-28, which beyond 3.925 is 1.
LAMINA_INLINE Vec<float> erf(Vec<float> x) {
  const Vec<float> a = min(3.925f, abs(x)), s = a * a;
  const Vec<float> near = fma(
      polynomial(s, 0x1.06eba8p-3f, -0x1.81273ap-2f, 0x1.ce2acep-4f, -0x1.b7a75cp-6f, 0x1.4f188ap-8f, -0x1.613e52p-11f),
      a, a);

  const Vec<float> exponent = polynomial(a, -0x1.0310d6p-15f, -0x1.a0c3a8p+0f, -0x1.d5abaap-1f, -0x1.36b98ep-3f,
                                         0x1.0e09bap-5f, -0x1.2f1c88p-8f, 0x1.4280dep-12f);
  const auto [n, r] = split_exp2(exponent);
  const Vec<float> far = fnma(exp2_near_zero(r), power_of_two(n), 1.0f);
  return copysign(select(a < 0.75f, near, far), x);
}

// For a = |x|, erfc(a) = exp(-a^2) q g(t) with q = 1 / (a + 3) and t = (a - 3) / (a + 3) = 1 - 6 q, for a factor like
// 1 / a makes exp(a^2) erfc(a) smooth enough in t (M. Shepherd and J. Laframboise, Chebyshev approximation of
// (1 + 2x) exp(x^2) erfc(x), Mathematics of Computation 36, 1981). Off by less than 2^-28.
LAMINA_INLINE Vec<float> erfc(Vec<float> x) {
  const Vec<float> a = min(10.1f, abs(x));  // beyond, erfc is 0
  const Vec<float> y = in_double(a, 1.0f / (a + 3.0f), [](Vec<double> a, Vec<double> q) {
    q = fma(q, fnma(q, a + 3.0, 1.0), q);  // a step of Newton's
    const Vec<double> t = fnma(q, 6.0, 1.0);
    const Vec<double> g =
        polynomial(t, 0x1.12f21de040e91p+0, -0x1.c44c482e4b211p-1, 0x1.2e32678290ef6p-1, -0x1.3deacfab5f5c5p-2,
                   0x1.e99734af8c879p-4, -0x1.b7bd64bfbc353p-6, -0x1.41575dd2d48cap-10, 0x1.93b5d9efd5e79p-9,
                   -0x1.fbe6819d9ef48p-12, -0x1.55c913765764ap-12);
    return exp2_for_float(a * a * -0x1.71547652b82fep+0) * (q * g);
  });
  return select(x < 0.0f, 2.0f - y, y);
}

// exp(-a^2 / 2) = 2^n (1 + e), what a^2 loses in rounding given back.
struct Bell {
  Vec<float> n, e;
};
LAMINA_INLINE Bell split_bell(Vec<float> a) {
  const Vec<float> square = a * a, gained = fnma_once(a, a, square);
  const Vec<float> n = fma(square, -0.5f * kLog2E, kRounder) - kRounder;
  const Vec<float> r = fma(gained, 0.5f, fnma(n, kLog2Low, fnma(n, kLog2High, square * -0.5f)));
  return {n, fma(exp_remainder(r), r, 1.0f) * r};
}

// Φ(-a) exp(a^2 / 2) = q g(t), as for erfc; g is off by less than 2^-29. Its terms from t^3 on are small.
LAMINA_INLINE Vec<float> small_terms_of_tail(Vec<float> t) {
  return polynomial(t, -0x1.832d0ap-5f, -0x1.56d5fcp-7f, 0x1.c8bd7ep-8f, 0x1.0ca416p-10f, -0x1.0eab86p-10f,
                    -0x1.00a4d2p-12f, 0x1.13427p-13f, 0x1.c8cd7ep-15f);
}
template <class V>
LAMINA_INLINE V tail_polynomial(V small_terms, V t) {
  return fma(fma(fma(small_terms, t, 0x1.d7138516621acp-3), t, -0x1.04c729abccd4p-1), t, 0x1.754a751c5f8b8p-1);
}

// x 2^n (1 + e), as x + x e: that loses less than the product of two rounded factors.
LAMINA_INLINE Vec<float> under_bell(Vec<float> x, Bell bell, bool far) {
  const Vec<float> y = fma(x, bell.e, x);
  return far ? scale(y, bell.n) : y * power_of_two(bell.n);
}
// Where the bell nears the denormal numbers.
LAMINA_INLINE bool is_far(Vec<float> a) { return !all(a < 13.0f); }

// x Φ(x) = max(0, x) - a Φ(-a) for a = |x|: nothing cancels on the left. The sign is that of x, of zero too.
LAMINA_INLINE Vec<float> gelu(Vec<float> x) {
  const Vec<float> a = min(14.5f, abs(x)), q = 1.0f / (a + 3.0f);  // beyond, the tail is 0
  const Vec<float> small = small_terms_of_tail(fnma(q, 6.0f, 1.0f));
  // Where the terms are large they are summed in double.
  const Vec<float> ratio = in_double(a, q, small, [](Vec<double> a, Vec<double> q, Vec<double> small) {
    q = fma(q, fnma(q, a + 3.0, 1.0), q);  // a step of Newton's
    return a * q * tail_polynomial(small, fnma(q, 6.0, 1.0));
  });
  return max(copysign(Vec<float>(0.0f), x), x) - under_bell(ratio, split_bell(a), is_far(a));
}

// The derivative Φ(x) + x φ(x), off by less than 2^-21 of its two terms. They cancel at -0.75, so that summing them in
// double would gain little.
LAMINA_INLINE Vec<float> gelu_slope(Vec<float> x) {
  const Vec<float> a = min(15.0f, abs(x)), q = 1.0f / (a + 3.0f), t = fnma(q, 6.0f, 1.0f);
  const Vec<float> ratio = fma(a, -0.39894228f, q * tail_polynomial(small_terms_of_tail(t), t));
  const Vec<float> tail = under_bell(ratio, split_bell(a), is_far(a));
  return select(x < 0.0f, tail, 1.0f - tail);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
