// AVX-512's intrinsics on a machine that has AVX2 only, for tests: those of SIMDe and, where its version 0.7 has none
// or a wrong one, the definitions below, lane by lane. tools/emulate_avx512.sh compiles the avx512 target with this
// header.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
// After SIMDe's, whose names would otherwise be taken.
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace by_avx2 {

template <class T, class Vector>
struct Lanes {
  static constexpr int count = sizeof(Vector) / sizeof(T);
  T at[count] = {};

  Lanes() = default;
  explicit Lanes(Vector v) { std::memcpy(at, &v, sizeof v); }
  operator Vector() const {
    Vector v;
    std::memcpy(&v, at, sizeof v);
    return v;
  }
};

// ---- one lane after another ----

template <class To, class T, class From, class U, class F>
inline To each(From from, F f) {
  const Lanes<U, From> x(from);
  Lanes<T, To> y;
  for (int i = 0; i < y.count; ++i) y.at[i] = f(x.at[i]);
  return y;
}

template <class Vector, class T, class F>
inline Vector pairs(Vector a, Vector b, F f) {
  const Lanes<T, Vector> x(a), y(b);
  Lanes<T, Vector> z;
  for (int i = 0; i < z.count; ++i) z.at[i] = f(x.at[i], y.at[i]);
  return z;
}

// What does not fit, and NaN, becomes the smallest integer.
template <class Int, class T>
inline Int nearest(T x) {
  constexpr T bound = -static_cast<T>(std::numeric_limits<Int>::min());
  return x >= -bound && x < bound ? static_cast<Int>(std::nearbyint(x)) : std::numeric_limits<Int>::min();
}

template <int mode, class T>
inline T rounded(T x) {
  switch (mode & 3) {
    case 1: return std::floor(x);
    case 2: return std::ceil(x);
    case 3: return std::trunc(x);
    default: return std::nearbyint(x);
  }
}

template <class T>
inline T scaled(T x, T exponent) {
  constexpr T far = 4 * std::numeric_limits<T>::max_exponent;
  if (exponent != exponent) return exponent;
  return std::ldexp(x, static_cast<int>(std::fmin(far, std::fmax(-far, std::floor(exponent)))));
}

inline __m512d cvtps_pd(__m256 a) {
  return each<__m512d, double, __m256, float>(a, [](float x) { return x; });
}
inline __m256 cvtpd_ps(__m512d a) {
  return each<__m256, float, __m512d, double>(a, [](double x) { return x; });
}
inline __m512i cvtps_epi32(__m512 a) {
  return each<__m512i, std::int32_t, __m512, float>(a, nearest<std::int32_t, float>);
}
inline __m512 cvtepi32_ps(__m512i a) {
  return each<__m512, float, __m512i, std::int32_t>(a, [](std::int32_t x) { return x; });
}
inline __m512i cvtpd_epi64(__m512d a) {
  return each<__m512i, std::int64_t, __m512d, double>(a, nearest<std::int64_t, double>);
}
inline __m512d cvtepi64_pd(__m512i a) {
  return each<__m512d, double, __m512i, std::int64_t>(a, [](std::int64_t x) { return x; });
}
inline __m128i cvtusepi32_epi8(__m512i a) {
  return each<__m128i, std::uint8_t, __m512i, std::uint32_t>(a, [](std::uint32_t x) { return x > 255 ? 255 : x; });
}
inline __m512i cvtepu8_epi32(__m128i a) {
  return each<__m512i, std::int32_t, __m128i, std::uint8_t>(a, [](std::uint8_t x) { return x; });
}
inline __m512i cvtepu16_epi32(__m256i a) {
  return each<__m512i, std::int32_t, __m256i, std::uint16_t>(a, [](std::uint16_t x) { return x; });
}
inline __m256i cvtepi32_epi16(__m512i a) {
  return each<__m256i, std::int16_t, __m512i, std::int32_t>(a, [](std::int32_t x) { return x; });
}
template <int mode>
inline __m512 roundscale_ps(__m512 a) {
  return each<__m512, float, __m512, float>(a, rounded<mode, float>);
}
template <int mode>
inline __m512d roundscale_pd(__m512d a) {
  return each<__m512d, double, __m512d, double>(a, rounded<mode, double>);
}
inline __m512 scalef_ps(__m512 a, __m512 b) { return pairs<__m512, float>(a, b, scaled<float>); }
inline __m512d scalef_pd(__m512d a, __m512d b) { return pairs<__m512d, double>(a, b, scaled<double>); }

inline float cvtss_f32(__m512 a) { return Lanes<float, __m512>(a).at[0]; }
inline double cvtsd_f64(__m512d a) { return Lanes<double, __m512d>(a).at[0]; }

template <int mask>
inline __m512d permute_pd(__m512d a) {
  const Lanes<double, __m512d> x(a);
  Lanes<double, __m512d> y;
  for (int i = 0; i < y.count; ++i) y.at[i] = x.at[(i & ~1) | (mask >> i & 1)];
  return y;
}

// ---- under masks ----

template <class Vector, class T>
inline Vector load_some(unsigned mask, const void* from) {
  Lanes<T, Vector> x;
  for (int i = 0; i < x.count; ++i)
    if (mask >> i & 1) std::memcpy(&x.at[i], static_cast<const T*>(from) + i, sizeof(T));
  return x;
}
template <class T, class Vector>
inline void store_some(void* to, unsigned mask, Vector v) {
  const Lanes<T, Vector> x(v);
  for (int i = 0; i < x.count; ++i)
    if (mask >> i & 1) std::memcpy(static_cast<T*>(to) + i, &x.at[i], sizeof(T));
}
inline __m128i set_some(unsigned mask, char value) {
  Lanes<char, __m128i> x;
  for (int i = 0; i < x.count; ++i) x.at[i] = mask >> i & 1 ? value : 0;
  return x;
}
inline __mmask16 test_epi8_mask(__m128i a, __m128i b) {
  const Lanes<char, __m128i> x(a), y(b);
  unsigned mask = 0;
  for (int i = 0; i < x.count; ++i) mask |= (x.at[i] & y.at[i] ? 1u : 0u) << i;
  return static_cast<__mmask16>(mask);
}

// ---- parts of a register ----

inline __m512 cvtph_ps(__m256i a) {
  const Lanes<__m128i, __m256i> x(a);
  Lanes<__m256, __m512> y;
  for (int i = 0; i < 2; ++i) y.at[i] = _mm256_cvtph_ps(x.at[i]);
  return y;
}
inline __m256i cvtps_ph(__m512 a) {  // to nearest
  const Lanes<__m256, __m512> x(a);
  Lanes<__m128i, __m256i> y;
  for (int i = 0; i < 2; ++i) y.at[i] = _mm256_cvtps_ph(x.at[i], _MM_FROUND_TO_NEAREST_INT);
  return y;
}
template <int mask>
inline __m512 permute_ps(__m512 a) {
  const Lanes<__m256, __m512> x(a);
  Lanes<__m256, __m512> y;
  for (int i = 0; i < 2; ++i) y.at[i] = _mm256_permute_ps(x.at[i], mask);
  return y;
}
template <int half>
inline __m256 extractf32x8_ps(__m512 a) {
  return Lanes<__m256, __m512>(a).at[half];
}
template <int mask, class Part, class Vector>
inline Vector shuffle_quarters(Vector a, Vector b) {
  const Lanes<Part, Vector> x(a), y(b);
  Lanes<Part, Vector> z;
  for (int i = 0; i < 4; ++i) z.at[i] = (i < 2 ? x : y).at[mask >> 2 * i & 3];
  return z;
}

}  // namespace by_avx2

