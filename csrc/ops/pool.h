// Pooling and resizing of the last one, two or three dimensions of (N, C, …) or (C, …).
#pragma once
#include <optional>

#include "core/tensor.h"
#include "ops/values_indices.h"

namespace lamina {

// What max_pool1d … avg_pool3d take; a single number stands for all dimensions, and an empty stride for the kernel.
struct PoolArguments {
  Dims kernel, stride, padding, dilation;
  bool ceil_mode = false;
};

// `dims`: how many dimensions are pooled. Indices, into the plane of an input's channel, only where asked for.
ValuesIndices max_pool(int dims, const Tensor& x, const PoolArguments& a, bool return_indices);
Tensor avg_pool(int dims, const Tensor& x, const PoolArguments& a, bool count_include_pad,
                std::optional<std::int64_t> divisor_override);
// A size of -1 keeps that of the input.
ValuesIndices adaptive_max_pool(int dims, const Tensor& x, const Dims& size);
Tensor adaptive_avg_pool(int dims, const Tensor& x, const Dims& size);

enum class Resampling { nearest, nearest_exact, linear, linear_aligned };
// `factors`, where not empty, are what output places are divided by; else the sizes say how far they are apart.
Tensor resize(const Tensor& x, const Dims& size, const double* factors, Resampling how);

}  // namespace lamina
