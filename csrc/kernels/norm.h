// Normalisation of rows: layer norm, y = (x - mean) / √(variance + eps) · weight + bias, and RMS norm, which takes the
// mean for 0.
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

struct NormTable {
  // y like x; statistics: kRowStatistics numbers to a row, or null.
  using Forward = void (*)(RowNorm a, void* y, void* statistics);
  Forward layer_norm[kDTypeCount], rms_norm[kDTypeCount];
  // dx like x, dweight and dbias like weight; each may be null. scratch: norm_cuts(rows, n) · 2 · n numbers of weight's
  // type if dweight or dbias is wanted.
  using Backward = void (*)(RowNorm a, const void* dy, const void* statistics, void* dx, void* dweight, void* dbias,
                            void* scratch);
  Backward layer_norm_grad[kDTypeCount], rms_norm_grad[kDTypeCount];
};

}  // namespace lamina
