// Vec<T> in 128-bit registers of AArch64; masks are registers of all-ones and all-zero lanes.
#pragma once
#include <arm_neon.h>

#include "simd/vec_ops.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <>
struct Mask<float> {
  uint32x4_t m;

  Mask() = default;
  LAMINA_INLINE Mask(uint32x4_t r) : m(r) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) {
    const uint32_t lanes[4] = {p[0], p[1], p[2], p[3]};
    return vcgtq_u32(vld1q_u32(lanes), vdupq_n_u32(0));
  }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) {
    uint8_t bytes[4] = {};
    __builtin_memcpy(bytes, p, static_cast<size_t>(n));
    return load_bytes(bytes);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p) const {
    const uint16x4_t words = vmovn_u32(vshrq_n_u32(m, 31));
    const uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
    __builtin_memcpy(p, &bytes, 4);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    uint8_t bytes[4];
    store_bytes(bytes);
    __builtin_memcpy(p, bytes, static_cast<size_t>(n));
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return vandq_u32(a.m, b.m); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return vorrq_u32(a.m, b.m); }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return veorq_u32(a.m, b.m); }
  friend LAMINA_INLINE Mask operator~(Mask a) { return vmvnq_u32(a.m); }
  friend LAMINA_INLINE bool any(Mask a) { return vmaxvq_u32(a.m) != 0; }
  friend LAMINA_INLINE bool all(Mask a) { return vminvq_u32(a.m) != 0; }
};

template <>
struct Mask<double> {
  uint64x2_t m;

  Mask() = default;
  LAMINA_INLINE Mask(uint64x2_t r) : m(r) {}
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p) {
    const uint64_t lanes[2] = {p[0], p[1]};
    return vcgtq_u64(vld1q_u64(lanes), vdupq_n_u64(0));
  }
  static LAMINA_INLINE Mask load_bytes(const uint8_t* p, int n) {
    uint8_t bytes[2] = {};
    __builtin_memcpy(bytes, p, static_cast<size_t>(n));
    return load_bytes(bytes);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p) const {
    p[0] = static_cast<uint8_t>(vgetq_lane_u64(m, 0) & 1);
    p[1] = static_cast<uint8_t>(vgetq_lane_u64(m, 1) & 1);
  }
  LAMINA_INLINE void store_bytes(uint8_t* p, int n) const {
    uint8_t bytes[2];
    store_bytes(bytes);
    __builtin_memcpy(p, bytes, static_cast<size_t>(n));
  }
  friend LAMINA_INLINE Mask operator&(Mask a, Mask b) { return vandq_u64(a.m, b.m); }
  friend LAMINA_INLINE Mask operator|(Mask a, Mask b) { return vorrq_u64(a.m, b.m); }
  friend LAMINA_INLINE Mask operator^(Mask a, Mask b) { return veorq_u64(a.m, b.m); }
  friend LAMINA_INLINE Mask operator~(Mask a) { return veorq_u64(a.m, vdupq_n_u64(~uint64_t{0})); }
  friend LAMINA_INLINE bool any(Mask a) { return vmaxvq_u32(vreinterpretq_u32_u64(a.m)) != 0; }
  friend LAMINA_INLINE bool all(Mask a) { return vminvq_u32(vreinterpretq_u32_u64(a.m)) != 0; }
};

template <>
struct Ints<float> {
  int32x4_t v;

  Ints() = default;
  LAMINA_INLINE Ints(int32x4_t r) : v(r) {}
  LAMINA_INLINE Ints(int32_t x) : v(vdupq_n_s32(x)) {}
  static LAMINA_INLINE Ints load(const void* p) {
    return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p)));
  }
  LAMINA_INLINE void store(void* p) const { vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_s32(v)); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return vaddq_s32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return vsubq_s32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return vandq_s32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return vorrq_s32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return veorq_s32(a.v, b.v); }
  friend LAMINA_INLINE Ints operator~(Ints a) { return vmvnq_s32(a.v); }
  friend LAMINA_INLINE Mask<float> operator==(Ints a, Ints b) { return vceqq_s32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator>(Ints a, Ints b) { return vcgtq_s32(a.v, b.v); }
  friend LAMINA_INLINE Ints select(Mask<float> m, Ints a, Ints b) { return vbslq_s32(m.m, a.v, b.v); }
};

template <>
struct Ints<double> {
  int64x2_t v;

