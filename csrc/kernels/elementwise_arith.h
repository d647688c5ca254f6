// Arithmetic that neither the processor nor the vector library offers: division with remainder, and integer powers.
#pragma once
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T, class F>
LAMINA_DEVICE Vec<T> lane_by_lane(Vec<T> a, Vec<T> b, F f) {
  T x[Vec<T>::width], y[Vec<T>::width];
  a.store(x);
  b.store(y);
  for (int i = 0; i < Vec<T>::width; ++i) x[i] = f(x[i], y[i]);
  return Vec<T>::load(x);
}

LAMINA_INLINE float fmod(float a, float b) { return ::fmodf(a, b); }
LAMINA_INLINE double fmod(double a, double b) { return ::fmod(a, b); }
template <class T>
LAMINA_DEVICE Vec<T> fmod(Vec<T> a, Vec<T> b) {
  return lane_by_lane(a, b, [](T x, T y) { return fmod(x, y); });
}

// Python's a // b: floor(a / b) may be off by one when the quotient rounds up to an integer, a - fmod(a, b) is not.
template <class V>
LAMINA_DEVICE V floor_divide(V a, V b) {
  const V m = fmod(a, b);
  V q = (a - m) / b;
  q = select((m != V(0)) & ((m < V(0)) ^ (b < V(0))), q - V(1), q);
  const V whole = floor(q);
  const V nearest = select(q - whole > V(0.5), whole + V(1), whole);
  return select(b == V(0), a / b, select(q == V(0), copysign(V(0), a / b), nearest));
}

// Integers: ops/ has refused zero divisors; the most negative number over -1 wraps instead of trapping.
template <Integer T>
LAMINA_DEVICE T fmod(T a, T b) {
  return b == 0 || b == static_cast<T>(-1) ? T(0) : static_cast<T>(a % b);
}
template <Integer T>
LAMINA_DEVICE T floor_divide(T a, T b) {
  if (b == 0) return 0;
  if (b == static_cast<T>(-1)) return static_cast<T>(0 - static_cast<std::uint64_t>(a));
  const T q = static_cast<T>(a / b);
  return static_cast<T>(a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q);
}
// Wraps around; a negative exponent leaves 0 but for the bases 1 and -1.
template <Integer T>
LAMINA_DEVICE T pow(T a, T b) {
  if (b < 0) return a == 1 ? T(1) : a == static_cast<T>(-1) ? (b & 1 ? a : T(1)) : T(0);
  std::uint64_t result = 1, base = static_cast<std::uint64_t>(a);
  for (std::uint64_t e = static_cast<std::uint64_t>(b); e; e >>= 1) {
    if (e & 1) result *= base;
    base *= base;
  }
  return static_cast<T>(result);
}
template <Integer T>
LAMINA_DEVICE T copysign(T magnitude, T sign) {
  return sign < 0 ? static_cast<T>(-magnitude) : magnitude;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
