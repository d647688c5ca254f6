// float16 and bfloat16 are types to store in. What has no kernel for them computes in float32: it widens its operands
// and converts the result back, both recorded.
#pragma once
#include "ops/elementwise.h"

namespace lamina {

inline bool is_half(DType t) { return t == DType::f16 || t == DType::bf16; }
inline bool is_half(const Tensor& t) { return is_half(t.dtype()); }
// Products and convolutions: CUDA multiplies them on tensor cores and sums in float32.
inline bool multiplies_widened(const Tensor& t) { return is_half(t) && t.device().type == DeviceType::cpu; }
// What element-wise kernels compute in.
inline DType computed_in(DType t) { return is_half(t) ? DType::f32 : t; }
inline Tensor widened(const Tensor& t) { return t.defined() ? to_dtype(t, DType::f32) : t; }
inline Tensor narrowed(const Tensor& t, DType to) { return t.defined() ? to_dtype(t, to) : t; }

}  // namespace lamina
