// Losses: what they read, how their terms are summed up, and the table. Terms are summed in fixed cuts that are joined
// in order, so that the bits do not depend on the number of threads.
#pragma once
#include "kernels/reduce.h"

namespace lamina {

// Losses of one element, a pair or a triple at a time. Formulas and derivatives: loss_formulas.h.
enum class LossOp : int {
  mse,
  half_squared,
  l1,
  smooth_l1,
  huber,
  binary_cross_entropy,
  binary_cross_entropy_with_logits,
  kl_div,
  gaussian_nll,
  poisson_nll,
  soft_margin,
  hinge_embedding,
  margin_ranking,
  count
};
constexpr int kLosses = static_cast<int>(LossOp::count);
constexpr int kLossParams = 2;

enum class LossReduction : std::uint8_t { none, mean, sum };

// n contiguous elements of each operand, all of one type; `third` is null where the loss has no use for it.
struct LossOperands {
  const void *first, *second, *third;
  std::int64_t n;
  double p[kLossParams];
  LossReduction reduction;
};

// Of one cut: the sum of the terms, what a mean divides by, and the first position whose label or number is not
// allowed, or -1.
struct LossPartial {
  double loss, weight;
  std::int64_t fault;
};
constexpr std::int64_t kLossCut = 32768;  // elements

// Cross-entropy along the classes of `shape` (positions before, classes, positions after). A position's loss is
//   -Σ_c w_c q_c log p_c,   p = softmax(x),   q = (1 - smoothing) target + smoothing / classes
// where the target is one class or a distribution; the mean divides by the weights of the classes named, or by the
// number of positions where targets are distributions. Without weights w = 1. Positions labelled ignore_index count for
// nothing.
struct CrossEntropy {
  Along shape;
  const void* x;       // logits; with log_probabilities, log p itself
  const void* target;  // labels (outer, inner), or probabilities laid out like x and of its type
  const void* weight;  // (classes) in the type that is computed in, or null
  std::int64_t ignore_index;
  double smoothing;
  DType label_type;
  bool soft, log_probabilities;
  LossReduction reduction;
};
// How positions are cut: rows where inner is 1, else strips of kStripColumns columns.
struct LossCuts {
  std::int64_t strips, tasks, grain, count;
};
static constexpr LossCuts cuts_of(const Along& a) {
  const std::int64_t strips = (a.inner + kStripColumns - 1) / kStripColumns, tasks = a.outer * strips;
  const std::int64_t elements = a.length * (a.inner < kStripColumns ? a.inner : kStripColumns);
  const std::int64_t grain = elements >= kLossCut ? 1 : kLossCut / (elements > 0 ? elements : 1);
  return {strips, tasks, grain, (tasks + grain - 1) / grain};
}

struct LossTable {
  // out: one number, or n with reduction none. partials: one for every cut of kLossCut elements; null for a single one.
  // fault: the first position that is not allowed, or -1; its loss is NaN.
  using Forward = void (*)(LossOperands a, void* out, LossPartial* partials, std::int64_t* fault);
  Forward forward[kLosses][kDTypeCount];
  // dx = dy · derivative by operand `which`; dy is one number, or n with reduction none.
  using Backward = void (*)(LossOperands a, int which, const void* dy, void* dx);
  Backward backward[kLosses][kDTypeCount];

  // statistics: of each position the largest logit, then of each the sum of exp(x - largest), in the type that is
  // computed in. divisor: that of the mean, for backward. partials: cuts_of(shape).count of them; null for one.
  using CrossEntropyForward = void (*)(CrossEntropy a, void* out, void* statistics, double* divisor,
                                       LossPartial* partials, std::int64_t* fault);
  CrossEntropyForward cross_entropy[kDTypeCount];
  using CrossEntropyBackward = void (*)(CrossEntropy a, const void* dy, const void* statistics, const double* divisor,
                                        void* dx);
  CrossEntropyBackward cross_entropy_grad[kDTypeCount];
};

}  // namespace lamina
