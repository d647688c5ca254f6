// The one-dimensional transforms of Winograd's convolution F(m, 3): m outputs of three taps from m + 2 inputs with
// m + 2 products instead of 3 m (A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, 2016).
//
//   y = Aᵀ [(G w) ⊙ (Bᵀ d)]      d: m + 2 inputs, w: 3 taps, y: m outputs
//   ∂w = Gᵀ [(A ∂y) ⊙ (Bᵀ d)]    the gradient of that: the same matrices, turned
//
// In two dimensions each is applied to the columns and then to the rows. A set of transforms says how many inputs a
// tile reads (kIn), how far the next one begins behind it (kStep), its outputs (kOut) and products (kTile).
#pragma once
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <int m>
struct Winograd;  // stride 1

// Points 0, 1, -1, ∞.
template <>
struct Winograd<2> {
  static constexpr int kIn = 4, kStep = 2, kOut = 2, kTile = 4;
  using V = Vec<float>;

  static LAMINA_INLINE void input(const V* d, V* to) {
    to[0] = d[0] - d[2];
    to[1] = d[2] + d[1];
    to[2] = d[2] - d[1];
    to[3] = d[3] - d[1];
  }
  static LAMINA_INLINE void weight(const V* w, V* to) {
    const V even = (w[0] + w[2]) * 0.5f, odd = w[1] * 0.5f;
    to[0] = w[0];
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = w[2];
  }
  static LAMINA_INLINE void output(const V* p, V* to) {
    to[0] = p[0] + (p[1] + p[2]);
    to[1] = p[3] + (p[1] - p[2]);
  }
  static LAMINA_INLINE void output_turned(const V* y, V* to) {
    to[0] = y[0];
    to[1] = y[0] + y[1];
    to[2] = y[0] - y[1];
    to[3] = y[1];
  }
  static LAMINA_INLINE void weight_turned(const V* u, V* to) {
    const V even = (u[1] + u[2]) * 0.5f;
    to[0] = u[0] + even;
    to[1] = (u[1] - u[2]) * 0.5f;
    to[2] = u[3] + even;
  }
};

// Points 0, ±1/√2, ±√2, ∞: against 0, ±1, ±2, ∞ they cost as much and lose a fifth of the accuracy, for the powers of
// a point and of its reciprocal are then as small as they can be.
template <>
struct Winograd<4> {
  static constexpr int kIn = 6, kStep = 4, kOut = 4, kTile = 6;
  using V = Vec<float>;
  static constexpr float kNear = 0.70710678118654752f, kFar = 1.41421356237309505f;  // squares: 1/2 and 2

  static LAMINA_INLINE void input(const V* d, V* to) {
    const V near_even = fnma(V(2.0f), d[2], d[4]), near_odd = fnma(V(2.0f), d[1], d[3]);
    const V far_even = fnma(V(0.5f), d[2], d[4]), far_odd = fnma(V(0.5f), d[1], d[3]);
    to[0] = fnma(V(2.5f), d[2], d[0] + d[4]);
    to[1] = fma(V(kNear), near_odd, near_even);
    to[2] = fnma(V(kNear), near_odd, near_even);
    to[3] = fma(V(kFar), far_odd, far_even);
    to[4] = fnma(V(kFar), far_odd, far_even);
    to[5] = fnma(V(2.5f), d[3], d[1] + d[5]);
  }
  static LAMINA_INLINE void weight(const V* w, V* to) {
    constexpr float near = -1.0f / 1.5f, far = 1.0f / 6.0f;
    const V near_even = fma(V(0.5f), w[2], w[0]) * near, near_odd = w[1] * (kNear * near);
    const V far_even = fma(V(2.0f), w[2], w[0]) * far, far_odd = w[1] * (kFar * far);
    to[0] = w[0];
    to[1] = near_even + near_odd;
    to[2] = near_even - near_odd;
    to[3] = far_even + far_odd;
    to[4] = far_even - far_odd;
    to[5] = w[2];
  }
  static LAMINA_INLINE void output(const V* p, V* to) {
    const V near_even = p[1] + p[2], near_odd = (p[1] - p[2]) * kNear;
    const V far_even = p[3] + p[4], far_odd = (p[3] - p[4]) * kFar;
    to[0] = p[0] + (near_even + far_even);
    to[1] = near_odd + far_odd;
    to[2] = fma(V(2.0f), far_even, near_even * 0.5f);
    to[3] = fma(V(2.0f), far_odd, fma(V(0.5f), near_odd, p[5]));
  }
  static LAMINA_INLINE void output_turned(const V* y, V* to) {
    const V near_even = fma(V(0.5f), y[2], y[0]), near_odd = fma(V(0.5f), y[3], y[1]);
    const V far_even = fma(V(2.0f), y[2], y[0]), far_odd = fma(V(2.0f), y[3], y[1]);
    to[0] = y[0];
    to[1] = fma(V(kNear), near_odd, near_even);
    to[2] = fnma(V(kNear), near_odd, near_even);
    to[3] = fma(V(kFar), far_odd, far_even);
    to[4] = fnma(V(kFar), far_odd, far_even);
    to[5] = y[3];
  }
  static LAMINA_INLINE void weight_turned(const V* u, V* to) {
    constexpr float near = -1.0f / 1.5f, far = 1.0f / 6.0f;
    const V near_even = (u[1] + u[2]) * near, far_even = (u[3] + u[4]) * far;
    to[0] = u[0] + (near_even + far_even);
    to[1] = fma(V(kNear * near), u[1] - u[2], (u[3] - u[4]) * (kFar * far));
    to[2] = fma(V(0.5f), near_even, fma(V(2.0f), far_even, u[5]));
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
