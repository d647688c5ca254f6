// Division by a number that is fixed for a launch: a multiplication and a shift. Of indices, 0 <= x < 2^31.
#pragma once
#include <cstdint>

#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kLargestIndex = 0x7fffffff;

// With s = ⌈log2 d⌉ and m = ⌊2^(31 + s) / d⌋ + 1 < 2^32, x m / 2^(31 + s) exceeds x / d by at most x / 2^(31 + s) < 1 /
// d (Granlund and Montgomery 1994): rounded down they are equal.
struct Divisor {
  std::uint32_t value = 1, multiplier = (1u << 31) + 1, shift = 31;

  Divisor() = default;
  LAMINA_INLINE explicit Divisor(std::int64_t d) : value(static_cast<std::uint32_t>(d)) {
    while ((std::int64_t{1} << (shift - 31)) < d) ++shift;
    multiplier = static_cast<std::uint32_t>((std::uint64_t{1} << shift) / value + 1);
  }
  LAMINA_INLINE int divide(int x) const {
    return static_cast<int>((static_cast<std::uint64_t>(static_cast<std::uint32_t>(x)) * multiplier) >> shift);
  }
  LAMINA_INLINE void divmod(int x, int& quotient, int& rest) const {
    quotient = divide(x);
    rest = x - quotient * static_cast<int>(value);
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
