// Type promotion, PyTorch's rules: a tensor with dimensions outranks a 0-d one, which outranks a Python number, unless
// the lower rank is of a higher category (bool < integer < floating).
#pragma once
#include <initializer_list>

#include "core/scalar.h"
#include "core/tensor.h"

namespace lamina {

DType promote(DType a, DType b);

// A tensor or a number in the place of one.
class Arg {
 public:
  Arg(const Tensor& t) : tensor_(&t) {}
  Arg(const Scalar& s) : number_(s) {}
  bool is_tensor() const { return tensor_ != nullptr; }
  const Tensor& tensor() const { return *tensor_; }
  const Scalar& number() const { return number_; }
  DType dtype() const { return tensor_ ? tensor_->dtype() : number_.dtype(); }

 private:
  const Tensor* tensor_ = nullptr;
  Scalar number_{false};
};

DType result_type(std::initializer_list<const Arg*> args);

// The type in which an operation on `t` is computed: 16-bit floats in float32, bool as uint8.
inline DType compute_type(DType t) {
  if (t == DType::f16 || t == DType::bf16) return DType::f32;
  return t == DType::b8 ? DType::u8 : t;
}

}  // namespace lamina
