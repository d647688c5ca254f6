// Vec<T> in 512-bit registers; masks are mask registers. Needs AVX-512 F, BW, DQ and VL (Skylake-X and later).
#pragma once
#include <immintrin.h>

#include "simd/vec_ops.h"

// GCC 12 takes the unused operand of its own intrinsics for an uninitialised variable (GCC bug 105593), wherever they
// end up inlined: switched off for the whole file that includes this.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// The lowest n bits set, n in [0, 16].
LAMINA_INLINE unsigned low_bits(int n) { return (1u << n) - 1u; }

template <>
struct Mask<float> {
  __mmask16 m;

  Mask() = default;
  LAMINA_INLINE Mask(__mmask16 r) : m(r) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm_test_epi8_mask(bytes, bytes);
  }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) {
    const __m128i bytes = _mm_maskz_loadu_epi8(low_bits(n), p);
    return _mm_test_epi8_mask(bytes, bytes);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_maskz_set1_epi8(m, 1));
  }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    _mm_mask_storeu_epi8(p, low_bits(n), _mm_maskz_set1_epi8(m, 1));
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return static_cast<__mmask16>(a.m & b.m); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return static_cast<__mmask16>(a.m | b.m); }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return static_cast<__mmask16>(a.m ^ b.m); }
  friend LAMINA_INLINE Mask operator~(Mask a) { return static_cast<__mmask16>(~a.m); }
  friend LAMINA_INLINE bool any(Mask a) { return a.m != 0; }
  friend LAMINA_INLINE bool all(Mask a) { return a.m == 0xffff; }
};

template <>
struct Mask<double> {
  __mmask8 m;

  Mask() = default;
  LAMINA_INLINE Mask(__mmask8 r) : m(r) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
    return static_cast<__mmask8>(_mm_test_epi8_mask(bytes, bytes));
  }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) {
    const __m128i bytes = _mm_maskz_loadu_epi8(low_bits(n), p);
    return static_cast<__mmask8>(_mm_test_epi8_mask(bytes, bytes));
  }
  LAMINA_INLINE void store_bytes(uint8_t* p) const {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_maskz_set1_epi8(m, 1));
  }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    _mm_mask_storeu_epi8(p, low_bits(n), _mm_maskz_set1_epi8(m, 1));
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return static_cast<__mmask8>(a.m & b.m); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return static_cast<__mmask8>(a.m | b.m); }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return static_cast<__mmask8>(a.m ^ b.m); }
  friend LAMINA_INLINE Mask operator~(Mask a) { return static_cast<__mmask8>(~a.m); }
  friend LAMINA_INLINE bool any(Mask a) { return a.m != 0; }
  friend LAMINA_INLINE bool all(Mask a) { return a.m == 0xff; }
};

template <>
struct Ints<float> {
  __m512i v;

