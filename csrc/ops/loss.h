// Losses on tensors, with PyTorch's definitions. Each is one kernel forward and one for every gradient wanted.
#pragma once
#include "kernels/loss.h"
#include "ops/promote.h"

namespace lamina {

// A loss of pairs (or, with `third`, triples) of elements; `third` broadcasts to x's shape, the target has it.
Tensor pointwise_loss(LossOp op, const Tensor& x, const Tensor& target, const Tensor& third, LossReduction reduction,
                      double p0 = 0, double p1 = 0);
const char* name_of(LossOp op);

struct CrossEntropyOptions {
  std::int64_t ignore_index = -100;
  LossReduction reduction = LossReduction::mean;
  double label_smoothing = 0;
};
// x (N, C, d1…) or (C): logits. target (N, d1…) or (): class indices; or floating, of x's shape: probabilities.
// weight (C), or undefined.
Tensor cross_entropy(const Tensor& x, const Tensor& target, const Tensor& weight, const CrossEntropyOptions& options);
// The same from logarithms of probabilities, with class indices.
Tensor nll_loss(const Tensor& x, const Tensor& target, const Tensor& weight, const CrossEntropyOptions& options);

}  // namespace lamina
