// Two vectors in step: each of their operations is done for both, so that one's latency hides behind the other's. For
// long chains of arithmetic on few numbers, where the processor would see too little of the next vector's chain.
#pragma once
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class V>
struct Pair {
  V a, b;

  Pair() = default;
  LAMINA_INLINE Pair(V a, V b) : a(a), b(b) {}
  LAMINA_INLINE Pair(V both) : a(both), b(both) {}
  LAMINA_INLINE Pair(Lane<V> x) : a(x), b(x) {}

  struct Mask {
    MaskFor<V> a, b;
  };

  friend LAMINA_INLINE Pair operator+(Pair x, Pair y) { return {x.a + y.a, x.b + y.b}; }
  friend LAMINA_INLINE Pair operator-(Pair x, Pair y) { return {x.a - y.a, x.b - y.b}; }
  friend LAMINA_INLINE Pair operator*(Pair x, Pair y) { return {x.a * y.a, x.b * y.b}; }
  friend LAMINA_INLINE Mask operator>(Pair x, Pair y) { return {x.a > y.a, x.b > y.b}; }
  friend LAMINA_INLINE Pair select(Mask m, Pair x, Pair y) { return {select(m.a, x.a, y.a), select(m.b, x.b, y.b)}; }
  friend LAMINA_INLINE Pair fma(Pair x, Pair y, Pair z) { return {fma(x.a, y.a, z.a), fma(x.b, y.b, z.b)}; }
  friend LAMINA_INLINE Pair fnma(Pair x, Pair y, Pair z) { return {fnma(x.a, y.a, z.a), fnma(x.b, y.b, z.b)}; }
  friend LAMINA_INLINE Pair maximum(Pair x, Pair y) { return {maximum(x.a, y.a), maximum(x.b, y.b)}; }
  friend LAMINA_INLINE Pair sigmoid(Pair x) { return {sigmoid(x.a), sigmoid(x.b)}; }
  friend LAMINA_INLINE Pair tanh(Pair x) { return {tanh(x.a), tanh(x.b)}; }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
