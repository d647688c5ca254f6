// Order along a dimension: sorting, the first elements, order statistics, distinct elements, places in sorted rows.
#pragma once
#include <optional>

#include "core/tensor.h"
#include "ops/values_indices.h"

namespace lamina {

ValuesIndices sort(const Tensor& x, std::int64_t dim, bool descending);  // stable
Tensor argsort(const Tensor& x, std::int64_t dim, bool descending);
ValuesIndices topk(const Tensor& x, std::int64_t k, std::int64_t dim, bool largest);
ValuesIndices kthvalue(const Tensor& x, std::int64_t k, std::int64_t dim, bool keepdim);
// The lower of the two in the middle; NaN where there is one.
Tensor median(const Tensor& x);
ValuesIndices median(const Tensor& x, std::int64_t dim, bool keepdim);
// How many elements of the sorted rows are less than each value or, from the right, not greater.
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool int32, bool right);

// ---- sort_unique.cpp ----
struct Unique {
  Tensor values;
  Tensor inverse;  // where each element of the input, or each slice, went
  Tensor counts;
};
Unique unique(const Tensor& x);
Unique unique_slices(const Tensor& x, std::int64_t dim);
Unique unique_consecutive(const Tensor& x);  // runs of equal elements of the flattened input

}  // namespace lamina
