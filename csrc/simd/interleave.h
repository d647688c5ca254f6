// Neighbours apart and together again, and bytes as numbers: what windows of stride 2 and images of bytes need.
//
//   deinterleave(a, b, even, odd)   a then b hold 2 · width elements in a row: those at even and those at odd places
//   interleave(even, odd, a, b)     the way back
//   from_bytes<T>(p, n)             n bytes as numbers, the other lanes zero; n in [0, width]
//   to_bytes(v, p, n)               rounded to the nearest, halves to even, and kept within 0 … 255; NaN gives 0
#pragma once
#include "simd/vec.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarms inside gcc 12's AVX-512 headers
#endif

namespace lamina {
namespace LAMINA_TARGET {
namespace {

#if defined(LAMINA_TARGET_AVX512)

LAMINA_INLINE void deinterleave(Vec<float> a, Vec<float> b, Vec<float>& even, Vec<float>& odd) {
  const __m512i e = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i o = _mm512_or_si512(e, _mm512_set1_epi32(1));
  even = _mm512_permutex2var_ps(a.v, e, b.v);
  odd = _mm512_permutex2var_ps(a.v, o, b.v);
}
LAMINA_INLINE void interleave(Vec<float> even, Vec<float> odd, Vec<float>& a, Vec<float>& b) {
  const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  a = _mm512_permutex2var_ps(even.v, low, odd.v);
  b = _mm512_permutex2var_ps(even.v, high, odd.v);
}
LAMINA_INLINE void deinterleave(Vec<double> a, Vec<double> b, Vec<double>& even, Vec<double>& odd) {
  const __m512i e = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), o = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
  even = _mm512_permutex2var_pd(a.v, e, b.v);
  odd = _mm512_permutex2var_pd(a.v, o, b.v);
}
LAMINA_INLINE void interleave(Vec<double> even, Vec<double> odd, Vec<double>& a, Vec<double>& b) {
  const __m512i low = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0), high = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
  a = _mm512_permutex2var_pd(even.v, low, odd.v);
  b = _mm512_permutex2var_pd(even.v, high, odd.v);
}

#elif defined(LAMINA_TARGET_AVX2)

LAMINA_INLINE __m256 quarters_0213(__m256 v) {
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
}
LAMINA_INLINE void deinterleave(Vec<float> a, Vec<float> b, Vec<float>& even, Vec<float>& odd) {
  even = quarters_0213(_mm256_shuffle_ps(a.v, b.v, 0x88));
  odd = quarters_0213(_mm256_shuffle_ps(a.v, b.v, 0xdd));
}
LAMINA_INLINE void interleave(Vec<float> even, Vec<float> odd, Vec<float>& a, Vec<float>& b) {
  const __m256 low = _mm256_unpacklo_ps(even.v, odd.v), high = _mm256_unpackhi_ps(even.v, odd.v);
  a = _mm256_permute2f128_ps(low, high, 0x20);
  b = _mm256_permute2f128_ps(low, high, 0x31);
}
LAMINA_INLINE void deinterleave(Vec<double> a, Vec<double> b, Vec<double>& even, Vec<double>& odd) {
  even = _mm256_permute4x64_pd(_mm256_unpacklo_pd(a.v, b.v), 0xd8);
  odd = _mm256_permute4x64_pd(_mm256_unpackhi_pd(a.v, b.v), 0xd8);
}
LAMINA_INLINE void interleave(Vec<double> even, Vec<double> odd, Vec<double>& a, Vec<double>& b) {
  const __m256d e = _mm256_permute4x64_pd(even.v, 0xd8), o = _mm256_permute4x64_pd(odd.v, 0xd8);
  a = _mm256_unpacklo_pd(e, o);
  b = _mm256_unpackhi_pd(e, o);
}

#elif defined(LAMINA_TARGET_NEON)

LAMINA_INLINE void deinterleave(Vec<float> a, Vec<float> b, Vec<float>& even, Vec<float>& odd) {
  even = vuzp1q_f32(a.v, b.v);
  odd = vuzp2q_f32(a.v, b.v);
}
LAMINA_INLINE void interleave(Vec<float> even, Vec<float> odd, Vec<float>& a, Vec<float>& b) {
  a = vzip1q_f32(even.v, odd.v);
  b = vzip2q_f32(even.v, odd.v);
}
LAMINA_INLINE void deinterleave(Vec<double> a, Vec<double> b, Vec<double>& even, Vec<double>& odd) {
  even = vuzp1q_f64(a.v, b.v);
  odd = vuzp2q_f64(a.v, b.v);
}
LAMINA_INLINE void interleave(Vec<double> even, Vec<double> odd, Vec<double>& a, Vec<double>& b) {
  a = vzip1q_f64(even.v, odd.v);
  b = vzip2q_f64(even.v, odd.v);
}

#else

template <class T>
LAMINA_INLINE void deinterleave(Vec<T> a, Vec<T> b, Vec<T>& even, Vec<T>& odd) {
  even = a, odd = b;
}
template <class T>
LAMINA_INLINE void interleave(Vec<T> even, Vec<T> odd, Vec<T>& a, Vec<T>& b) {
  a = even, b = odd;
}

#endif

LAMINA_INLINE std::uint8_t to_byte(double x) {
  return static_cast<std::uint8_t>(x > 0 ? round(x < 255 ? x : 255.) : 0.);
}

template <class T>
LAMINA_INLINE Vec<T> from_bytes(const std::uint8_t* p, int n) {
  T lanes[Vec<T>::width];
  for (int i = 0; i < Vec<T>::width; ++i) lanes[i] = i < n ? static_cast<T>(p[i]) : T(0);
  return Vec<T>::load(lanes);
}
template <class T>
LAMINA_INLINE void to_bytes(Vec<T> v, std::uint8_t* p, int n) {
  T lanes[Vec<T>::width];
  v.store(lanes);
  for (int i = 0; i < n; ++i) p[i] = to_byte(lanes[i]);
}

#if defined(LAMINA_TARGET_AVX512) || defined(LAMINA_TARGET_AVX2)

template <>
LAMINA_INLINE Vec<float> from_bytes(const std::uint8_t* p, int n) {
  std::uint8_t padded[16];
  if (n < Vec<float>::width) {
    __builtin_memset(padded, 0, sizeof padded);
    __builtin_memcpy(padded, p, static_cast<size_t>(n));
    p = padded;
  }
#if defined(LAMINA_TARGET_AVX512)
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#else
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#endif
}
// NaN becomes the most negative integer, and so 0.
template <>
LAMINA_INLINE void to_bytes(Vec<float> v, std::uint8_t* p, int n) {
  v = min(Vec<float>(255), v);  // the instruction gives its second operand if either is NaN
#if defined(LAMINA_TARGET_AVX512)
  const __m512i whole = _mm512_max_epi32(_mm512_cvtps_epi32(v.v), _mm512_setzero_si512());
  const __m128i bytes = _mm512_cvtusepi32_epi8(whole);
  if (n == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
#else
  const __m256i whole = _mm256_cvtps_epi32(v.v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  const __m128i bytes = _mm_packus_epi16(words, words);
  if (n == 8) return _mm_storel_epi64(reinterpret_cast<__m128i*>(p), bytes);
#endif
  std::uint8_t all[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(all), bytes);
  __builtin_memcpy(p, all, static_cast<size_t>(n));
}

#endif

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
