// Vec<T> in 256-bit registers; masks are registers of all-ones and all-zero lanes. Needs AVX2, FMA and F16C.
#pragma once
#include <immintrin.h>

#include "simd/vec_ops.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

alignas(32) constexpr int32_t kTailMask32[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
alignas(32) constexpr int64_t kTailMask64[8] = {-1, -1, -1, -1};

// The first n lanes all ones.
LAMINA_INLINE __m256i tail_mask32(int n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kTailMask32 + 8 - n));
}
LAMINA_INLINE __m256i tail_mask64(int n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kTailMask64 + 4 - n));
}

template <>
struct Mask<float> {
  __m256 m;

  Mask() = default;
  LAMINA_INLINE Mask(__m256 r) : m(r) {}
  LAMINA_INLINE Mask(__m256i r) : m(_mm256_castsi256_ps(r)) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return _mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_setzero_si256());
  }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) {
    uint8_t bytes[8] = {};
    __builtin_memcpy(bytes, p, static_cast<size_t>(n));
    return load_bytes(bytes);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p) const {
    const __m256i lanes = _mm256_castps_si256(m);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    const __m128i bytes = _mm_and_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    uint8_t bytes[8];
    store_bytes(bytes);
    __builtin_memcpy(p, bytes, static_cast<size_t>(n));
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return _mm256_and_ps(a.m, b.m); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return _mm256_or_ps(a.m, b.m); }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return _mm256_xor_ps(a.m, b.m); }
  friend LAMINA_INLINE Mask operator~(Mask a) { return a ^ Mask(_mm256_set1_epi32(-1)); }
  friend LAMINA_INLINE bool any(Mask a) { return _mm256_movemask_ps(a.m) != 0; }
  friend LAMINA_INLINE bool all(Mask a) { return _mm256_movemask_ps(a.m) == 0xff; }
};

template <>
struct Mask<double> {
  __m256d m;

  Mask() = default;
  LAMINA_INLINE Mask(__m256d r) : m(r) {}
  LAMINA_INLINE Mask(__m256i r) : m(_mm256_castsi256_pd(r)) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) {
    int32_t bytes;
    __builtin_memcpy(&bytes, p, 4);
    return _mm256_cmpgt_epi64(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(bytes)), _mm256_setzero_si256());
  }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) {
    uint8_t bytes[4] = {};
    __builtin_memcpy(bytes, p, static_cast<size_t>(n));
    return load_bytes(bytes);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p) const {
    const __m256i lanes = _mm256_castpd_si256(m);
    const __m128i longs = _mm_packs_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    const __m128i words = _mm_packs_epi32(longs, longs);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_and_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(1)));
    __builtin_memcpy(p, &bytes, 4);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    uint8_t bytes[4];
    store_bytes(bytes);
    __builtin_memcpy(p, bytes, static_cast<size_t>(n));
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return _mm256_and_pd(a.m, b.m); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return _mm256_or_pd(a.m, b.m); }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return _mm256_xor_pd(a.m, b.m); }
  friend LAMINA_INLINE Mask operator~(Mask a) { return a ^ Mask(_mm256_set1_epi32(-1)); }
  friend LAMINA_INLINE bool any(Mask a) { return _mm256_movemask_pd(a.m) != 0; }
  friend LAMINA_INLINE bool all(Mask a) { return _mm256_movemask_pd(a.m) == 0xf; }
};

template <>
struct Ints<float> {
  __m256i v;

