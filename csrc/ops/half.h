// float16 and bfloat16 are types to store in. What has no kernel for them computes in float32: it widens its operands
// and converts the result back, both recorded.
#pragma once
#include "ops/elementwise.h"

namespace lamina {

inline bool is_half(const Tensor& t) { return t.dtype() == DType::f16 || t.dtype() == DType::bf16; }
inline Tensor widened(const Tensor& t) { return t.defined() ? to_dtype(t, DType::f32) : t; }

}  // namespace lamina
