// Element types. Plain data only: this header is also compiled once per instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

namespace lamina {

enum class DType : std::uint8_t { f32, f64, f16, bf16, i64, i32, u8, b8 };
constexpr int kDTypeCount = 8;

// Storage formats: arithmetic on them happens in float.
struct float16 {
  std::uint16_t bits;
};
struct bfloat16 {
  std::uint16_t bits;
};

static constexpr std::size_t item_size(DType t) {
  constexpr std::size_t sizes[kDTypeCount] = {4, 8, 2, 2, 8, 4, 1, 1};
  return sizes[static_cast<int>(t)];
}
static constexpr const char* name_of(DType t) {
  constexpr const char* names[kDTypeCount] = {"float32", "float64", "float16", "bfloat16",
                                              "int64",   "int32",   "uint8",   "bool"};
  return names[static_cast<int>(t)];
}
static constexpr bool is_floating(DType t) { return t <= DType::bf16; }
static constexpr bool is_integral(DType t) { return t > DType::bf16 && t != DType::b8; }

}  // namespace lamina