  Ints() = default;
  LAMINA_INLINE Ints(__m256i r) : v(r) {}
  LAMINA_INLINE Ints(int32_t x) : v(_mm256_set1_epi32(x)) {}
  static LAMINA_INLINE Ints load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  LAMINA_INLINE void store(void* p) const { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return _mm256_add_epi32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return _mm256_sub_epi32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return _mm256_and_si256(a.v, b.v); }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return _mm256_or_si256(a.v, b.v); }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return _mm256_xor_si256(a.v, b.v); }
  friend LAMINA_INLINE Ints operator~(Ints a) { return a ^ Ints(-1); }
  friend LAMINA_INLINE Mask<float> operator==(Ints a, Ints b) { return _mm256_cmpeq_epi32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator>(Ints a, Ints b) { return _mm256_cmpgt_epi32(a.v, b.v); }
  friend LAMINA_INLINE Ints select(Mask<float> m, Ints a, Ints b) {
    return _mm256_blendv_epi8(b.v, a.v, _mm256_castps_si256(m.m));
  }
};

template <>
struct Ints<double> {
  __m256i v;

  Ints() = default;
  LAMINA_INLINE Ints(__m256i r) : v(r) {}
  LAMINA_INLINE Ints(int64_t x) : v(_mm256_set1_epi64x(x)) {}
  static LAMINA_INLINE Ints load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  LAMINA_INLINE void store(void* p) const { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return _mm256_add_epi64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return _mm256_sub_epi64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return _mm256_and_si256(a.v, b.v); }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return _mm256_or_si256(a.v, b.v); }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return _mm256_xor_si256(a.v, b.v); }
  friend LAMINA_INLINE Ints operator~(Ints a) { return a ^ Ints(int64_t{-1}); }
  friend LAMINA_INLINE Mask<double> operator==(Ints a, Ints b) { return _mm256_cmpeq_epi64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator>(Ints a, Ints b) { return _mm256_cmpgt_epi64(a.v, b.v); }
  friend LAMINA_INLINE Ints select(Mask<double> m, Ints a, Ints b) {
    return _mm256_blendv_epi8(b.v, a.v, _mm256_castpd_si256(m.m));
  }
  friend LAMINA_INLINE Ints product_of_low_halves(Ints a, Ints b) { return _mm256_mul_epu32(a.v, b.v); }
};

