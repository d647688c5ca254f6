// Reads and writes blocks of memory with rows and columns exchanged: squares, one register wide and high, and strips of
// four or two columns.
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

// The same for j in [0, 4) only.
LAMINA_INLINE void load_quads(const float* p, std::int64_t stride, Vec<float>* columns);

// p[i * stride + j] = columns[j], lane i, for j in [0, 4) or [0, 2).
LAMINA_INLINE void store_quads(const Vec<float>* columns, float* p, std::int64_t stride);
LAMINA_INLINE void store_pairs(const Vec<float>* columns, float* p, std::int64_t stride);

#if defined(LAMINA_TARGET_AVX512)

// The rows come in quarters, four rows to a register: the memory ports do half of the exchange, and two rounds of
// shuffles within 128-bit lanes finish it.
LAMINA_INLINE void load_quads(const float* p, std::int64_t stride, Vec<float>* columns) {
  __m512 part[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    part[i] = _mm512_castps128_ps512(_mm_loadu_ps(p + i * stride));
    part[i] = _mm512_insertf32x4(part[i], _mm_loadu_ps(p + (i + 4) * stride), 1);
    part[i] = _mm512_insertf32x4(part[i], _mm_loadu_ps(p + (i + 8) * stride), 2);
    part[i] = _mm512_insertf32x4(part[i], _mm_loadu_ps(p + (i + 12) * stride), 3);
  }
  const __m512d low02 = _mm512_castps_pd(_mm512_unpacklo_ps(part[0], part[1]));
  const __m512d low13 = _mm512_castps_pd(_mm512_unpacklo_ps(part[2], part[3]));
  const __m512d high02 = _mm512_castps_pd(_mm512_unpackhi_ps(part[0], part[1]));
  const __m512d high13 = _mm512_castps_pd(_mm512_unpackhi_ps(part[2], part[3]));
  columns[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low02, low13));
  columns[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low02, low13));
  columns[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high02, high13));
  columns[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high02, high13));
}

// Quarter q of `rows` goes to p + 4 q stride.
LAMINA_INLINE void store_quarters(__m512d rows, float* p, std::int64_t stride) {
  const __m512 r = _mm512_castpd_ps(rows);
  _mm_storeu_ps(p, _mm512_castps512_ps128(r));
  _mm_storeu_ps(p + 4 * stride, _mm512_extractf32x4_ps(r, 1));
  _mm_storeu_ps(p + 8 * stride, _mm512_extractf32x4_ps(r, 2));
  _mm_storeu_ps(p + 12 * stride, _mm512_extractf32x4_ps(r, 3));
}
LAMINA_INLINE void store_quads(const Vec<float>* columns, float* p, std::int64_t stride) {
  const __m512d first01 = _mm512_castps_pd(_mm512_unpacklo_ps(columns[0].v, columns[1].v));
  const __m512d last01 = _mm512_castps_pd(_mm512_unpackhi_ps(columns[0].v, columns[1].v));
  const __m512d first23 = _mm512_castps_pd(_mm512_unpacklo_ps(columns[2].v, columns[3].v));
  const __m512d last23 = _mm512_castps_pd(_mm512_unpackhi_ps(columns[2].v, columns[3].v));
  store_quarters(_mm512_unpacklo_pd(first01, first23), p, stride);
  store_quarters(_mm512_unpackhi_pd(first01, first23), p + stride, stride);
  store_quarters(_mm512_unpacklo_pd(last01, last23), p + 2 * stride, stride);
  store_quarters(_mm512_unpackhi_pd(last01, last23), p + 3 * stride, stride);
}

