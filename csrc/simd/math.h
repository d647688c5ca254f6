// Elementary functions of Vec<float> and Vec<double>, and of plain numbers:
//
//   exp exp2 expm1 log log2 log10 log1p sinh cosh tanh sigmoid softplus log_sigmoid erf erfc
//   sin cos tan asin acos atan atan2(y, x) pow(x, y) rsqrt reciprocal gelu gelu_slope
//
// softplus is log(1 + exp(x)), log_sigmoid is log(sigmoid(x)), neither overflowing nor losing a tail.
#pragma once
#include "simd/math_erf.h"
#include "simd/math_exp.h"
#include "simd/math_lanes.h"
#include "simd/math_log.h"
#include "simd/math_pow.h"
#include "simd/math_trig.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE Vec<double> exp(Vec<double> x) {
  return each_lane(x, [](double lane) { return exp(lane); });
}
LAMINA_INLINE Vec<double> exp2(Vec<double> x) {
  return each_lane(x, [](double lane) { return exp2(lane); });
}
LAMINA_INLINE Vec<double> expm1(Vec<double> x) {
  return each_lane(x, [](double lane) { return expm1(lane); });
}
LAMINA_INLINE Vec<double> log(Vec<double> x) {
  return each_lane(x, [](double lane) { return log(lane); });
}
LAMINA_INLINE Vec<double> log2(Vec<double> x) {
  return each_lane(x, [](double lane) { return log2(lane); });
}
LAMINA_INLINE Vec<double> log10(Vec<double> x) {
  return each_lane(x, [](double lane) { return log10(lane); });
}
LAMINA_INLINE Vec<double> log1p(Vec<double> x) {
  return each_lane(x, [](double lane) { return log1p(lane); });
}
template <class T>
LAMINA_INLINE Vec<T> sinh(Vec<T> x) {
  return each_lane(x, [](T lane) { return sinh(lane); });
}
template <class T>
LAMINA_INLINE Vec<T> cosh(Vec<T> x) {
  return each_lane(x, [](T lane) { return cosh(lane); });
}
LAMINA_INLINE Vec<double> tanh(Vec<double> x) {
  return each_lane(x, [](double lane) { return tanh(lane); });
}
LAMINA_INLINE Vec<double> sigmoid(Vec<double> x) {
  return each_lane(x, [](double lane) { return sigmoid(lane); });
}
LAMINA_INLINE Vec<double> softplus(Vec<double> x) {
  return each_lane(x, [](double lane) { return softplus(lane); });
}
LAMINA_INLINE Vec<double> log_sigmoid(Vec<double> x) {
  return each_lane(x, [](double lane) { return log_sigmoid(lane); });
}
LAMINA_INLINE Vec<double> erf(Vec<double> x) {
  return each_lane(x, [](double lane) { return erf(lane); });
}
LAMINA_INLINE Vec<double> erfc(Vec<double> x) {
  return each_lane(x, [](double lane) { return erfc(lane); });
}
LAMINA_INLINE Vec<double> gelu(Vec<double> x) { return x * 0.5 * erfc(x * -0.70710678118654752); }
LAMINA_INLINE Vec<double> gelu_slope(Vec<double> x) {
  return fma(x * 0.39894228040143268, exp(-0.5 * x * x), 0.5 * erfc(x * -0.70710678118654752));
}
LAMINA_INLINE Vec<double> sin(Vec<double> x) {
  return each_lane(x, [](double lane) { return sin(lane); });
}
LAMINA_INLINE Vec<double> cos(Vec<double> x) {
  return each_lane(x, [](double lane) { return cos(lane); });
}
LAMINA_INLINE Vec<double> tan(Vec<double> x) {
  return each_lane(x, [](double lane) { return tan(lane); });
}
LAMINA_INLINE Vec<double> asin(Vec<double> x) {
  return each_lane(x, [](double lane) { return asin(lane); });
}
LAMINA_INLINE Vec<double> acos(Vec<double> x) {
  return each_lane(x, [](double lane) { return acos(lane); });
}
LAMINA_INLINE Vec<double> atan(Vec<double> x) {
  return each_lane(x, [](double lane) { return atan(lane); });
}

LAMINA_INLINE Vec<double> pow(Vec<double> x, Vec<double> y) {
  return each_lane(x, y, [](double a, double b) { return pow(a, b); });
}
LAMINA_INLINE Vec<double> atan2(Vec<double> y, Vec<double> x) {
  return each_lane(y, x, [](double a, double b) { return atan2(a, b); });
}

template <class T>
LAMINA_INLINE Vec<T> rsqrt(Vec<T> x) {
  return Vec<T>(1) / sqrt(x);
}
template <class T>
LAMINA_INLINE Vec<T> reciprocal(Vec<T> x) {
  return Vec<T>(1) / x;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