template <int k>
LAMINA_INLINE Ints<float> shift_left(Ints<float> a) {
  return _mm256_slli_epi32(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<float> shift_right(Ints<float> a) {
  return _mm256_srli_epi32(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<double> shift_left(Ints<double> a) {
  return _mm256_slli_epi64(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<double> shift_right(Ints<double> a) {
  return _mm256_srli_epi64(a.v, k);
}

template <>
struct Vec<float> : VecOps<Vec<float>, float> {
  static constexpr int width = 8;
  __m256 v;

  Vec() = default;
  LAMINA_INLINE Vec(__m256 r) : v(r) {}
  LAMINA_INLINE Vec(float x) : v(_mm256_set1_ps(x)) {}

  static LAMINA_INLINE Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static LAMINA_INLINE Vec load(const float* p, int n) { return _mm256_maskload_ps(p, tail_mask32(n)); }
  LAMINA_INLINE void store(float* p) const { _mm256_storeu_ps(p, v); }
  LAMINA_INLINE void store(float* p, int n) const {
    __m128 rest = _mm256_castps256_ps128(v);
    if (n & 8) return store(p);
    if (n & 4) {
      _mm_storeu_ps(p, rest);
      rest = _mm256_extractf128_ps(v, 1);
      p += 4;
    }
    if (n & 2) {
      _mm_storel_pi(reinterpret_cast<__m64*>(p), rest);
      rest = _mm_movehl_ps(rest, rest);
      p += 2;
    }
    if (n & 1) _mm_store_ss(p, rest);
  }

  static LAMINA_INLINE Vec load(const float16* p) { return _mm256_cvtph_ps(load_words(p)); }
  static LAMINA_INLINE Vec load(const float16* p, int n) { return _mm256_cvtph_ps(load_words(p, n)); }
  LAMINA_INLINE void store(float16* p) const { store_words(p, to_half()); }
  LAMINA_INLINE void store(float16* p, int n) const { store_words(p, n, to_half()); }

  static LAMINA_INLINE Vec load(const bfloat16* p) { return from_brain(load_words(p)); }
  static LAMINA_INLINE Vec load(const bfloat16* p, int n) { return from_brain(load_words(p, n)); }
  LAMINA_INLINE void store(bfloat16* p) const { store_words(p, to_brain()); }
  LAMINA_INLINE void store(bfloat16* p, int n) const { store_words(p, n, to_brain()); }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return _mm256_add_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return _mm256_sub_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return _mm256_mul_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return _mm256_div_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return _mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f)); }

  friend LAMINA_INLINE Mask<float> operator<(Vec a, Vec b) { return _mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ); }
  friend LAMINA_INLINE Mask<float> operator<=(Vec a, Vec b) { return _mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ); }
  friend LAMINA_INLINE Mask<float> operator>(Vec a, Vec b) { return _mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ); }
  friend LAMINA_INLINE Mask<float> operator>=(Vec a, Vec b) { return _mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ); }
  friend LAMINA_INLINE Mask<float> operator==(Vec a, Vec b) { return _mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ); }
  friend LAMINA_INLINE Mask<float> operator!=(Vec a, Vec b) { return _mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ); }
  friend LAMINA_INLINE Vec select(Mask<float> m, Vec a, Vec b) { return _mm256_blendv_ps(b.v, a.v, m.m); }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return _mm256_min_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return _mm256_max_ps(a.v, b.v); }
  // The instruction returns its second operand if either is NaN: that settles a NaN in b.
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return select(a != a, a, min(a, b)); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return select(a != a, a, max(a, b)); }
  friend LAMINA_INLINE Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return _mm256_sqrt_ps(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return _mm256_round_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return _mm256_round_ps(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return _mm256_round_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec round(Vec a) { return _mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(bit, a.v), _mm256_and_ps(bit, sign.v));
  }

  template <class Op>
  friend LAMINA_INLINE float fold(Vec a, Op op) {
    a = op(a, _mm256_permute2f128_ps(a.v, a.v, 0x01));
    a = op(a, _mm256_permute_ps(a.v, 0x4e));
    a = op(a, _mm256_permute_ps(a.v, 0xb1));
    return _mm256_cvtss_f32(a.v);
  }

  friend LAMINA_INLINE Ints<float> as_ints(Vec a) { return _mm256_castps_si256(a.v); }
  friend LAMINA_INLINE Ints<float> to_ints(Vec a) { return _mm256_cvtps_epi32(a.v); }

 private:
  static LAMINA_INLINE __m128i load_words(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static LAMINA_INLINE __m128i load_words(const void* p, int n) {
    uint16_t words[8] = {};
    __builtin_memcpy(words, p, static_cast<size_t>(n) * 2);
    return load_words(words);
  }
  static LAMINA_INLINE void store_words(void* p, __m128i r) { _mm_storeu_si128(static_cast<__m128i*>(p), r); }
  static LAMINA_INLINE void store_words(void* p, int n, __m128i r) {
    uint16_t words[8];
    store_words(words, r);
    __builtin_memcpy(p, words, static_cast<size_t>(n) * 2);
  }
  LAMINA_INLINE __m128i to_half() const { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static LAMINA_INLINE Vec from_brain(__m128i h) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
  }
  LAMINA_INLINE __m128i to_brain() const {
    const __m256i bits = brain_bits(*this).v;
    return _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  }
};

template <>
struct Vec<double> : VecOps<Vec<double>, double> {
  static constexpr int width = 4;
  __m256d v;

  Vec() = default;
  LAMINA_INLINE Vec(__m256d r) : v(r) {}
  LAMINA_INLINE Vec(double x) : v(_mm256_set1_pd(x)) {}

  static LAMINA_INLINE Vec load(const double* p) { return _mm256_loadu_pd(p); }
  static LAMINA_INLINE Vec load(const double* p, int n) { return _mm256_maskload_pd(p, tail_mask64(n)); }
  LAMINA_INLINE void store(double* p) const { _mm256_storeu_pd(p, v); }
  LAMINA_INLINE void store(double* p, int n) const { _mm256_maskstore_pd(p, tail_mask64(n), v); }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return _mm256_add_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return _mm256_sub_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return _mm256_mul_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return _mm256_div_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return _mm256_xor_pd(a.v, _mm256_set1_pd(-0.0)); }

  friend LAMINA_INLINE Mask<double> operator<(Vec a, Vec b) { return _mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ); }
  friend LAMINA_INLINE Mask<double> operator<=(Vec a, Vec b) { return _mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ); }
  friend LAMINA_INLINE Mask<double> operator>(Vec a, Vec b) { return _mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ); }
  friend LAMINA_INLINE Mask<double> operator>=(Vec a, Vec b) { return _mm256_cmp_pd(a.v, b.v, _CMP_GE_OQ); }
  friend LAMINA_INLINE Mask<double> operator==(Vec a, Vec b) { return _mm256_cmp_pd(a.v, b.v, _CMP_EQ_OQ); }
  friend LAMINA_INLINE Mask<double> operator!=(Vec a, Vec b) { return _mm256_cmp_pd(a.v, b.v, _CMP_NEQ_UQ); }
  friend LAMINA_INLINE Vec select(Mask<double> m, Vec a, Vec b) { return _mm256_blendv_pd(b.v, a.v, m.m); }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_pd(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_pd(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return _mm256_min_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return _mm256_max_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return select(a != a, a, min(a, b)); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return select(a != a, a, max(a, b)); }
  friend LAMINA_INLINE Vec abs(Vec a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return _mm256_sqrt_pd(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return _mm256_round_pd(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return _mm256_round_pd(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return _mm256_round_pd(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec round(Vec a) { return _mm256_round_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) {
    const __m256d bit = _mm256_set1_pd(-0.0);
    return _mm256_or_pd(_mm256_andnot_pd(bit, a.v), _mm256_and_pd(bit, sign.v));
  }

  template <class Op>
  friend LAMINA_INLINE double fold(Vec a, Op op) {
    a = op(a, _mm256_permute2f128_pd(a.v, a.v, 0x01));
    a = op(a, _mm256_permute_pd(a.v, 0x5));
    return _mm256_cvtsd_f64(a.v);
  }

  friend LAMINA_INLINE Ints<double> as_ints(Vec a) { return _mm256_castpd_si256(a.v); }
  // No conversion instruction: added to 1.5 * 2^52, a number's nearest integer stands in the low bits of the sum.
  friend LAMINA_INLINE Ints<double> to_ints(Vec a) { return as_ints(a + kIntegerShift) - as_ints(Vec(kIntegerShift)); }
  static constexpr double kIntegerShift = 0x1.8p52;
};

LAMINA_INLINE Vec<float> as_vec(Ints<float> a) { return _mm256_castsi256_ps(a.v); }
LAMINA_INLINE Vec<float> to_vec(Ints<float> a) { return _mm256_cvtepi32_ps(a.v); }
LAMINA_INLINE Vec<double> as_vec(Ints<double> a) { return _mm256_castsi256_pd(a.v); }
LAMINA_INLINE Vec<double> to_vec(Ints<double> a) {
  constexpr double shift = Vec<double>::kIntegerShift;
  return as_vec(a + as_ints(Vec<double>(shift))) - shift;
}

LAMINA_INLINE void widen(Vec<float> x, Vec<double> (&parts)[2]) {
  parts[0] = _mm256_cvtps_pd(_mm256_castps256_ps128(x.v));
  parts[1] = _mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1));
}
LAMINA_INLINE Vec<float> narrow(const Vec<double> (&parts)[2]) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(parts[0].v)), _mm256_cvtpd_ps(parts[1].v), 1);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
