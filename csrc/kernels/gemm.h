// Matrix products: arguments and table of the gemm family.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/elementwise.h"

namespace lamina {

constexpr int kGemmBatchDims = 6;

// A matrix, or a batch of them, inside somebody's memory. Strides are in elements; 0 repeats.
struct GemmOperand {
  void* data = nullptr;  // null: absent
  std::int64_t row = 0, col = 0;
  std::int64_t batch[kGemmBatchDims] = {};
};

// For every matrix of the batch, Z = alpha A[m, k] B[k, n] + beta D + bias (+ C if accumulate) and C[m, n] =
// activation(Z). D and bias are read as [m, n]. All operands are of type `dtype`; C overlaps none of them. With k == 0
// the product is 0.
struct GemmArgs {
  DType dtype = DType::f32;
  bool accumulate = false;
  int batch_ndim = 0;
  std::int64_t batch[kGemmBatchDims] = {};
  std::int64_t m = 0, n = 0, k = 0;
  double alpha = 1, beta = 1;
  GemmOperand a, b, c;
  GemmOperand d, bias;                  // optional
  void* z = nullptr;                    // optional: receives Z, laid out as C
  UnaryOp activation = UnaryOp::count;  // count: none. Floating types only
  Params params = {};                   // of the activation
  const void* packed_b = nullptr;       // what pack_b made of b, where the batch shares one b; same bits
};

// What a layer activation(x w^T + bias) does first with the gradient dy[rows, cols] of its output: dz = activation'(dy,
// saved), and dbias, the sum of dz over the rows. All contiguous, of type `dtype`.
struct BiasGradient {
  DType dtype = DType::f32;
  std::int64_t rows = 0, cols = 0;
  const void *dy = nullptr, *saved = nullptr;
  void* dz = nullptr;                   // may be dy; null without activation
  void* dbias = nullptr;                // null: not wanted
  UnaryOp activation = UnaryOp::count;  // count: none
};

struct GemmTable {
  void (*multiply)(const GemmArgs& args);
  // The packed form of a B[k, n] of type `dtype` (float32 or float64) that many products will read. `b` may also hold
  // float16 or bfloat16 (`source`) where dtype is float32.
  std::size_t (*packed_bytes)(DType dtype, std::int64_t k, std::int64_t n);
  void (*pack_b)(void* packed, DType dtype, DType source, const GemmOperand& b, std::int64_t k, std::int64_t n);
  void (*bias_gradient)(BiasGradient args);
};

}  // namespace lamina
