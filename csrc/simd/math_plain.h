// The functions of math.h for one plain number: the C library's, and what it lacks.
#pragma once
#include <math.h>

#include "simd/plain.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE float exp(float x) { return ::expf(x); }
LAMINA_INLINE double exp(double x) { return ::exp(x); }
LAMINA_INLINE float exp2(float x) { return ::exp2f(x); }
LAMINA_INLINE double exp2(double x) { return ::exp2(x); }
LAMINA_INLINE float expm1(float x) { return ::expm1f(x); }
LAMINA_INLINE double expm1(double x) { return ::expm1(x); }
LAMINA_INLINE float log(float x) { return ::logf(x); }
LAMINA_INLINE double log(double x) { return ::log(x); }
LAMINA_INLINE float log2(float x) { return ::log2f(x); }
LAMINA_INLINE double log2(double x) { return ::log2(x); }
LAMINA_INLINE float log10(float x) { return ::log10f(x); }
LAMINA_INLINE double log10(double x) { return ::log10(x); }
LAMINA_INLINE float log1p(float x) { return ::log1pf(x); }
LAMINA_INLINE double log1p(double x) { return ::log1p(x); }
LAMINA_INLINE float sinh(float x) { return ::sinhf(x); }
LAMINA_INLINE double sinh(double x) { return ::sinh(x); }
LAMINA_INLINE float cosh(float x) { return ::coshf(x); }
LAMINA_INLINE double cosh(double x) { return ::cosh(x); }
LAMINA_INLINE float tanh(float x) { return ::tanhf(x); }
LAMINA_INLINE double tanh(double x) { return ::tanh(x); }
LAMINA_INLINE float erf(float x) { return ::erff(x); }
LAMINA_INLINE double erf(double x) { return ::erf(x); }
LAMINA_INLINE float erfc(float x) { return ::erfcf(x); }
LAMINA_INLINE double erfc(double x) { return ::erfc(x); }
LAMINA_INLINE float sin(float x) { return ::sinf(x); }
LAMINA_INLINE double sin(double x) { return ::sin(x); }
LAMINA_INLINE float cos(float x) { return ::cosf(x); }
LAMINA_INLINE double cos(double x) { return ::cos(x); }
LAMINA_INLINE float tan(float x) { return ::tanf(x); }
LAMINA_INLINE double tan(double x) { return ::tan(x); }
LAMINA_INLINE float asin(float x) { return ::asinf(x); }
LAMINA_INLINE double asin(double x) { return ::asin(x); }
LAMINA_INLINE float acos(float x) { return ::acosf(x); }
LAMINA_INLINE double acos(double x) { return ::acos(x); }
LAMINA_INLINE float atan(float x) { return ::atanf(x); }
LAMINA_INLINE double atan(double x) { return ::atan(x); }
LAMINA_INLINE float atan2(float y, float x) { return ::atan2f(y, x); }
LAMINA_INLINE double atan2(double y, double x) { return ::atan2(y, x); }
LAMINA_INLINE float pow(float x, float y) { return ::powf(x, y); }
LAMINA_INLINE double pow(double x, double y) { return ::pow(x, y); }

template <Real T>
LAMINA_INLINE T rsqrt(T x) {
  return T(1) / sqrt(x);
}
template <Real T>
LAMINA_INLINE T reciprocal(T x) {
  return T(1) / x;
}
// exp(-|x|) cannot overflow, and for negative x it is the tail itself rather than 1 less something.
template <Real T>
LAMINA_INLINE T sigmoid(T x) {
  const T e = exp(-abs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}
template <Real T>
LAMINA_INLINE T softplus(T x) {
  return maximum(x, T(0)) + log1p(exp(-abs(x)));
}
template <Real T>
LAMINA_INLINE T log_sigmoid(T x) {
  return -softplus(-x);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
