// Elements as unsigned numbers that order as they do, and entries of a key with the position that it came from.
#pragma once
#include <cstdint>
#include <type_traits>

#include "core/dtype.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class Bits_, class In, Bits_ infinity>
struct FloatKeys {
  using Bits = Bits_;
  static constexpr Bits sign = static_cast<Bits>(Bits(1) << (8 * sizeof(Bits) - 1)), ones = static_cast<Bits>(~Bits(0));
  // Without a branch, so that loops over it become vectors.
  static LAMINA_INLINE Bits of(In x) {
    Bits b;
    __builtin_memcpy(&b, &x, sizeof b);
    const Bits magnitude = b & static_cast<Bits>(~sign);
    b &= everywhere(magnitude != 0);
    return static_cast<Bits>((b ^ (sign | everywhere(b >= sign))) | everywhere(magnitude > infinity));
  }
  // Zeros share a key whatever their sign, and so do NaNs.
  static LAMINA_INLINE bool ambiguous(Bits key) { return key == sign || key == ones; }
  static LAMINA_INLINE In value(Bits key) {
    const Bits b = key & sign ? static_cast<Bits>(key ^ sign) : static_cast<Bits>(~key);
    In x;
    __builtin_memcpy(&x, &b, sizeof x);
    return x;
  }

 private:
  static LAMINA_INLINE Bits everywhere(bool bit) { return static_cast<Bits>(-static_cast<Bits>(bit)); }
};
template <class Bits_, class In, Bits_ sign>
struct IntegerKeys {
  using Bits = Bits_;
  static constexpr Bits ones = static_cast<Bits>(~Bits(0));
  static LAMINA_INLINE Bits of(In x) { return static_cast<Bits>(static_cast<Bits>(x) ^ sign); }
  static LAMINA_INLINE bool ambiguous(Bits) { return false; }
  static LAMINA_INLINE In value(Bits key) { return static_cast<In>(static_cast<Bits>(key ^ sign)); }
};

template <class In>
struct KeysOf;
template <>
struct KeysOf<float> : FloatKeys<std::uint32_t, float, 0x7f800000u> {};
template <>
struct KeysOf<double> : FloatKeys<std::uint64_t, double, 0x7ff0000000000000u> {};
template <>
struct KeysOf<float16> : FloatKeys<std::uint16_t, float16, 0x7c00u> {};
template <>
struct KeysOf<bfloat16> : FloatKeys<std::uint16_t, bfloat16, 0x7f80u> {};
template <>
struct KeysOf<std::int64_t> : IntegerKeys<std::uint64_t, std::int64_t, std::uint64_t{1} << 63> {};
template <>
struct KeysOf<std::int32_t> : IntegerKeys<std::uint32_t, std::int32_t, 0x80000000u> {};
template <>
struct KeysOf<std::uint8_t> : IntegerKeys<std::uint8_t, std::uint8_t, 0> {};

// A key of up to 32 bits above its position: entries compare as one number, and never equal.
struct Narrow {
  using Key = std::uint32_t;
  std::uint64_t v;
  static LAMINA_INLINE Narrow make(Key key, std::int64_t at) {
    return {static_cast<std::uint64_t>(key) << 32 | static_cast<std::uint32_t>(at)};
  }
  LAMINA_INLINE Key key() const { return static_cast<Key>(v >> 32); }
  LAMINA_INLINE std::int64_t at() const { return static_cast<std::uint32_t>(v); }
  LAMINA_INLINE bool before(Narrow o) const { return v < o.v; }
};
struct Wide {
  using Key = std::uint64_t;
  std::uint64_t k;
  std::int64_t p;
  static LAMINA_INLINE Wide make(Key key, std::int64_t at) { return {key, at}; }
  LAMINA_INLINE Key key() const { return k; }
  LAMINA_INLINE std::int64_t at() const { return p; }
  LAMINA_INLINE bool before(Wide o) const { return k < o.k || (k == o.k && p < o.p); }
};
template <class In>
using EntryOf = std::conditional_t<sizeof(In) == 8, Wide, Narrow>;

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
