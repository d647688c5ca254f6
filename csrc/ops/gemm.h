// Matrix products on tensors, with PyTorch's rules for ranks and broadcasting, and their gradients. Any strides are
// read where they lie; nothing is copied for a transposition.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "ops/promote.h"

namespace lamina {

// 1-d operands are rows on the left and columns on the right; leading dimensions are a batch and broadcast.
Tensor matmul(const Tensor& a, const Tensor& b);

// The same for exactly these ranks: matrix @ matrix, batch @ batch (equal sizes), matrix @ vector, vector · vector.
Tensor mm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor mv(const Tensor& a, const Tensor& b);
Tensor dot(const Tensor& a, const Tensor& b);
Tensor outer(const Tensor& a, const Tensor& b);

// beta · input + alpha · a @ b, input broadcast; with beta = 0 it is not read.
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha);
Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha);

// activation(x @ weightᵀ + bias) in one kernel: x (…, in), weight (out, in), bias (out).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias,
              std::optional<UnaryOp> activation = std::nullopt);

// Einstein summation, PyTorch's notation; operands are contracted from left to right, each pair as one batched product.
Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands);

// out = a @ b + bias, unrecorded, into a matrix that exists; bias is a row, or undefined. All of one type.
void add_product(const Tensor& out, const Tensor& a, const Tensor& b);  // out += a @ b
void write_product(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& bias = {});

}  // namespace lamina
