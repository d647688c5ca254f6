// Element-wise operations on tensors, with broadcasting, type promotion and gradients.
#pragma once
#include "kernels/elementwise.h"
#include "ops/promote.h"

namespace lamina {

const char* name_of(UnaryOp op);
const char* name_of(BinaryOp op);

Tensor unary(UnaryOp op, const Tensor& x, Params params = {});
void unary_in_place(UnaryOp op, const Tensor& x, Params params = {});
Tensor binary(BinaryOp op, const Arg& a, const Arg& b);
void binary_in_place(BinaryOp op, const Tensor& a, const Arg& b);
Tensor where(const Tensor& condition, const Arg& a, const Arg& b);
Tensor clamp(const Tensor& x, const Arg* low, const Arg* high);

inline Tensor add(const Arg& a, const Arg& b) { return binary(BinaryOp::add, a, b); }
inline Tensor sub(const Arg& a, const Arg& b) { return binary(BinaryOp::sub, a, b); }
inline Tensor mul(const Arg& a, const Arg& b) { return binary(BinaryOp::mul, a, b); }
inline Tensor div(const Arg& a, const Arg& b) { return binary(BinaryOp::div, a, b); }
inline Tensor neg(const Tensor& x) { return unary(UnaryOp::neg, x); }

// ---- making, copying, converting ----
Tensor full(const Dims& shape, const Scalar& value, DType dtype, Device device = {});
void fill_(const Tensor& t, const Scalar& value);
void copy_(const Tensor& to, const Tensor& from);  // broadcasts and converts; recorded
Tensor clone(const Tensor& t);                     // contiguous, recorded
Tensor contiguous(const Tensor& t);                // t itself if it is
Tensor to_device(const Tensor& t, Device device);  // t itself if it is there
Tensor to_dtype(const Tensor& t, DType dtype);     // t itself if it is; recorded between floating types
Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, DType dtype, Device device = {});

// ---- unrecorded building blocks ----
Saves saves_of(UnaryOp op);
Tensor unary_gradient(UnaryOp op, const Tensor& dy, const Tensor& saved, const Params& params = {});
void write_copy(const Tensor& to, const Tensor& from);
void write_fill(const Tensor& t, const Scalar& value);

}  // namespace lamina
