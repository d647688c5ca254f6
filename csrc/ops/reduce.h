#pragma once
#include "core/tensor.h"

namespace lamina {

// Sums the dimensions that broadcasting added or stretched, so that `t` gets `shape` back; t itself if there are none.
Tensor sum_to(const Tensor& t, const Dims& shape);
bool any_zero(const Tensor& t);

}  // namespace lamina
