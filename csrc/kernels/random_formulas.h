// From random words to numbers. W is the words of a vector of numbers: Ints<float> or Ints<double>, or one plain
// uint32_t or uint64_t. Nothing here but + - * / sqrt and exact conversions, which IEEE 754 fixes to the bit, and no
// fma: one word gives one number, whatever the instruction set. (For a GPU that means -fmad=false.)
#pragma once
#include "kernels/random_philox.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE float to_vec(uint32_t a) { return static_cast<float>(static_cast<int32_t>(a)); }
LAMINA_INLINE double to_vec(uint64_t a) { return static_cast<double>(static_cast<int64_t>(a)); }
LAMINA_INLINE float as_vec(uint32_t a) {
  float x;
  __builtin_memcpy(&x, &a, sizeof x);
  return x;
}
LAMINA_INLINE double as_vec(uint64_t a) {
  double x;
  __builtin_memcpy(&x, &a, sizeof x);
  return x;
}
LAMINA_INLINE uint32_t as_ints(float a) {
  uint32_t x;
  __builtin_memcpy(&x, &a, sizeof x);
  return x;
}
LAMINA_INLINE uint64_t as_ints(double a) {
  uint64_t x;
  __builtin_memcpy(&x, &a, sizeof x);
  return x;
}

template <class W>
using Numbers = decltype(to_vec(W()));

// What the formulas must know of float and double. The series are minimax polynomials in z (bench/lab/minimax.py):
//   log(1 + f) = s (2 + z log(z)), s = f / (2 + f), z = s^2;  sin x = x (1 + z sin(z)), cos x = 1 - z (1/2 - z cos(z)),
//   z = x^2
template <class T, int n>
struct Series {
  T c[n];
};
template <class T>
struct Real32or64;
template <>
struct Real32or64<float> {
  using Word = int32_t;
  static constexpr int bits = 32, mantissa = 23, turn_bits = 32;
  static constexpr Word one = 0x3f800000, sqrt_half = 0x3f3504f3, mantissa_mask = 0x7fffff;
  static constexpr float bias = 127, log2_high = 0x1.62e4p-1f, log2_low = 0x1.7f7d1cp-20f;
  static LAMINA_INLINE constexpr Series<float, 3> log() { return {{0x1.55557ap-1f, 0x1.995ed6p-2f, 0x1.31e08p-2f}}; }
  static LAMINA_INLINE constexpr Series<float, 3> sin() {
    return {{-0x1.555546p-3f, 0x1.11077ep-7f, -0x1.9956b6p-13f}};
  }
  static LAMINA_INLINE constexpr Series<float, 3> cos() {
    return {{0x1.55554ap-5f, -0x1.6c0c28p-10f, 0x1.99e80cp-16f}};
  }
};
template <>
struct Real32or64<double> {
  using Word = int64_t;
  static constexpr int bits = 64, mantissa = 52, turn_bits = 53;
  static constexpr Word one = 0x3ff0000000000000, sqrt_half = 0x3fe6a09e667f3bcd, mantissa_mask = 0xfffffffffffff;
  static constexpr double bias = 1023, log2_high = 0x1.62e42feep-1, log2_low = 0x1.a39ef35793c76p-33;
  static LAMINA_INLINE constexpr Series<double, 7> log() {
    return {{0x1.5555555555592p-1, 0x1.999999997ff1ap-2, 0x1.24924941e1402p-2, 0x1.c71c521465e88p-3,
             0x1.74663ce8c4d95p-3, 0x1.39a1e9457903cp-3, 0x1.2f03b53a0b683p-3}};
  }
  static LAMINA_INLINE constexpr Series<double, 6> sin() {
    return {{-0x1.5555555555549p-3, 0x1.111111110f8a6p-7, -0x1.a01a019c161a2p-13, 0x1.71de357b1c8p-19,
             -0x1.ae5e689fbba35p-26, 0x1.5d93a4bdc94dap-33}};
  }
  static LAMINA_INLINE constexpr Series<double, 6> cos() {
    return {{0x1.555555555554bp-5, -0x1.6c16c16c15015p-10, 0x1.a01a019c8f254p-16, -0x1.27e4f7f1914aep-22,
             0x1.1ee9dbcf000d6p-29, -0x1.8fa6848b366ap-37}};
  }
};
template <class W>
using RealOf = Real32or64<Lane<Numbers<W>>>;

