// float16 and bfloat16 to float and back, one at a time and in integer arithmetic, to the bit what the conversion
// instructions do: round to nearest even, overflow to infinity, denormals kept, a NaN made quiet with its sign and the
// high bits of its payload.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE float float_of_bits(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}
LAMINA_INLINE uint32_t bits_of_float(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

LAMINA_INLINE float half_to_float(float16 h) {
  const uint32_t sign = (h.bits & 0x8000u) << 16, magnitude = h.bits & 0x7fffu;
  if (magnitude > 0x7c00u) return float_of_bits(sign | 0x7fc00000u | magnitude << 13);
  if (magnitude == 0x7c00u) return float_of_bits(sign | 0x7f800000u);
  // Read as a float, the shifted bits are the number times 2^-112, whether it is normal or not.
  return float_of_bits(sign | bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f));
}

LAMINA_INLINE float16 float_to_half(float x) {
  const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520: from here on nearer to 2^16 than to 65504
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14: a normal float16
    half = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  } else {
    // The last bit of 0.5 weighs 2^-24, as that of a denormal float16: the sum rounds where it must.
    half = bits_of_float(float_of_bits(magnitude) + 0.5f) - bits_of_float(0.5f);
  }
  return {static_cast<uint16_t>(sign | half)};
}

LAMINA_INLINE float brain_to_float(bfloat16 b) { return float_of_bits(static_cast<uint32_t>(b.bits) << 16); }

LAMINA_INLINE bfloat16 float_to_brain(float x) {
  const uint32_t bits = bits_of_float(x), high = bits >> 16;
  // Rounding the low bits of a NaN could carry all the way into infinity.
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>(high | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + (high & 1u)) >> 16)};
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
