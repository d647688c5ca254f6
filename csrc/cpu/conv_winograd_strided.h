// The same for three taps that move by two, a convolution of two sequences in one: its outputs are those of two taps
// over the inputs at even places, by F(2, 2) with three products instead of four, and of one tap over those at odd
// places. Two outputs take 5 products instead of 6; in two dimensions, 25 instead of 36. All factors are 1: nothing is
// lost to rounding.
#pragma once
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// y[i] = w[0] d[2i] + w[1] d[2i + 1] + w[2] d[2i + 2]
struct WinogradStrided {
  static constexpr int kIn = 5, kStep = 4, kOut = 2, kTile = 5;
  using V = Vec<float>;

  static LAMINA_INLINE void input(const V* d, V* to) {
    to[0] = d[0] - d[2];
    to[1] = d[2];
    to[2] = d[2] - d[4];
    to[3] = d[1];
    to[4] = d[3];
  }
  static LAMINA_INLINE void weight(const V* w, V* to) {
    to[0] = w[0];
    to[1] = w[0] + w[2];
    to[2] = w[2];
    to[3] = w[1];
    to[4] = w[1];
  }
  static LAMINA_INLINE void output(const V* p, V* to) {
    to[0] = (p[0] + p[1]) + p[3];
    to[1] = (p[1] - p[2]) + p[4];
  }
  static LAMINA_INLINE void output_turned(const V* y, V* to) {
    to[0] = y[0];
    to[1] = y[0] + y[1];
    to[2] = V(0.0f) - y[1];
    to[3] = y[0];
    to[4] = y[1];
  }
  static LAMINA_INLINE void weight_turned(const V* u, V* to) {
    to[0] = u[0] + u[1];
    to[1] = u[3] + u[4];
    to[2] = u[1] + u[2];
  }
};

// The data gradient where the padding is 1: y[2i] = w[1] d[i] and y[2i + 1] = w[0] d[i] + w[2] d[i + 1], w in reverse.
struct WinogradStridedGradient {
  static constexpr int kIn = 3, kStep = 2, kOut = 4, kTile = 5;
  using V = Vec<float>;

  static LAMINA_INLINE void input(const V* d, V* to) {
    to[0] = d[0] - d[1];
    to[1] = d[1];
    to[2] = d[1] - d[2];
    to[3] = d[0];
    to[4] = d[1];
  }
  static LAMINA_INLINE void weight(const V* w, V* to) { WinogradStrided::weight(w, to); }
  static LAMINA_INLINE void output(const V* p, V* to) {
    to[0] = p[3];
    to[1] = p[0] + p[1];
    to[2] = p[4];
    to[3] = p[1] - p[2];
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
