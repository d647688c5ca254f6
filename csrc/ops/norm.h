// Normalisation of the last dimensions.
#pragma once
#include "core/tensor.h"

namespace lamina {

// `shape`: of the dimensions that are normalised together, x's last ones; weight and bias have it, or are undefined.
Tensor layer_norm(const Tensor& x, const Dims& shape, const Tensor& weight, const Tensor& bias, double eps);
Tensor rms_norm(const Tensor& x, const Dims& shape, const Tensor& weight, double eps);

}  // namespace lamina
