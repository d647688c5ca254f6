// Reductions on tensors, with PyTorch's names, defaults and types. No dims, or none given, means all of them.
#pragma once
#include <utility>

#include "ops/promote.h"
#include "ops/reduce_plan.h"
#include "ops/values_indices.h"

namespace lamina {

using MaybeDims = std::optional<Dims>;
using MaybeDim = std::optional<std::int64_t>;
using MaybeDType = std::optional<DType>;  // what the input is converted to first

// ---- reduce.cpp ----
Tensor sum(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false, MaybeDType dtype = {});
Tensor nansum(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false, MaybeDType dtype = {});
Tensor mean(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false, MaybeDType dtype = {});
Tensor prod(const Tensor& x, MaybeDim dim = {}, bool keepdim = false, MaybeDType dtype = {});
Tensor any(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false);
Tensor all(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false);
Tensor count_nonzero(const Tensor& x, const MaybeDims& dims = {});
// Sums the dimensions that broadcasting added or stretched, so that `t` gets `shape` back; t itself if there are none.
// Not recorded.
Tensor sum_to(const Tensor& t, const Dims& shape);
// Fails with `op: message` where an element is zero, in every replay of a recording too. Both are literals.
void refuse_zeros(const Tensor& t, const char* op, const char* message);

// ---- reduce_extreme.cpp ----
Tensor amax(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false);
Tensor amin(const Tensor& x, const MaybeDims& dims = {}, bool keepdim = false);
ValuesIndices max(const Tensor& x, std::int64_t dim, bool keepdim = false);
ValuesIndices min(const Tensor& x, std::int64_t dim, bool keepdim = false);
Tensor argmax(const Tensor& x, MaybeDim dim = {}, bool keepdim = false);
Tensor argmin(const Tensor& x, MaybeDim dim = {}, bool keepdim = false);

// ---- reduce_moments.cpp ----
Tensor variance(const Tensor& x, const MaybeDims& dims = {}, double correction = 1, bool keepdim = false);
Tensor deviation(const Tensor& x, const MaybeDims& dims = {}, double correction = 1, bool keepdim = false);
std::pair<Tensor, Tensor> variance_mean(const Tensor& x, const MaybeDims& dims = {}, double correction = 1,
                                        bool keepdim = false);
std::pair<Tensor, Tensor> deviation_mean(const Tensor& x, const MaybeDims& dims = {}, double correction = 1,
                                         bool keepdim = false);

// ---- reduce_norm.cpp ----
Tensor vector_norm(const Tensor& x, double order = 2, const MaybeDims& dims = {}, bool keepdim = false,
                   MaybeDType dtype = {});

// ---- reduce_softmax.cpp ----
Tensor logsumexp(const Tensor& x, const Dims& dims, bool keepdim = false);
Tensor softmax(const Tensor& x, std::int64_t dim, MaybeDType dtype = {});
Tensor log_softmax(const Tensor& x, std::int64_t dim, MaybeDType dtype = {});

// ---- reduce_scan.cpp ----
Tensor cumsum(const Tensor& x, std::int64_t dim, MaybeDType dtype = {});
Tensor cumprod(const Tensor& x, std::int64_t dim, MaybeDType dtype = {});
Tensor logcumsumexp(const Tensor& x, std::int64_t dim);
ValuesIndices cummax(const Tensor& x, std::int64_t dim);
ValuesIndices cummin(const Tensor& x, std::int64_t dim);

// ---- for the files above: unrecorded ----

// `p` is the order of norm_p; `name` stands in errors.
Tensor fold(FoldOp op, const char* name, const Tensor& x, DimSet dims, bool keepdim, double p = 0);
// A view of the result y of a reduction, or of its gradient, that repeats every element over the elements it came from.
Tensor spread(const Tensor& y, const Dims& shape, DimSet dims);
// The same with size 1 instead.
Tensor with_reduced_dims(const Tensor& y, const Dims& shape, DimSet dims);
Tensor convert_first(const Tensor& x, MaybeDType dtype);
Tensor as_asked(const Tensor& y, MaybeDType dtype);
// As prod's gradient needs it: gradients of products along `dim`.
Tensor prod_gradient(const Tensor& x, const Tensor& y, const Tensor& dy, int dim);

}  // namespace lamina
