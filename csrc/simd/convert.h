// Runs of float16 and bfloat16 to float and back. `out` and `in` may not overlap.
#pragma once
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class To, class From>
LAMINA_INLINE void convert_run(To* out, const From* in, int64_t n) {
  using V = Vec<float>;
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::load(in + i).store(out + i);
  const int rest = static_cast<int>(n - i);
  if (rest > 0) V::load(in + i, rest).store(out + i, rest);
}

inline void half_to_float(float* out, const float16* in, int64_t n) { convert_run(out, in, n); }
inline void half_to_float(float* out, const bfloat16* in, int64_t n) { convert_run(out, in, n); }
inline void float_to_half(float16* out, const float* in, int64_t n) { convert_run(out, in, n); }
inline void float_to_half(bfloat16* out, const float* in, int64_t n) { convert_run(out, in, n); }

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
