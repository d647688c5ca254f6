// From a tensor and the dimensions to reduce to the geometry that a kernel walks.
#pragma once
#include <optional>

#include "core/tensor.h"
#include "kernels/reduce.h"

namespace lamina {

// A set of dimensions, one bit each.
using DimSet = std::uint32_t;
inline bool contains(DimSet dims, int d) { return dims >> d & 1; }
inline DimSet all_dims(int ndim) { return (DimSet{1} << ndim) - 1; }

// The dimensions that a caller named; none, or an empty list, means all.
DimSet dim_set(const std::optional<Dims>& dims, int ndim, const char* op);
Dims reduced_shape(const Dims& shape, DimSet dims, bool keepdim);
std::int64_t reduced_count(const Dims& shape, DimSet dims);

// What is left for a kernel to do. `input` may be a rearranged copy; it and `scratch` must live until the launch is
// made.
struct ReductionPlan {
  Reduction geometry;  // without outputs
  Tensor input, scratch;
};
// The output is contiguous. Of a single dimension, elements keep their order.
ReductionPlan plan_reduction(const Tensor& t, DimSet dims);

}  // namespace lamina
