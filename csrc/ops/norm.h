// Normalisation of the last dimensions, and of channels.
#pragma once
#include "core/tensor.h"

namespace lamina {

// `shape`: of the dimensions that are normalised together, x's last ones; weight and bias have it, or are undefined.
Tensor layer_norm(const Tensor& x, const Dims& shape, const Tensor& weight, const Tensor& bias, double eps);
Tensor rms_norm(const Tensor& x, const Dims& shape, const Tensor& weight, double eps);

// Of (N, C, …). Tensors that are not defined are not there.
struct BatchNorm {
  Tensor running_mean, running_var;  // of C; overwritten in training
  Tensor weight, bias;               // of C
  bool training = false;             // mean and variance of the batch, else the running ones
  double momentum = 0.1;
  Tensor batches;  // in momentum's place: how many batches there were, with this one; one int64
  double eps = 1e-5;
  Tensor residual;  // added to the result
  bool relu = false;
};
Tensor batch_norm(const Tensor& x, const BatchNorm& n);
Tensor group_norm(const Tensor& x, std::int64_t groups, const Tensor& weight, const Tensor& bias, double eps);

}  // namespace lamina