template <class V, class T, size_t n>
LAMINA_INLINE V horner(V z, const T (&c)[n]) {
  V y = V(c[n - 1]);
  for (int i = static_cast<int>(n) - 2; i >= 0; --i) y = y * z + V(c[i]);
  return y;
}
template <class V, class T, int n>
LAMINA_INLINE V horner(V z, Series<T, n> series) {
  return horner(z, series.c);
}

// The multiples of 2^-24 or 2^-53 in [0, 1).
template <class W>
LAMINA_INLINE Numbers<W> unit(W w) {
  using V = Numbers<W>;
  if constexpr (RealOf<W>::bits == 32)
    return to_vec(shift_right<8>(w)) * V(0x1p-24f);
  else
    return to_vec(shift_right<37>(w)) * V(0x1p-27) + to_vec(shift_right<11>(w) & W(int64_t{0x3ffffff})) * V(0x1p-53);
}

// The middles of 2^32 or 2^64 equal parts of (0, 1), rounded but never to 1: fine steps near 0, where tails come from.
template <class W>
LAMINA_INLINE Numbers<W> inner_unit(W w) {
  using V = Numbers<W>;
  if constexpr (RealOf<W>::bits == 32) {
    const V high = to_vec(shift_right<16>(w)), low = to_vec(w & W(int32_t{0xffff}));
    return min(high * V(0x1p-16f) + (low + V(0.5f)) * V(0x1p-32f), V(0x1.fffffep-1f));
  } else {
    const V high = to_vec(shift_right<32>(w)), low = to_vec(w & W(int64_t{0xffffffff}));
    return min(high * V(0x1p-32) + (low + V(0.5)) * V(0x1p-64), V(0x1.fffffffffffffp-1));
  }
}

// -log(u) for u in (0, 1): u = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).
template <class V>
LAMINA_INLINE V minus_log(V u) {
  using W = decltype(as_ints(u));
  using R = RealOf<W>;
  const W bits = as_ints(u) + W(R::one - R::sqrt_half);
  const V k = to_vec(shift_right<R::mantissa>(bits)) - V(R::bias);
  const V f = as_vec((bits & W(R::mantissa_mask)) + W(R::sqrt_half)) - V(1);
  const V s = f / (V(2) + f), z = s * s;
  return -(k * V(R::log2_high) + (s * (V(2) + z * horner(z, R::log())) + k * V(R::log2_low)));
}

template <class V>
struct Pair {
  V first, second;
};

// Two independent standard normal numbers (G. E. P. Box and M. E. Muller, 1958): the radius from one word, the angle,
// as a fraction of a turn, from the other. |result| < 6.77 (float) or 9.43.
template <class W>
LAMINA_INLINE Pair<Numbers<W>> normal_pair(W radius, W angle) {
  using V = Numbers<W>;
  using R = RealOf<W>;
  using Word = typename R::Word;
  const V r = sqrt(V(2) * minus_log(inner_unit(radius)));

  // angle = quarter turns + x, |x| <= an eighth of a turn. The number of quarters stands in the two top bits of
  // `turned`.
  constexpr int spare = R::bits - R::turn_bits;
  constexpr Word quarter = Word{1} << (R::turn_bits - 2), eighth = quarter / 2;
  W turned = W(eighth);
  if constexpr (spare > 0)
    turned = turned + shift_right<spare>(angle);
  else
    turned = turned + angle;
  const V x = to_vec((turned & W(quarter - 1)) - W(eighth)) * V(static_cast<Lane<V>>(1.5707963267948966) / quarter);
  const V z = x * x;
  const V sine = x + x * (z * horner(z, R::sin())), cosine = V(1) - z * (V(0.5) - z * horner(z, R::cos()));

  // cos and sin of the whole angle: exchanged in odd quarters, and with the signs of their quadrant.
  const auto odd = (turned & W(quarter)) == W(quarter);
  const W sign = W(static_cast<Word>(Word{1} << (R::bits - 1)));
  const W cosine_sign = shift_left<spare>(turned + W(quarter)) & sign, sine_sign = shift_left<spare>(turned) & sign;
  return {r * as_vec(as_ints(select(odd, sine, cosine)) ^ cosine_sign),
          r * as_vec(as_ints(select(odd, cosine, sine)) ^ sine_sign)};
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