// The halves of 128 bits go to p and p + stride.
LAMINA_INLINE void store_halves(__m128 rows, float* p, std::int64_t stride) {
  _mm_storel_pi(reinterpret_cast<__m64*>(p), rows);
  _mm_storeh_pi(reinterpret_cast<__m64*>(p + stride), rows);
}
LAMINA_INLINE void store_pairs(const Vec<float>* columns, float* p, std::int64_t stride) {
  const __m512 first = _mm512_unpacklo_ps(columns[0].v, columns[1].v);
  const __m512 last = _mm512_unpackhi_ps(columns[0].v, columns[1].v);
  store_halves(_mm512_castps512_ps128(first), p, stride);
  store_halves(_mm512_castps512_ps128(last), p + 2 * stride, stride);
  store_halves(_mm512_extractf32x4_ps(first, 1), p + 4 * stride, stride);
  store_halves(_mm512_extractf32x4_ps(last, 1), p + 6 * stride, stride);
  store_halves(_mm512_extractf32x4_ps(first, 2), p + 8 * stride, stride);
  store_halves(_mm512_extractf32x4_ps(last, 2), p + 10 * stride, stride);
  store_halves(_mm512_extractf32x4_ps(first, 3), p + 12 * stride, stride);
  store_halves(_mm512_extractf32x4_ps(last, 3), p + 14 * stride, stride);
}

template <>
LAMINA_INLINE void load_transposed(const float* p, std::int64_t stride, Vec<float>* columns) {
#pragma GCC unroll 4
  for (int q = 0; q < 16; q += 4) load_quads(p + q, stride, columns + q);
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

LAMINA_INLINE void load_quads(const float* p, std::int64_t stride, Vec<float>* columns) {
  __m256 part[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    part[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p + i * stride)),
                                   _mm_loadu_ps(p + (i + 4) * stride), 1);
  const __m256d low02 = _mm256_castps_pd(_mm256_unpacklo_ps(part[0], part[1]));
  const __m256d low13 = _mm256_castps_pd(_mm256_unpacklo_ps(part[2], part[3]));
  const __m256d high02 = _mm256_castps_pd(_mm256_unpackhi_ps(part[0], part[1]));
  const __m256d high13 = _mm256_castps_pd(_mm256_unpackhi_ps(part[2], part[3]));
  columns[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low02, low13));
  columns[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low02, low13));
  columns[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high02, high13));
  columns[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high02, high13));
}

// The halves of `rows` go to p and p + 4 stride.
LAMINA_INLINE void store_far_halves(__m256d rows, float* p, std::int64_t stride) {
  const __m256 r = _mm256_castpd_ps(rows);
  _mm_storeu_ps(p, _mm256_castps256_ps128(r));
  _mm_storeu_ps(p + 4 * stride, _mm256_extractf128_ps(r, 1));
}
LAMINA_INLINE void store_quads(const Vec<float>* columns, float* p, std::int64_t stride) {
  const __m256d first01 = _mm256_castps_pd(_mm256_unpacklo_ps(columns[0].v, columns[1].v));
  const __m256d last01 = _mm256_castps_pd(_mm256_unpackhi_ps(columns[0].v, columns[1].v));
  const __m256d first23 = _mm256_castps_pd(_mm256_unpacklo_ps(columns[2].v, columns[3].v));
  const __m256d last23 = _mm256_castps_pd(_mm256_unpackhi_ps(columns[2].v, columns[3].v));
  store_far_halves(_mm256_unpacklo_pd(first01, first23), p, stride);
  store_far_halves(_mm256_unpackhi_pd(first01, first23), p + stride, stride);
  store_far_halves(_mm256_unpacklo_pd(last01, last23), p + 2 * stride, stride);
  store_far_halves(_mm256_unpackhi_pd(last01, last23), p + 3 * stride, stride);
}

// The halves of 128 bits go to p and p + stride.
LAMINA_INLINE void store_halves(__m128 rows, float* p, std::int64_t stride) {
  _mm_storel_pi(reinterpret_cast<__m64*>(p), rows);
  _mm_storeh_pi(reinterpret_cast<__m64*>(p + stride), rows);
}
LAMINA_INLINE void store_pairs(const Vec<float>* columns, float* p, std::int64_t stride) {
  const __m256 first = _mm256_unpacklo_ps(columns[0].v, columns[1].v);
  const __m256 last = _mm256_unpackhi_ps(columns[0].v, columns[1].v);
  store_halves(_mm256_castps256_ps128(first), p, stride);
  store_halves(_mm256_castps256_ps128(last), p + 2 * stride, stride);
  store_halves(_mm256_extractf128_ps(first, 1), p + 4 * stride, stride);
  store_halves(_mm256_extractf128_ps(last, 1), p + 6 * stride, stride);
}

