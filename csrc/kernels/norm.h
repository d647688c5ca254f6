// Normalisation, y = (x - mean) / √(variance + eps) · weight + bias, of rows (layer norm, and RMS norm, which takes the
// mean for 0) and of channels (batch norm and group norm).
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

// `rows` contiguous rows of n elements. weight and bias have n, in the type that is computed in, or are null.
struct RowNorm {
  std::int64_t rows, n;
  const void* x;
  const void *weight, *bias;
  double eps;
};

// What is kept of a row for backward, in the type that is computed in: the normalised element is (x - center) · scale +
// shift. Center is the mean as rounded; shift makes up for the rounding.
constexpr int kRowStatistics = 3;

// Rows are cut into runs that one thread takes at once; sums over rows are made within a cut and then joined in order.
constexpr std::int64_t kNormCut = 32768;  // elements
static constexpr std::int64_t rows_of_norm_cut(std::int64_t n) {
  return n >= kNormCut ? 1 : kNormCut / (n > 0 ? n : 1);
}
static constexpr std::int64_t norm_cuts(std::int64_t rows, std::int64_t n) {
  return (rows + rows_of_norm_cut(n) - 1) / rows_of_norm_cut(n);
}

// ---- channels ----

// x is (batch, channels, spatial), contiguous. Batch norm takes mean and variance of a channel over batch and spatial
// (S. Ioffe, C. Szegedy, Batch Normalization, ICML 2015); group norm those of a sample over spatial and the channels of
// a group (Y. Wu, K. He, Group Normalization, ECCV 2018). To the result of batch norm a residual may be added, and ReLU
// be applied to that.
struct ChannelNorm {
  std::int64_t batch, channels, spatial;
  const void* x;
  const void *weight, *bias;  // of `channels`, or null
  const void* residual;       // like x, or null
  double eps;
  bool relu;
  bool own_statistics;  // batch norm: the batch's, not the running ones
  std::int64_t groups;  // of group norm
};

// Running statistics: value += momentum · (the batch's - value), the variance's without bias. Where `batches` is given,
// the number of batches so far with this one, momentum is 1 / batches: the mean over all of them.
struct RunningStatistics {
  void *mean, *variance;  // of `channels`, or null
  const std::int64_t* batches;
  double momentum;
};

struct NormTable {
  // y like x; statistics: kRowStatistics numbers to a row, or null.
  using Forward = void (*)(RowNorm a, void* y, void* statistics);
  Forward layer_norm[kDTypeCount], rms_norm[kDTypeCount];
  // dx like x, dweight and dbias like weight; each may be null. scratch: norm_cuts(rows, n) · 2 · n numbers of weight's
  // type if dweight or dbias is wanted.
  using Backward = void (*)(RowNorm a, const void* dy, const void* statistics, void* dx, void* dweight, void* dbias,
                            void* scratch);
  Backward layer_norm_grad[kDTypeCount], rms_norm_grad[kDTypeCount];

  // y like x; statistics: kRowStatistics numbers to a channel, given where neither the batch's own nor running ones
  // are.
  using BatchForward = void (*)(ChannelNorm a, RunningStatistics running, void* y, void* statistics);
  BatchForward batch_norm[kDTypeCount];
  // y: the result, where ReLU came after a residual; else null. dx and dresidual like x, dweight and dbias of
  // `channels`; each may be null.
  using BatchBackward = void (*)(ChannelNorm a, const void* dy, const void* y, const void* statistics, void* dx,
                                 void* dresidual, void* dweight, void* dbias);
  BatchBackward batch_norm_grad[kDTypeCount];
  // statistics: kRowStatistics numbers to a group of a sample.
  using GroupForward = void (*)(ChannelNorm a, void* y, void* statistics);
  GroupForward group_norm[kDTypeCount];
  // sums: (batch, 2, channels), work space.
  using GroupBackward = void (*)(ChannelNorm a, const void* dy, const void* statistics, void* dx, void* dweight,
                                 void* dbias, void* sums);
  GroupBackward group_norm_grad[kDTypeCount];
};

}  // namespace lamina
