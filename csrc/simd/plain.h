// The vocabulary of vec.h for one plain number, so that a formula can be instantiated with float, double or an integer.
#pragma once
#include <math.h>

#include <cstdint>
#include <type_traits>

#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
concept Number = std::is_arithmetic_v<T>;
template <class T>
concept Real = std::is_floating_point_v<T>;
template <class T>
concept Integer = std::is_integral_v<T>;

template <Number T>
LAMINA_INLINE T select(bool m, T a, T b) {
  return m ? a : b;
}
LAMINA_INLINE bool any(bool m) { return m; }
LAMINA_INLINE bool all(bool m) { return m; }

template <Number T>
LAMINA_INLINE T min(T a, T b) {
  return a < b ? a : b;
}
template <Number T>
LAMINA_INLINE T max(T a, T b) {
  return a > b ? a : b;
}
// A NaN in b fails the comparison and is returned; one in a needs the second test.
template <Number T>
LAMINA_INLINE T minimum(T a, T b) {
  return a < b || a != a ? a : b;
}
template <Number T>
LAMINA_INLINE T maximum(T a, T b) {
  return a > b || a != a ? a : b;
}

LAMINA_INLINE float fma(float a, float b, float c) {
  if constexpr (kFusedMultiplyAdd) return ::fmaf(a, b, c);
  return a * b + c;
}
LAMINA_INLINE double fma(double a, double b, double c) {
  if constexpr (kFusedMultiplyAdd) return ::fma(a, b, c);
  return a * b + c;
}
template <Real T>
LAMINA_INLINE T fnma(T a, T b, T c) {
  return fma(-a, b, c);
}
// Integers wrap around, as they do in PyTorch; signed overflow would be undefined.
template <Integer T>
LAMINA_INLINE T fma(T a, T b, T c) {
  return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b) + static_cast<uint64_t>(c));
}
template <Integer T>
LAMINA_INLINE T fnma(T a, T b, T c) {
  return static_cast<T>(static_cast<uint64_t>(c) - static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
template <Integer T>
LAMINA_INLINE T abs(T x) {
  return x < T(0) ? static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x)) : x;
}

LAMINA_INLINE float abs(float x) { return ::fabsf(x); }
LAMINA_INLINE double abs(double x) { return ::fabs(x); }
LAMINA_INLINE float sqrt(float x) { return ::sqrtf(x); }
LAMINA_INLINE double sqrt(double x) { return ::sqrt(x); }
LAMINA_INLINE float copysign(float x, float sign) { return ::copysignf(x, sign); }
LAMINA_INLINE double copysign(double x, double sign) { return ::copysign(x, sign); }

LAMINA_INLINE float floor(float x) { return ::floorf(x); }
LAMINA_INLINE double floor(double x) { return ::floor(x); }
LAMINA_INLINE float ceil(float x) { return ::ceilf(x); }
LAMINA_INLINE double ceil(double x) { return ::ceil(x); }
LAMINA_INLINE float trunc(float x) { return ::truncf(x); }
LAMINA_INLINE double trunc(double x) { return ::trunc(x); }
LAMINA_INLINE float round(float x) { return ::rintf(x); }
LAMINA_INLINE double round(double x) { return ::rint(x); }
template <Integer T>
LAMINA_INLINE T floor(T x) {
  return x;
}
template <Integer T>
LAMINA_INLINE T ceil(T x) {
  return x;
}
template <Integer T>
LAMINA_INLINE T trunc(T x) {
  return x;
}
template <Integer T>
LAMINA_INLINE T round(T x) {
  return x;
}

template <Number T>
LAMINA_INLINE bool isnan(T x) {
  return x != x;
}
template <Number T>
LAMINA_INLINE bool isinf(T x) {
  if constexpr (Real<T>) return abs(x) == static_cast<T>(HUGE_VALF);
  return false;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