template <>
LAMINA_INLINE void load_transposed(const float* p, std::int64_t stride, Vec<float>* columns) {
#pragma GCC unroll 2
  for (int q = 0; q < 8; q += 4) load_quads(p + q, stride, columns + q);
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

LAMINA_INLINE void load_quads(const float* p, std::int64_t stride, Vec<float>* columns) {
  const float32x4_t a = vld1q_f32(p), b = vld1q_f32(p + stride);
  const float32x4_t c = vld1q_f32(p + 2 * stride), d = vld1q_f32(p + 3 * stride);
  const float64x2_t even01 = vreinterpretq_f64_f32(vtrn1q_f32(a, b)), odd01 = vreinterpretq_f64_f32(vtrn2q_f32(a, b));
  const float64x2_t even23 = vreinterpretq_f64_f32(vtrn1q_f32(c, d)), odd23 = vreinterpretq_f64_f32(vtrn2q_f32(c, d));
  columns[0] = vreinterpretq_f32_f64(vzip1q_f64(even01, even23));
  columns[1] = vreinterpretq_f32_f64(vzip1q_f64(odd01, odd23));
  columns[2] = vreinterpretq_f32_f64(vzip2q_f64(even01, even23));
  columns[3] = vreinterpretq_f32_f64(vzip2q_f64(odd01, odd23));
}
LAMINA_INLINE void store_quads(const Vec<float>* columns, float* p, std::int64_t stride) {
  const float64x2_t first01 = vreinterpretq_f64_f32(vzip1q_f32(columns[0].v, columns[1].v));
  const float64x2_t last01 = vreinterpretq_f64_f32(vzip2q_f32(columns[0].v, columns[1].v));
  const float64x2_t first23 = vreinterpretq_f64_f32(vzip1q_f32(columns[2].v, columns[3].v));
  const float64x2_t last23 = vreinterpretq_f64_f32(vzip2q_f32(columns[2].v, columns[3].v));
  vst1q_f32(p, vreinterpretq_f32_f64(vzip1q_f64(first01, first23)));
  vst1q_f32(p + stride, vreinterpretq_f32_f64(vzip2q_f64(first01, first23)));
  vst1q_f32(p + 2 * stride, vreinterpretq_f32_f64(vzip1q_f64(last01, last23)));
  vst1q_f32(p + 3 * stride, vreinterpretq_f32_f64(vzip2q_f64(last01, last23)));
}
LAMINA_INLINE void store_pairs(const Vec<float>* columns, float* p, std::int64_t stride) {
  const float32x4_t first = vzip1q_f32(columns[0].v, columns[1].v), last = vzip2q_f32(columns[0].v, columns[1].v);
  vst1_f32(p, vget_low_f32(first));
  vst1_f32(p + stride, vget_high_f32(first));
  vst1_f32(p + 2 * stride, vget_low_f32(last));
  vst1_f32(p + 3 * stride, vget_high_f32(last));
}

template <>
LAMINA_INLINE void load_transposed(const float* p, std::int64_t stride, Vec<float>* columns) {
  load_quads(p, stride, columns);
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
LAMINA_INLINE void load_quads(const float* p, std::int64_t, Vec<float>* columns) {
  for (int j = 0; j < 4; ++j) columns[j] = p[j];
}
LAMINA_INLINE void store_quads(const Vec<float>* columns, float* p, std::int64_t) {
  for (int j = 0; j < 4; ++j) p[j] = columns[j].v;
}
LAMINA_INLINE void store_pairs(const Vec<float>* columns, float* p, std::int64_t) {
  for (int j = 0; j < 2; ++j) p[j] = columns[j].v;
}

#endif

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
