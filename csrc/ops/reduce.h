// Reductions on tensors, with PyTorch's names, defaults and types.
#pragma once
#include "ops/promote.h"
#include "ops/reduce_plan.h"

namespace lamina {

// A fold over a set of dimensions, unrecorded. `p` is the order of norm_p.
Tensor fold(FoldOp op, const Tensor& t, DimSet dims, bool keepdim, double p = 0);

// Sums the dimensions that broadcasting added or stretched, so that `t` gets `shape` back; t itself if there are none.
Tensor sum_to(const Tensor& t, const Dims& shape);
bool any_zero(const Tensor& t);

}  // namespace lamina
