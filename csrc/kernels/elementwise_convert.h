// One element of any type as one of any other.
#pragma once
#include "simd/half_scalar.h"
#include "simd/plain.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Bool {  // one byte; anything but zero is true
  std::uint8_t value;
};

template <class From>
LAMINA_INLINE auto widen(From x) {
  return x;
}
LAMINA_INLINE float widen(float16 x) { return half_to_float(x); }
LAMINA_INLINE float widen(bfloat16 x) { return brain_to_float(x); }
LAMINA_INLINE std::uint8_t widen(Bool x) { return x.value != 0; }

template <class To, class From>
LAMINA_INLINE To convert(From x) {
  const auto wide = widen(x);
  if constexpr (std::is_same_v<To, Bool>)
    return Bool{wide != 0};
  else if constexpr (std::is_same_v<To, float16>)
    return float_to_half(static_cast<float>(wide));
  else if constexpr (std::is_same_v<To, bfloat16>)
    return float_to_brain(static_cast<float>(wide));
  else if constexpr (Integer<To> && Real<decltype(wide)> && sizeof(To) == 1)
    return static_cast<To>(static_cast<std::int64_t>(wide));
  else
    return static_cast<To>(wide);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
