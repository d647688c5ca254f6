// The cells: one step of one unit, forward and backward. V is a vector of units or a plain number.
//
//   x[]        a gate's share from the input, biases included       r[]   its share from h
//   stored[]   what backward needs, then d: gradients of the gates before their activations, in blocks as x and r
//   unit[]     parameters of the unit
// step returns h and changes c; step_grad receives dh and dc (of the new state), writes d, and turns them into the
// gradients that reach the old state directly, not through r.
#pragma once
#include "kernels/rnn.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {
namespace cell {

template <class V>
LAMINA_INLINE V sigmoid_slope(V y) {
  return y * (V(1) - y);
}
template <class V>
LAMINA_INLINE V tanh_slope(V y) {
  return fnma(y, y, V(1));
}

template <RnnCell which>
struct Elman {
  static constexpr RnnCell kCell = which;
  template <class V>
  static LAMINA_INLINE V step(const V* x, const V* r, V, V&, const V*, std::uint32_t, V* stored) {
    if constexpr (which == RnnCell::tanh)
      return stored[0] = tanh(x[0] + r[0]);
    else
      return stored[0] = maximum(x[0] + r[0], V(0));
  }
  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V&, V, V, V, const V*, std::uint32_t, const V* stored, V* d) {
    if constexpr (which == RnnCell::tanh)
      d[0] = dh * tanh_slope(stored[0]);
    else
      d[0] = select(stored[0] > V(0), dh, V(0));
    dh = V(0);
  }
};

// S. Hochreiter and J. Schmidhuber, Long Short-Term Memory, 1997, with the forget gate of F. A. Gers et al., 2000.
template <bool variant>
struct Lstm {
  static constexpr RnnCell kCell = variant ? RnnCell::lstm_variant : RnnCell::lstm;

  template <class V>
  static LAMINA_INLINE V step(const V* x, const V* r, V, V& c, const V* unit, std::uint32_t options, V* stored) {
    const std::uint32_t on = variant ? options : 0;
    const bool peephole = on & kPeephole;
    V a[4];
    for (int k = 0; k < 4; ++k) a[k] = x[k] + r[k];
    if (peephole) a[0] = fma(unit[0], c, a[0]), a[1] = fma(unit[1], c, a[1]);
    const V i = on & kNoInputGate ? V(1) : sigmoid(a[0]);
    const V f = on & kCoupled ? V(1) - i : on & kNoForgetGate ? V(1) : sigmoid(a[1]);
    const V g = on & kNoInputActivation ? a[2] : tanh(a[2]);
    c = fma(f, c, i * g);
    if (peephole) a[3] = fma(unit[2], c, a[3]);
    const V o = on & kNoOutputGate ? V(1) : sigmoid(a[3]);
    stored[0] = i, stored[1] = f, stored[2] = g, stored[3] = o;
    return o * (on & kNoOutputActivation ? c : tanh(c));
  }

  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V& dc, V, V c_before, V c, const V* unit, std::uint32_t options,
                                      const V* stored, V* d) {
    const std::uint32_t on = variant ? options : 0;
    const V i = stored[0], f = stored[1], g = stored[2], o = stored[3];
    const V shown = on & kNoOutputActivation ? c : tanh(c);
    d[3] = on & kNoOutputGate ? V(0) : dh * shown * sigmoid_slope(o);
    dc = dc + (on & kNoOutputActivation ? dh * o : dh * o * tanh_slope(shown));
    if (on & kPeephole) dc = fma(unit[2], d[3], dc);
    const V df = dc * c_before, di = on & kCoupled ? fma(dc, g, -df) : dc * g;
    d[0] = on & kNoInputGate ? V(0) : di * sigmoid_slope(i);
    d[1] = on & (kNoForgetGate | kCoupled) ? V(0) : df * sigmoid_slope(f);
    d[2] = on & kNoInputActivation ? dc * i : dc * i * tanh_slope(g);
    dc = dc * f;
    if (on & kPeephole) dc = fma(unit[0], d[0], fma(unit[1], d[1], dc));
    dh = V(0);
  }
};

// K. Cho et al., 2014, as PyTorch and cuDNN have it: the reset gate acts after the product with h.
struct Gru {
  static constexpr RnnCell kCell = RnnCell::gru;
  template <class V>
  static LAMINA_INLINE V step(const V* x, const V* r, V h, V&, const V* unit, std::uint32_t, V* stored) {
    const V reset = sigmoid(x[0] + r[0]), z = sigmoid(x[1] + r[1]), recurrent = r[2] + unit[0];
    const V n = tanh(fma(reset, recurrent, x[2]));
    stored[0] = reset, stored[1] = z, stored[2] = n, stored[3] = recurrent;
    return fma(z, h - n, n);
  }
  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V&, V h_before, V, V, const V*, std::uint32_t, const V* stored, V* d) {
    const V reset = stored[0], z = stored[1], n = stored[2], recurrent = stored[3];
    d[2] = dh * (V(1) - z) * tanh_slope(n);
    d[1] = dh * (h_before - n) * sigmoid_slope(z);
    d[0] = d[2] * recurrent * sigmoid_slope(reset);
    d[3] = d[2] * reset;
    dh = dh * z;
  }
};

// The form of the paper: the reset gate acts before the product, in two stages. z weighs the candidate.
struct GruResetBefore {
  static constexpr RnnCell kCell = RnnCell::gru_reset_before;
  // The first stage: gates r and z; returns what the second multiplies.
  template <class V>
  static LAMINA_INLINE V mask(const V* x, const V* r, V h, V* stored) {
    stored[0] = sigmoid(x[0] + r[0]), stored[1] = sigmoid(x[1] + r[1]);
    return stored[0] * h;
  }
  // The second: x, r and stored[2] belong to the candidate.
  template <class V>
  static LAMINA_INLINE V step(const V* x, const V* r, V h, V&, const V*, std::uint32_t, V* stored) {
    const V n = tanh(x[2] + r[2]);
    stored[2] = n;
    return fma(stored[1], n - h, h);
  }
  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V&, V h_before, V, V, const V*, std::uint32_t, const V* stored, V* d) {
    const V z = stored[1], n = stored[2];
    d[2] = dh * z * tanh_slope(n);
    d[1] = dh * (n - h_before) * sigmoid_slope(z);
    dh = dh * (V(1) - z);
  }
  template <class V>
  static LAMINA_INLINE void mask_grad(V dmasked, V& dh, V h_before, const V* stored, V* d) {
    const V reset = stored[0];
    d[0] = dmasked * h_before * sigmoid_slope(reset);
    dh = fma(dmasked, reset, dh);
  }
};

}  // namespace cell
}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