  Ints() = default;
  LAMINA_INLINE Ints(int64x2_t r) : v(r) {}
  LAMINA_INLINE Ints(int64_t x) : v(vdupq_n_s64(x)) {}
  static LAMINA_INLINE Ints load(const void* p) {
    return vreinterpretq_s64_u8(vld1q_u8(static_cast<const uint8_t*>(p)));
  }
  LAMINA_INLINE void store(void* p) const { vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_s64(v)); }
  friend LAMINA_INLINE Ints operator+(Ints a, Ints b) { return vaddq_s64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator-(Ints a, Ints b) { return vsubq_s64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator&(Ints a, Ints b) { return vandq_s64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator|(Ints a, Ints b) { return vorrq_s64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator^(Ints a, Ints b) { return veorq_s64(a.v, b.v); }
  friend LAMINA_INLINE Ints operator~(Ints a) { return a ^ Ints(int64_t{-1}); }
  friend LAMINA_INLINE Mask<double> operator==(Ints a, Ints b) { return vceqq_s64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator>(Ints a, Ints b) { return vcgtq_s64(a.v, b.v); }
  friend LAMINA_INLINE Ints select(Mask<double> m, Ints a, Ints b) { return vbslq_s64(m.m, a.v, b.v); }
  friend LAMINA_INLINE Ints product_of_low_halves(Ints a, Ints b) {
    const uint32x2_t x = vmovn_u64(vreinterpretq_u64_s64(a.v)), y = vmovn_u64(vreinterpretq_u64_s64(b.v));
    return vreinterpretq_s64_u64(vmull_u32(x, y));
  }
};

template <int k>
LAMINA_INLINE Ints<float> shift_left(Ints<float> a) {
  return vshlq_n_s32(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<float> shift_right(Ints<float> a) {
  return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.v), k));
}
template <int k>
LAMINA_INLINE Ints<double> shift_left(Ints<double> a) {
  return vshlq_n_s64(a.v, k);
}
template <int k>
LAMINA_INLINE Ints<double> shift_right(Ints<double> a) {
  return vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_s64(a.v), k));
}

template <>
struct Vec<float> : VecOps<Vec<float>, float> {
  static constexpr int width = 4;
  float32x4_t v;

  Vec() = default;
  LAMINA_INLINE Vec(float32x4_t r) : v(r) {}
  LAMINA_INLINE Vec(float x) : v(vdupq_n_f32(x)) {}

  static LAMINA_INLINE Vec load(const float* p) { return vld1q_f32(p); }
  static LAMINA_INLINE Vec load(const float* p, int n) { return load_part(p, n); }
  LAMINA_INLINE void store(float* p) const { vst1q_f32(p, v); }
  LAMINA_INLINE void store(float* p, int n) const { store_part(p, n); }

  static LAMINA_INLINE Vec load(const float16* p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p))));
  }
  static LAMINA_INLINE Vec load(const float16* p, int n) { return load_part(p, n); }
  LAMINA_INLINE void store(float16* p) const {
    vst1_u16(reinterpret_cast<uint16_t*>(p), vreinterpret_u16_f16(vcvt_f16_f32(v)));
  }
  LAMINA_INLINE void store(float16* p, int n) const { store_part(p, n); }

  static LAMINA_INLINE Vec load(const bfloat16* p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const uint16_t*>(p)), 16));
  }
  static LAMINA_INLINE Vec load(const bfloat16* p, int n) { return load_part(p, n); }
  LAMINA_INLINE void store(bfloat16* p) const {
    vst1_u16(reinterpret_cast<uint16_t*>(p), vmovn_u32(vreinterpretq_u32_s32(brain_bits(*this).v)));
  }
  LAMINA_INLINE void store(bfloat16* p, int n) const { store_part(p, n); }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return vaddq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return vsubq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return vmulq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return vdivq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return vnegq_f32(a.v); }

  friend LAMINA_INLINE Mask<float> operator<(Vec a, Vec b) { return vcltq_f32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator<=(Vec a, Vec b) { return vcleq_f32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator>(Vec a, Vec b) { return vcgtq_f32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator>=(Vec a, Vec b) { return vcgeq_f32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator==(Vec a, Vec b) { return vceqq_f32(a.v, b.v); }
  friend LAMINA_INLINE Mask<float> operator!=(Vec a, Vec b) { return vmvnq_u32(vceqq_f32(a.v, b.v)); }
  friend LAMINA_INLINE Vec select(Mask<float> m, Vec a, Vec b) { return vbslq_f32(m.m, a.v, b.v); }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c.v, a.v, b.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f32(c.v, a.v, b.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return vminq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return vmaxq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return vminq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return vmaxq_f32(a.v, b.v); }
  friend LAMINA_INLINE Vec abs(Vec a) { return vabsq_f32(a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return vsqrtq_f32(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return vrndmq_f32(a.v); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return vrndpq_f32(a.v); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return vrndq_f32(a.v); }
  friend LAMINA_INLINE Vec round(Vec a) { return vrndnq_f32(a.v); }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) { return vbslq_f32(vdupq_n_u32(1u << 31), sign.v, a.v); }

  template <class Op>
  friend LAMINA_INLINE float fold(Vec a, Op op) {
    a = op(a, vextq_f32(a.v, a.v, 2));
    a = op(a, vrev64q_f32(a.v));
    return vgetq_lane_f32(a.v, 0);
  }

  friend LAMINA_INLINE Ints<float> as_ints(Vec a) { return vreinterpretq_s32_f32(a.v); }
  friend LAMINA_INLINE Ints<float> to_ints(Vec a) { return vcvtnq_s32_f32(a.v); }

 private:
  template <class Stored>
  static LAMINA_INLINE Vec load_part(const Stored* p, int n) {
    Stored lanes[4] = {};
    __builtin_memcpy(lanes, p, static_cast<size_t>(n) * sizeof(Stored));
    return load(lanes);
  }
  template <class Stored>
  LAMINA_INLINE void store_part(Stored* p, int n) const {
    Stored lanes[4];
    store(lanes);
    __builtin_memcpy(p, lanes, static_cast<size_t>(n) * sizeof(Stored));
  }
};

template <>
struct Vec<double> : VecOps<Vec<double>, double> {
  static constexpr int width = 2;
  float64x2_t v;

  Vec() = default;
  LAMINA_INLINE Vec(float64x2_t r) : v(r) {}
  LAMINA_INLINE Vec(double x) : v(vdupq_n_f64(x)) {}

  static LAMINA_INLINE Vec load(const double* p) { return vld1q_f64(p); }
  static LAMINA_INLINE Vec load(const double* p, int n) {
    double lanes[2] = {};
    __builtin_memcpy(lanes, p, static_cast<size_t>(n) * sizeof(double));
    return load(lanes);
  }
  LAMINA_INLINE void store(double* p) const { vst1q_f64(p, v); }
  LAMINA_INLINE void store(double* p, int n) const {
    double lanes[2];
    store(lanes);
    __builtin_memcpy(p, lanes, static_cast<size_t>(n) * sizeof(double));
  }

  friend LAMINA_INLINE Vec operator+(Vec a, Vec b) { return vaddq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a, Vec b) { return vsubq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec operator*(Vec a, Vec b) { return vmulq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec operator/(Vec a, Vec b) { return vdivq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec operator-(Vec a) { return vnegq_f64(a.v); }

  friend LAMINA_INLINE Mask<double> operator<(Vec a, Vec b) { return vcltq_f64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator<=(Vec a, Vec b) { return vcleq_f64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator>(Vec a, Vec b) { return vcgtq_f64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator>=(Vec a, Vec b) { return vcgeq_f64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator==(Vec a, Vec b) { return vceqq_f64(a.v, b.v); }
  friend LAMINA_INLINE Mask<double> operator!=(Vec a, Vec b) { return ~Mask<double>(vceqq_f64(a.v, b.v)); }
  friend LAMINA_INLINE Vec select(Mask<double> m, Vec a, Vec b) { return vbslq_f64(m.m, a.v, b.v); }

  friend LAMINA_INLINE Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f64(c.v, a.v, b.v); }
  friend LAMINA_INLINE Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f64(c.v, a.v, b.v); }
  friend LAMINA_INLINE Vec min(Vec a, Vec b) { return vminq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec max(Vec a, Vec b) { return vmaxq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec minimum(Vec a, Vec b) { return vminq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec maximum(Vec a, Vec b) { return vmaxq_f64(a.v, b.v); }
  friend LAMINA_INLINE Vec abs(Vec a) { return vabsq_f64(a.v); }
  friend LAMINA_INLINE Vec sqrt(Vec a) { return vsqrtq_f64(a.v); }
  friend LAMINA_INLINE Vec floor(Vec a) { return vrndmq_f64(a.v); }
  friend LAMINA_INLINE Vec ceil(Vec a) { return vrndpq_f64(a.v); }
  friend LAMINA_INLINE Vec trunc(Vec a) { return vrndq_f64(a.v); }
  friend LAMINA_INLINE Vec round(Vec a) { return vrndnq_f64(a.v); }
  friend LAMINA_INLINE Vec copysign(Vec a, Vec sign) { return vbslq_f64(vdupq_n_u64(uint64_t{1} << 63), sign.v, a.v); }

  template <class Op>
  friend LAMINA_INLINE double fold(Vec a, Op op) {
    a = op(a, vextq_f64(a.v, a.v, 1));
    return vgetq_lane_f64(a.v, 0);
  }

  friend LAMINA_INLINE Ints<double> as_ints(Vec a) { return vreinterpretq_s64_f64(a.v); }
  friend LAMINA_INLINE Ints<double> to_ints(Vec a) { return vcvtnq_s64_f64(a.v); }
};

LAMINA_INLINE Vec<float> as_vec(Ints<float> a) { return vreinterpretq_f32_s32(a.v); }
LAMINA_INLINE Vec<float> to_vec(Ints<float> a) { return vcvtq_f32_s32(a.v); }
LAMINA_INLINE Vec<double> as_vec(Ints<double> a) { return vreinterpretq_f64_s64(a.v); }
LAMINA_INLINE Vec<double> to_vec(Ints<double> a) { return vcvtq_f64_s64(a.v); }

LAMINA_INLINE void widen(Vec<float> x, Vec<double> (&parts)[2]) {
  parts[0] = vcvt_f64_f32(vget_low_f32(x.v));
  parts[1] = vcvt_high_f64_f32(x.v);
}
LAMINA_INLINE Vec<float> narrow(const Vec<double> (&parts)[2]) {
  return vcvt_high_f32_f64(vcvt_f32_f64(parts[0].v), parts[1].v);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
