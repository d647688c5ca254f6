// Reads a square block of memory, one register wide and high, with rows and columns exchanged.
#pragma once
#include <cstdint>

#include "simd/vec.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // false alarms inside gcc 12's AVX-512 headers
#endif

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// columns[j], lane i = p[i * stride + j], for i and j in [0, Vec<T>::width).
template <class T>
void load_transposed(const T* p, std::int64_t stride, Vec<T>* columns);

#if defined(LAMINA_TARGET_AVX512)

// The rows come in quarters, four rows to a register: the memory ports do half of the exchange, and two rounds of
// shuffles within 128-bit lanes finish it.
template <>
LAMINA_INLINE void load_transposed(const float* p, std::int64_t stride, Vec<float>* columns) {
#pragma GCC unroll 4
  for (int q = 0; q < 16; q += 4) {
    __m512 part[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      part[i] = _mm512_castps128_ps512(_mm_loadu_ps(p + i * stride + q));
      part[i] = _mm512_insertf32x4(part[i], _mm_loadu_ps(p + (i + 4) * stride + q), 1);
      part[i] = _mm512_insertf32x4(part[i], _mm_loadu_ps(p + (i + 8) * stride + q), 2);
      part[i] = _mm512_insertf32x4(part[i], _mm_loadu_ps(p + (i + 12) * stride + q), 3);
    }
    const __m512d low02 = _mm512_castps_pd(_mm512_unpacklo_ps(part[0], part[1]));
    const __m512d low13 = _mm512_castps_pd(_mm512_unpacklo_ps(part[2], part[3]));
    const __m512d high02 = _mm512_castps_pd(_mm512_unpackhi_ps(part[0], part[1]));
    const __m512d high13 = _mm512_castps_pd(_mm512_unpackhi_ps(part[2], part[3]));
    columns[q] = _mm512_castpd_ps(_mm512_unpacklo_pd(low02, low13));
    columns[q + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low02, low13));
    columns[q + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high02, high13));
    columns[q + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high02, high13));
  }
}

template <>
LAMINA_INLINE void load_transposed(const double* p, std::int64_t stride, Vec<double>* columns) {
#pragma GCC unroll 4
  for (int q = 0; q < 8; q += 2) {
    __m512d part[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      part[i] = _mm512_castpd128_pd512(_mm_loadu_pd(p + i * stride + q));
      part[i] = _mm512_insertf64x2(part[i], _mm_loadu_pd(p + (i + 2) * stride + q), 1);
      part[i] = _mm512_insertf64x2(part[i], _mm_loadu_pd(p + (i + 4) * stride + q), 2);
      part[i] = _mm512_insertf64x2(part[i], _mm_loadu_pd(p + (i + 6) * stride + q), 3);
    }
    columns[q] = _mm512_unpacklo_pd(part[0], part[1]);
    columns[q + 1] = _mm512_unpackhi_pd(part[0], part[1]);
  }
}

#elif defined(LAMINA_TARGET_AVX2)

template <>
LAMINA_INLINE void load_transposed(const float* p, std::int64_t stride, Vec<float>* columns) {
#pragma GCC unroll 2
  for (int q = 0; q < 8; q += 4) {
    __m256 part[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      part[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + i * stride + q)),
                                     _mm_loadu_ps(p + (i + 4) * stride + q), 1);
    const __m256d low02 = _mm256_castps_pd(_mm256_unpacklo_ps(part[0], part[1]));
    const __m256d low13 = _mm256_castps_pd(_mm256_unpacklo_ps(part[2], part[3]));
    const __m256d high02 = _mm256_castps_pd(_mm256_unpackhi_ps(part[0], part[1]));
    const __m256d high13 = _mm256_castps_pd(_mm256_unpackhi_ps(part[2], part[3]));
    columns[q] = _mm256_castpd_ps(_mm256_unpacklo_pd(low02, low13));
    columns[q + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low02, low13));
    columns[q + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high02, high13));
    columns[q + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high02, high13));
  }
}

template <>
LAMINA_INLINE void load_transposed(const double* p, std::int64_t stride, Vec<double>* columns) {
#pragma GCC unroll 2
  for (int q = 0; q < 4; q += 2) {
    __m256d part[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
      part[i] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(p + i * stride + q)),
                                     _mm_loadu_pd(p + (i + 2) * stride + q), 1);
    columns[q] = _mm256_unpacklo_pd(part[0], part[1]);
    columns[q + 1] = _mm256_unpackhi_pd(part[0], part[1]);
  }
}

#elif defined(LAMINA_TARGET_NEON)

template <>
LAMINA_INLINE void load_transposed(const float* p, std::int64_t stride, Vec<float>* columns) {
  const float32x4_t a = vld1q_f32(p), b = vld1q_f32(p + stride);
  const float32x4_t c = vld1q_f32(p + 2 * stride), d = vld1q_f32(p + 3 * stride);
  const float64x2_t even01 = vreinterpretq_f64_f32(vtrn1q_f32(a, b)), odd01 = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
  const float64x2_t even23 = vreinterpretq_f64_f32(vtrn1q_f32(c, d)), odd23 = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
  columns[0] = vreinterpretq_f32_f64(vzip1q_f64(even01, even23));
  columns[1] = vreinterpretq_f32_f64(vzip1q_f64(odd01, odd23));
  columns[2] = vreinterpretq_f32_f64(vzip2q_f64(even01, even23));
  columns[3] = vreinterpretq_f32_f64(vzip2q_f64(odd01, odd23));
}

template <>
LAMINA_INLINE void load_transposed(const double* p, std::int64_t stride, Vec<double>* columns) {
  const float64x2_t a = vld1q_f64(p), b = vld1q_f64(p + stride);
  columns[0] = vzip1q_f64(a, b);
  columns[1] = vzip2q_f64(a, b);
}

#else

template <class T>
LAMINA_INLINE void load_transposed(const T* p, std::int64_t, Vec<T>* columns) {
  columns[0] = *p;
}

#endif

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
