// Weights that many products read are packed once and kept beside their storage until it changes.
#pragma once
#include "core/tensor.h"

namespace lamina {

// The packed form of the matrix b (k, n) for a product with `rows` rows, to be held while the product runs; undefined
// where packing would not pay. The first use of a matrix only leaves a note: a weight that changes between any two
// uses, as in training, is never packed. The result of the product is the same to the bit.
Tensor packed_matrix(const Tensor& b, std::int64_t rows);

// A matrix as a packing kernel sees it; `form` tells packed forms apart: 0 is that of products.
struct PackSource {
  const void* data;
  std::int64_t rows, cols, row_stride, col_stride;
  DType dtype;
  Device device;
  int form;
};
using PackKernel = void (*)(void* packed, PackSource source);

// The same for any other packed form of `bytes` bytes: what `kernel` makes of b.
Tensor kept_packed(const Tensor& b, std::size_t bytes, PackKernel kernel, int form);

}  // namespace lamina
