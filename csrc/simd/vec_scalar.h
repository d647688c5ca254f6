// Vec<T> of one lane: the target without vector instructions, and the reference for the others.
#pragma once
#include <type_traits>

#include "simd/half_scalar.h"
#include "simd/plain.h"
#include "simd/vec_ops.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
struct Mask {
  bool m;

  Mask() = default;
  LAMINA_INLINE Mask(bool b) : m(b) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) { return *p != 0; }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) { return n > 0 && *p != 0; }
  LAMINA_INLINE void store_bytes(uint8_t* p) const { *p = m; }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    if (n > 0) *p = m;
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return a.m && b.m; }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return a.m || b.m; }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return a.m != b.m; }
  friend LAMINA_INLINE Mask operator~(Mask a) { return !a.m; }
  friend LAMINA_INLINE bool any(Mask a) { return a.m; }
  friend LAMINA_INLINE bool all(Mask a) { return a.m; }
};

template <class T>
struct Ints {
  using Int = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  using Word = std::make_unsigned_t<Int>;
  Word v;  // unsigned: sums wrap as in a vector register

  Ints() = default;
  LAMINA_INLINE Ints(Int x) : v(static_cast<Word>(x)) {}
  LAMINA_INLINE Ints(Word x) : v(x) {}
  static LAMINA_INLINE Ints load(const void* p) {
    Word x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
  }
  LAMINA_INLINE void store(void* p) const { __builtin_memcpy(p, &v, sizeof v); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return a.v + b.v; }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return a.v - b.v; }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return a.v & b.v; }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return a.v | b.v; }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return a.v ^ b.v; }
  friend LAMINA_INLINE Ints operator~(Ints a) { return ~a.v; }
  friend LAMINA_INLINE Mask<T> operator==(Ints a, Ints b) { return a.v == b.v; }
  friend LAMINA_INLINE Mask<T> operator>(Ints a, Ints b) { return static_cast<Int>(a.v) > static_cast<Int>(b.v); }
  friend LAMINA_INLINE Ints select(Mask<T> m, Ints a, Ints b) { return m.m ? a : b; }
  friend LAMINA_INLINE Ints product_of_low_halves(Ints a, Ints b) {
    return (a.v & Word{0xffffffff}) * (b.v & Word{0xffffffff});
  }
};

template <int k, class T>
LAMINA_INLINE Ints<T> shift_left(Ints<T> a) {
  return a.v << k;
}
template <int k, class T>
LAMINA_INLINE Ints<T> shift_right(Ints<T> a) {
  return a.v >> k;
}

template <class T>
struct Vec : VecOps<Vec<T>, T> {
  static constexpr int width = 1;
  T v;

  Vec() = default;
  LAMINA_INLINE Vec(T x) : v(x) {}

  static LAMINA_INLINE Vec load(const T* p) { return *p; }
  static LAMINA_INLINE Vec load(const T* p, int n) { return n > 0 ? *p : T(0); }
  LAMINA_INLINE void store(T* p) const { *p = v; }
  LAMINA_INLINE void store(T* p, int n) const {
    if (n > 0) *p = v;
  }

  static LAMINA_INLINE Vec load(const float16* p) { return half_to_float(*p); }
  static LAMINA_INLINE Vec load(const float16* p, int n) { return n > 0 ? half_to_float(*p) : 0.0f; }
  LAMINA_INLINE void store(float16* p) const { *p = float_to_half(v); }
  LAMINA_INLINE void store(float16* p, int n) const {
    if (n > 0) store(p);
  }

  static LAMINA_INLINE Vec load(const bfloat16* p) { return brain_to_float(*p); }
  static LAMINA_INLINE Vec load(const bfloat16* p, int n) { return n > 0 ? brain_to_float(*p) : 0.0f; }
  LAMINA_INLINE void store(bfloat16* p) const { *p = float_to_brain(v); }
  LAMINA_INLINE void store(bfloat16* p, int n) const {
    if (n > 0) store(p);
  }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return a.v + b.v; }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return a.v - b.v; }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return a.v * b.v; }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return a.v / b.v; }
  friend LAMINA_INLINE Vec operator-(Vec a) { return -a.v; }

  friend LAMINA_INLINE Mask<T> operator<(Vec a, Vec b) { return a.v < b.v; }
  friend LAMINA_INLINE Mask<T> operator<=(Vec a, Vec b) { return a.v <= b.v; }
  friend LAMINA_INLINE Mask<T> operator>(Vec a, Vec b) { return a.v > b.v; }
  friend LAMINA_INLINE Mask<T> operator>=(Vec a, Vec b) { return a.v >= b.v; }
  friend LAMINA_INLINE Mask<T> operator==(Vec a, Vec b) { return a.v == b.v; }
  friend LAMINA_INLINE Mask<T> operator!=(Vec a, Vec b) { return a.v != b.v; }
  friend LAMINA_INLINE Vec select(Mask<T> m, Vec a, Vec b) { return m.m ? a.v : b.v; }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return fma(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return fnma(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return min(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return max(a.v, b.v); }
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return minimum(a.v, b.v); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return maximum(a.v, b.v); }
  friend LAMINA_INLINE Vec abs(Vec a) { return abs(a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return sqrt(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return floor(a.v); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return ceil(a.v); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return trunc(a.v); }
  friend LAMINA_INLINE Vec round(Vec a) { return round(a.v); }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) { return copysign(a.v, sign.v); }

  template <class Op>
  friend LAMINA_INLINE T fold(Vec a, Op) {
    return a.v;
  }

  friend LAMINA_INLINE Ints<T> as_ints(Vec a) {
    typename Ints<T>::Word bits;
    __builtin_memcpy(&bits, &a.v, sizeof bits);
    return bits;
  }
  // Added to 1.5 * 2^23 (2^52), a number's nearest integer stands in the low bits of the sum. Unlike a conversion
  // instruction this would do only for half the range, so the sum is made in double for float.
  friend LAMINA_INLINE Ints<T> to_ints(Vec a) {
    const double sum = a.v + 0x1.8p52;
    std::uint64_t bits;
    __builtin_memcpy(&bits, &sum, sizeof bits);
    return static_cast<typename Ints<T>::Word>(bits - 0x4338000000000000);  // the bits of 1.5 * 2^52
  }
};

template <class T>
LAMINA_INLINE Vec<T> as_vec(Ints<T> a) {
  T x;
  __builtin_memcpy(&x, &a.v, sizeof x);
  return x;
}
template <class T>
LAMINA_INLINE Vec<T> to_vec(Ints<T> a) {
  return static_cast<T>(static_cast<typename Ints<T>::Int>(a.v));
}

LAMINA_INLINE void widen(Vec<float> x, Vec<double> (&parts)[1]) { parts[0] = x.v; }
LAMINA_INLINE Vec<float> narrow(const Vec<double> (&parts)[1]) { return static_cast<float>(parts[0].v); }

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
