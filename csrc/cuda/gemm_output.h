// The way of finished sums into C: scaling, addends, activation, any strides.
#pragma once
#include "cuda/ptx.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// 16-bit types are stored only: arithmetic is float's.
template <class T>
using ComputeOf = std::conditional_t<sizeof(T) == 2, float, T>;

template <class T>
LAMINA_IN_KERNEL ComputeOf<T> widened(T x) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return brain_to_float(x);
  else if constexpr (std::is_same_v<T, float16>)
    return half_to_float(x);
  else
    return x;
}
template <class T>
LAMINA_IN_KERNEL T narrowed(ComputeOf<T> x) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return float_to_brain(x);
  else if constexpr (std::is_same_v<T, float16>)
    return float_to_half(x);
  else
    return x;
}

// ---- where element (m, n) of a result lies ----

struct StridedMap {
  std::int64_t row = 0, col = 0;
  LAMINA_IN_KERNEL std::int64_t at(int m, int n) const { return m * row + n * col; }
};

// Z = alpha · sum + beta · D + bias (+ C), C = activation(Z).
template <class T, class Map>
struct Output {
  using Compute = ComputeOf<T>;

  T* c = nullptr;
  T* z = nullptr;           // laid out as C; null: not wanted
  const T* d = nullptr;     // null: none
  const T* bias = nullptr;  // null: none
  Map map = {}, d_map = {};
  StridedMap bias_map = {};
  Compute alpha = 1, beta = 1;
  bool accumulate = false, relu = false;
  bool down = false;  // do neighbours in a column of C lie together, rather than those in a row?

  LAMINA_IN_KERNEL void put(std::int64_t c_offset, std::int64_t d_offset, std::int64_t bias_offset, int m, int n,
                            Compute sum) const {
    const std::int64_t at = c_offset + map.at(m, n);
    Compute value = alpha * sum;
    if (d) value = fused(beta, widened(d[d_offset + d_map.at(m, n)]), value);
    if (bias) value += widened(bias[bias_offset + bias_map.at(m, n)]);
    if (accumulate) value += widened(c[at]);
    if (z) z[at] = narrowed<T>(value);
    if (relu && value < 0) value = 0;  // NaN stays
    c[at] = narrowed<T>(value);
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
