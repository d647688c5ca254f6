// The cells: one step of one unit, forward and backward. V is a vector of units or a plain number.
//
//   x[]        a gate's share from the input, biases included       r[]   its share from h
//   stored[]   what backward needs, one for each of x[]; backward finds what is made again behind it
//   d[]        gradients of the gates before their activations, in blocks as x[], then of what is made again
//   unit[]     parameters of the unit
//   seen[]     what the gates of the next step see of this one, h first; dseen[] its gradient
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
  static LAMINA_INLINE void step_grad(V& dh, V&, V, V, const V*, std::uint32_t, const V* stored, const V*, V* d) {
    if constexpr (which == RnnCell::tanh)
      d[0] = dh * tanh_slope(stored[0]);
    else
      d[0] = select(stored[0] > V(0), dh, V(0));
    dh = V(0);
  }
};

// S. Hochreiter and J. Schmidhuber, Long Short-Term Memory, 1997, with the forget gate of F. A. Gers et al., 2000.
template <RnnCell which>
struct Lstm {
  static constexpr RnnCell kCell = which;
  static constexpr bool variant = which != RnnCell::lstm, full = which == RnnCell::lstm_full;

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

  // Full gate recurrence: the gates see i, f and o of the step before.
  template <class V>
  static LAMINA_INLINE void show(const V* stored, V* seen) {
    seen[1] = stored[0], seen[2] = stored[1], seen[3] = stored[3];
  }
  template <class V>
  static LAMINA_INLINE V show_grad(const V* dseen, const V*) {
    return dseen[0];  // the gates' go to step_grad
  }

  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V& dc, V, V c_before, const V* unit, std::uint32_t options,
                                      const V* stored, const V* dseen, V* d) {
    const std::uint32_t on = variant ? options : 0;
    const V i = stored[0], f = stored[1], g = stored[2], o = stored[3], c = fma(f, c_before, i * g);
    const V shown = on & kNoOutputActivation ? c : tanh(c);
    V d_o = dh * shown;
    if constexpr (full) d_o = d_o + dseen[3];
    d[3] = on & kNoOutputGate ? V(0) : d_o * sigmoid_slope(o);
    dc = dc + (on & kNoOutputActivation ? dh * o : dh * o * tanh_slope(shown));
    if (on & kPeephole) dc = fma(unit[2], d[3], dc);
    V df = dc * c_before, di = dc * g;
    if constexpr (full) di = di + dseen[1], df = df + dseen[2];
    if (on & kCoupled) di = di - df;
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
    stored[0] = reset, stored[1] = z, stored[2] = n;
    return fma(z, h - n, n);
  }
  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V&, V h_before, V, const V* unit, std::uint32_t, const V* stored, const V*,
                                      V* d) {
    const V reset = stored[0], z = stored[1], n = stored[2], recurrent = stored[3] + unit[0];
    d[2] = dh * (V(1) - z) * tanh_slope(n);
    d[1] = dh * (h_before - n) * sigmoid_slope(z);
    d[0] = d[2] * recurrent * sigmoid_slope(reset);
    d[3] = d[2] * reset;
    dh = dh * z;
  }
};

// The reset gate acts before the product, in two stages, and z weighs the candidate: the form of Cho's paper, and MUT1
// to 3. MUT1's z sees no h, and its candidate tanh(x) itself; MUT2's reset gate x itself; MUT3's z sees tanh(h).
template <RnnCell which>
struct ResetBefore {
  static constexpr RnnCell kCell = which;
  // The first stage: r and z; returns what the second multiplies.
  template <class V>
  static LAMINA_INLINE V mask(const V* x, const V* r, V seen, V* stored) {
    stored[0] = sigmoid(x[0] + r[0]);
    if constexpr (which == RnnCell::mut1)
      stored[1] = sigmoid(x[1]);
    else
      stored[1] = sigmoid(x[1] + r[1]);
    return stored[0] * seen;
  }
  // The second, of the candidate, whose recurrent part is r[0].
  template <class V>
  static LAMINA_INLINE V step(const V* x, const V* r, V h, V&, const V* unit, std::uint32_t, V* stored) {
    V n;
    if constexpr (which == RnnCell::mut1)
      n = tanh(r[0] + unit[0] + tanh(x[2]));
    else
      n = tanh(x[2] + r[0]);
    stored[2] = n;
    return fma(stored[1], n - h, h);
  }
  template <class V>
  static LAMINA_INLINE void step_grad(V& dh, V&, V h_before, V, const V*, std::uint32_t, const V* stored, const V*,
                                      V* d) {
    const V z = stored[1], n = stored[2];
    d[2] = dh * z * tanh_slope(n);
    d[1] = dh * (n - h_before) * sigmoid_slope(z);
    dh = dh * (V(1) - z);
  }
  // Returns the gradient of what the mask saw.
  template <class V>
  static LAMINA_INLINE V mask_grad(V dmasked, V seen, const V* stored, V* d) {
    const V reset = stored[0];
    d[0] = dmasked * seen * sigmoid_slope(reset);
    return dmasked * reset;
  }

  template <class V>
  static LAMINA_INLINE void show(const V*, V* seen) {
    seen[1] = tanh(seen[0]);
  }
  template <class V>
  static LAMINA_INLINE V show_grad(const V* dseen, const V* seen) {
    return fma(dseen[1], tanh_slope(seen[1]), dseen[0]);
  }
};

}  // namespace cell
}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
