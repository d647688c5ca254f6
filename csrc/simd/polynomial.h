// polynomial(x, c0, c1, …) = c0 + c1 x + …
#pragma once
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// c[begin] + c[begin + 1] x + … of n terms; powers[i] = x^(2^i).
template <int begin, int n, class V, class T>
LAMINA_INLINE V polynomial_block(const V* powers, const T* c) {
  if constexpr (n == 1) {
    return c[begin];
  } else {
    constexpr int log = n > 8 ? 3 : n > 4 ? 2 : n > 2 ? 1 : 0, half = 1 << log;
    return fma(polynomial_block<begin + half, n - half, V>(powers, c), powers[log],
               polynomial_block<begin, half, V>(powers, c));
  }
}

template <int begin, int n, class V, class T>
LAMINA_INLINE V polynomial_chain(V x, const T* c) {
  if constexpr (n == 1) {
    return c[begin];
  } else {
    return fma(polynomial_chain<begin + 1, n - 1, V>(x, c), x, c[begin]);
  }
}

// Short ones by Horner's rule; long ones by G. Estrin's (1960), whose steps do not all wait for each other: a processor
// cannot look far enough ahead to fill the waiting time of a long chain with the next elements.
template <class V, class... C>
LAMINA_INLINE V polynomial(V x, C... coefficients) {
  constexpr int n = sizeof...(C);
  static_assert(n <= 16);
  const Lane<V> c[] = {coefficients...};
  if constexpr (n < 8) {
    return polynomial_chain<0, n>(x, c);
  } else {
    const V x2 = x * x, x4 = x2 * x2, powers[] = {x, x2, x4, x4 * x4};
    return polynomial_block<0, n>(powers, c);
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