  Ints() = default;
  LAMINA_INLINE Ints(__m512i r) : v(r) {}
  LAMINA_INLINE Ints(int32_t x) : v(_mm512_set1_epi32(x)) {}
  static LAMINA_INLINE Ints load(const void* p) { return _mm512_loadu_si512(p); }
  LAMINA_INLINE void store(void* p) const { _mm512_storeu_si512(p, v); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return _mm512_add_epi32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return _mm512_sub_epi32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return _mm512_and_si512(a.v, b.v); }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return _mm512_or_si512(a.v, b.v); }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return _mm512_xor_si512(a.v, b.v); }
  friend LAMINA_INLINE Ints operator~(Ints a) { return _mm512_xor_si512(a.v, _mm512_set1_epi32(-1)); }
  friend LAMINA_INLINE Mask<float> operator==(Ints a, Ints b) { return _mm512_cmpeq_epi32_mask(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator>(Ints a, Ints b) { return _mm512_cmpgt_epi32_mask(a.v, b.v); }
  friend LAMINA_INLINE Ints select(Mask<float> m, Ints a, Ints b) { return _mm512_mask_blend_epi32(m.m, b.v, a.v); }
};

template <>
struct Ints<double> {
  __m512i v;

  Ints() = default;
  LAMINA_INLINE Ints(__m512i r) : v(r) {}
  LAMINA_INLINE Ints(int64_t x) : v(_mm512_set1_epi64(x)) {}
  static LAMINA_INLINE Ints load(const void* p) { return _mm512_loadu_si512(p); }
  LAMINA_INLINE void store(void* p) const { _mm512_storeu_si512(p, v); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return _mm512_add_epi64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return _mm512_sub_epi64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return _mm512_and_si512(a.v, b.v); }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return _mm512_or_si512(a.v, b.v); }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return _mm512_xor_si512(a.v, b.v); }
  friend LAMINA_INLINE Ints operator~(Ints a) { return _mm512_xor_si512(a.v, _mm512_set1_epi64(-1)); }
  friend LAMINA_INLINE Mask<double> operator==(Ints a, Ints b) { return _mm512_cmpeq_epi64_mask(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator>(Ints a, Ints b) { return _mm512_cmpgt_epi64_mask(a.v, b.v); }
  friend LAMINA_INLINE Ints select(Mask<double> m, Ints a, Ints b) { return _mm512_mask_blend_epi64(m.m, b.v, a.v); }
  friend LAMINA_INLINE Ints product_of_low_halves(Ints a, Ints b) { return _mm512_mul_epu32(a.v, b.v); }
};

template <int k>
LAMINA_INLINE Ints<float> shift_left(Ints<float> a) {
  return _mm512_slli_epi32(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<float> shift_right(Ints<float> a) {
  return _mm512_srli_epi32(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<double> shift_left(Ints<double> a) {
  return _mm512_slli_epi64(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<double> shift_right(Ints<double> a) {
  return _mm512_srli_epi64(a.v, k);
}

template <>
struct Vec<float> : VecOps<Vec<float>, float> {
  static constexpr int width = 16;
  __m512 v;

  Vec() = default;
  LAMINA_INLINE Vec(__m512 r) : v(r) {}
  LAMINA_INLINE Vec(float x) : v(_mm512_set1_ps(x)) {}

  static LAMINA_INLINE Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static LAMINA_INLINE Vec load(const float* p, int n) { return _mm512_maskz_loadu_ps(low_bits(n), p); }
  LAMINA_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  LAMINA_INLINE void store(float* p, int n) const { _mm512_mask_storeu_ps(p, low_bits(n), v); }

  static LAMINA_INLINE Vec load(const float16* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static LAMINA_INLINE Vec load(const float16* p, int n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(low_bits(n), p));
  }
  LAMINA_INLINE void store(float16* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_half()); }
  LAMINA_INLINE void store(float16* p, int n) const { _mm256_mask_storeu_epi16(p, low_bits(n), to_half()); }

  static LAMINA_INLINE Vec load(const bfloat16* p) {
    return from_brain(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static LAMINA_INLINE Vec load(const bfloat16* p, int n) {
    return from_brain(_mm256_maskz_loadu_epi16(low_bits(n), p));
  }
  LAMINA_INLINE void store(bfloat16* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_brain()); }
  LAMINA_INLINE void store(bfloat16* p, int n) const { _mm256_mask_storeu_epi16(p, low_bits(n), to_brain()); }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return _mm512_add_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return _mm512_sub_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return _mm512_mul_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return _mm512_div_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return _mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f)); }

  friend LAMINA_INLINE Mask<float> operator<(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
  friend LAMINA_INLINE Mask<float> operator<=(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ); }
  friend LAMINA_INLINE Mask<float> operator>(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
  friend LAMINA_INLINE Mask<float> operator>=(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ); }
  friend LAMINA_INLINE Mask<float> operator==(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ); }
  friend LAMINA_INLINE Mask<float> operator!=(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ); }
  friend LAMINA_INLINE Vec select(Mask<float> m, Vec a, Vec b) { return _mm512_mask_blend_ps(m.m, b.v, a.v); }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return _mm512_min_ps(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return _mm512_max_ps(a.v, b.v); }
  // The instruction returns its second operand if either is NaN: that settles a NaN in b.
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return select(a != a, a, min(a, b)); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return select(a != a, a, max(a, b)); }
  friend LAMINA_INLINE Vec abs(Vec a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return _mm512_sqrt_ps(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec round(Vec a) {
    return _mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) {
    // 0xac: the bit of the third operand where the first has one, else that of the second.
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_set1_epi32(INT32_MIN), _mm512_castps_si512(a.v),
                                                         _mm512_castps_si512(sign.v), 0xac));
  }

  template <class Op>
  friend LAMINA_INLINE float fold(Vec a, Op op) {
    a = op(a, _mm512_shuffle_f32x4(a.v, a.v, 0x4e));
    a = op(a, _mm512_shuffle_f32x4(a.v, a.v, 0xb1));
    a = op(a, _mm512_permute_ps(a.v, 0x4e));
    a = op(a, _mm512_permute_ps(a.v, 0xb1));
    return _mm512_cvtss_f32(a.v);
  }

  friend LAMINA_INLINE Ints<float> as_ints(Vec a) { return _mm512_castps_si512(a.v); }
  friend LAMINA_INLINE Ints<float> to_ints(Vec a) { return _mm512_cvtps_epi32(a.v); }

 private:
  LAMINA_INLINE __m256i to_half() const { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static LAMINA_INLINE Vec from_brain(__m256i h) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
  }
  LAMINA_INLINE __m256i to_brain() const { return _mm512_cvtepi32_epi16(brain_bits(*this).v); }
};

template <>
struct Vec<double> : VecOps<Vec<double>, double> {
  static constexpr int width = 8;
  __m512d v;

  Vec() = default;
  LAMINA_INLINE Vec(__m512d r) : v(r) {}
  LAMINA_INLINE Vec(double x) : v(_mm512_set1_pd(x)) {}

  static LAMINA_INLINE Vec load(const double* p) { return _mm512_loadu_pd(p); }
  static LAMINA_INLINE Vec load(const double* p, int n) { return _mm512_maskz_loadu_pd(low_bits(n), p); }
  LAMINA_INLINE void store(double* p) const { _mm512_storeu_pd(p, v); }
  LAMINA_INLINE void store(double* p, int n) const { _mm512_mask_storeu_pd(p, low_bits(n), v); }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return _mm512_add_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return _mm512_sub_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return _mm512_mul_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return _mm512_div_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return _mm512_xor_pd(a.v, _mm512_set1_pd(-0.0)); }

  friend LAMINA_INLINE Mask<double> operator<(Vec a, Vec b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ); }
  friend LAMINA_INLINE Mask<double> operator<=(Vec a, Vec b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ); }
  friend LAMINA_INLINE Mask<double> operator>(Vec a, Vec b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ); }
  friend LAMINA_INLINE Mask<double> operator>=(Vec a, Vec b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GE_OQ); }
  friend LAMINA_INLINE Mask<double> operator==(Vec a, Vec b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_EQ_OQ); }
  friend LAMINA_INLINE Mask<double> operator!=(Vec a, Vec b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_NEQ_UQ); }
  friend LAMINA_INLINE Vec select(Mask<double> m, Vec a, Vec b) { return _mm512_mask_blend_pd(m.m, b.v, a.v); }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_pd(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_pd(a.v, b.v, c.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return _mm512_min_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return _mm512_max_pd(a.v, b.v); }
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return select(a != a, a, min(a, b)); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return select(a != a, a, max(a, b)); }
  friend LAMINA_INLINE Vec abs(Vec a) { return _mm512_andnot_pd(_mm512_set1_pd(-0.0), a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return _mm512_sqrt_pd(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return _mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return _mm512_roundscale_pd(a.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return _mm512_roundscale_pd(a.v, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC); }
  friend LAMINA_INLINE Vec round(Vec a) {
    return _mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) {
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(_mm512_set1_epi64(INT64_MIN), _mm512_castpd_si512(a.v),
                                                         _mm512_castpd_si512(sign.v), 0xac));
  }

  template <class Op>
  friend LAMINA_INLINE double fold(Vec a, Op op) {
    a = op(a, _mm512_shuffle_f64x2(a.v, a.v, 0x4e));
    a = op(a, _mm512_shuffle_f64x2(a.v, a.v, 0xb1));
    a = op(a, _mm512_permute_pd(a.v, 0x55));
    return _mm512_cvtsd_f64(a.v);
  }

  friend LAMINA_INLINE Ints<double> as_ints(Vec a) { return _mm512_castpd_si512(a.v); }
  friend LAMINA_INLINE Ints<double> to_ints(Vec a) { return _mm512_cvtpd_epi64(a.v); }
};

LAMINA_INLINE Vec<float> as_vec(Ints<float> a) { return _mm512_castsi512_ps(a.v); }
LAMINA_INLINE Vec<float> to_vec(Ints<float> a) { return _mm512_cvtepi32_ps(a.v); }
LAMINA_INLINE Vec<double> as_vec(Ints<double> a) { return _mm512_castsi512_pd(a.v); }
LAMINA_INLINE Vec<double> to_vec(Ints<double> a) { return _mm512_cvtepi64_pd(a.v); }

LAMINA_INLINE void widen(Vec<float> x, Vec<double> (&parts)[2]) {
  parts[0] = _mm512_cvtps_pd(_mm512_castps512_ps256(x.v));
  parts[1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1));
}
LAMINA_INLINE Vec<float> narrow(const Vec<double> (&parts)[2]) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(parts[0].v)), _mm512_cvtpd_ps(parts[1].v), 1);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
