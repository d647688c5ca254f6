// Moving and converting runs of elements: move[from][to](destination, its stride, source, its stride, count).
#pragma once
#include "kernels/elementwise_convert.h"
#include "simd/convert.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using Move = void (*)(void* to, std::int64_t to_stride, const void* from, std::int64_t from_stride, std::int64_t n);

template <class From, class To>
void move(void* to, std::int64_t to_stride, const void* from, std::int64_t from_stride, std::int64_t n) {
  To* out = static_cast<To*>(to);
  const From* in = static_cast<const From*>(from);
  if (from_stride == 0) {
    const To value = convert<To>(*in);
    for (std::int64_t i = 0; i < n; ++i) out[i * to_stride] = value;
  } else if (to_stride == 1 && from_stride == 1) {
    if constexpr (std::is_same_v<From, To>) {
      __builtin_memcpy(out, in, static_cast<std::size_t>(n) * sizeof(To));
    } else if constexpr (std::is_same_v<From, float16> && std::is_same_v<To, float>) {
      half_to_float(out, in, n);
    } else if constexpr (std::is_same_v<From, bfloat16> && std::is_same_v<To, float>) {
      half_to_float(out, in, n);
    } else if constexpr (std::is_same_v<From, float> && (std::is_same_v<To, float16> || std::is_same_v<To, bfloat16>)) {
      float_to_half(out, in, n);
    } else {
      for (std::int64_t i = 0; i < n; ++i) out[i] = convert<To>(in[i]);
    }
  } else {
    for (std::int64_t i = 0; i < n; ++i) out[i * to_stride] = convert<To>(in[i * from_stride]);
  }
}

template <class From>
constexpr void fill_moves(Move* row) {
  row[static_cast<int>(DType::f32)] = move<From, float>;
  row[static_cast<int>(DType::f64)] = move<From, double>;
  row[static_cast<int>(DType::f16)] = move<From, float16>;
  row[static_cast<int>(DType::bf16)] = move<From, bfloat16>;
  row[static_cast<int>(DType::i64)] = move<From, std::int64_t>;
  row[static_cast<int>(DType::i32)] = move<From, std::int32_t>;
  row[static_cast<int>(DType::u8)] = move<From, std::uint8_t>;
  row[static_cast<int>(DType::b8)] = move<From, Bool>;
}

struct Moves {
  Move slot[kDTypeCount][kDTypeCount];
  constexpr Moves() : slot{} {
    fill_moves<float>(slot[static_cast<int>(DType::f32)]);
    fill_moves<double>(slot[static_cast<int>(DType::f64)]);
    fill_moves<float16>(slot[static_cast<int>(DType::f16)]);
    fill_moves<bfloat16>(slot[static_cast<int>(DType::bf16)]);
    fill_moves<std::int64_t>(slot[static_cast<int>(DType::i64)]);
    fill_moves<std::int32_t>(slot[static_cast<int>(DType::i32)]);
    fill_moves<std::uint8_t>(slot[static_cast<int>(DType::u8)]);
    fill_moves<Bool>(slot[static_cast<int>(DType::b8)]);
  }
  Move operator()(DType from, DType to) const { return slot[static_cast<int>(from)][static_cast<int>(to)]; }
};
constexpr Moves moves;

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