#undef _mm512_cvtps_pd
#undef _mm512_cvtps_ph
#undef _mm512_extractf32x8_ps
#undef _mm512_permute_pd
#undef _mm512_permute_ps
#undef _mm512_roundscale_pd
#undef _mm512_roundscale_ps
#undef _mm512_scalef_pd
#undef _mm512_scalef_ps
#undef _mm512_shuffle_f32x4
#undef _mm512_shuffle_f64x2
#undef _mm_mask_storeu_epi8
#undef _mm_maskz_loadu_epi8
#undef _mm_maskz_set1_epi8
#undef _mm_test_epi8_mask
#define _mm256_mask_storeu_epi16 by_avx2::store_some<std::int16_t, __m256i>
#define _mm256_maskz_loadu_epi16 by_avx2::load_some<__m256i, std::int16_t>
#define _mm512_cvtepi32_epi16 by_avx2::cvtepi32_epi16
#define _mm512_cvtepi32_ps by_avx2::cvtepi32_ps
#define _mm512_cvtepi64_pd by_avx2::cvtepi64_pd
#define _mm512_cvtepu16_epi32 by_avx2::cvtepu16_epi32
#define _mm512_cvtepu8_epi32 by_avx2::cvtepu8_epi32
#define _mm512_cvtpd_epi64 by_avx2::cvtpd_epi64
#define _mm512_cvtpd_ps by_avx2::cvtpd_ps
#define _mm512_cvtph_ps by_avx2::cvtph_ps
#define _mm512_cvtps_epi32 by_avx2::cvtps_epi32
#define _mm512_cvtps_pd by_avx2::cvtps_pd
#define _mm512_cvtps_ph(a, mode) by_avx2::cvtps_ph(a)
#define _mm512_cvtsd_f64 by_avx2::cvtsd_f64
#define _mm512_cvtss_f32 by_avx2::cvtss_f32
#define _mm512_cvtusepi32_epi8 by_avx2::cvtusepi32_epi8
#define _mm512_extractf32x8_ps(a, half) by_avx2::extractf32x8_ps<(half)>(a)
#define _mm512_mask_storeu_pd by_avx2::store_some<double, __m512d>
#define _mm512_mask_storeu_ps by_avx2::store_some<float, __m512>
#define _mm512_maskz_loadu_pd by_avx2::load_some<__m512d, double>
#define _mm512_maskz_loadu_ps by_avx2::load_some<__m512, float>
#define _mm512_permute_pd(a, mask) by_avx2::permute_pd<(mask)>(a)
#define _mm512_permute_ps(a, mask) by_avx2::permute_ps<(mask)>(a)
#define _mm512_roundscale_pd(a, mode) by_avx2::roundscale_pd<(mode)>(a)
#define _mm512_roundscale_ps(a, mode) by_avx2::roundscale_ps<(mode)>(a)
#define _mm512_scalef_pd by_avx2::scalef_pd
#define _mm512_scalef_ps by_avx2::scalef_ps
#define _mm512_shuffle_f32x4(a, b, mask) by_avx2::shuffle_quarters<(mask), __m128>(a, b)
#define _mm512_shuffle_f64x2(a, b, mask) by_avx2::shuffle_quarters<(mask), __m128d>(a, b)
#define _mm_mask_storeu_epi8 by_avx2::store_some<char, __m128i>
#define _mm_maskz_loadu_epi8 by_avx2::load_some<__m128i, char>
#define _mm_maskz_set1_epi8 by_avx2::set_some
#define _mm_test_epi8_mask by_avx2::test_epi8_mask
