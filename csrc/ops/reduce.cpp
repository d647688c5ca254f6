#include "ops/reduce.h"

#include "autograd/node.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace lamina {

Tensor sum_to(const Tensor& t, const Dims& shape) {
  if (t.shape() == shape) return t;
  Tensor x = contiguous(t);
  const Tensor out = full(shape, Scalar(0.0), t.dtype());
  const Tensor wide = expand(out, t.shape());
  // PLACEHOLDER, element by element: replaced with the reduction kernels.
  Dims i(t.ndim());
  for (std::int64_t flat = 0; flat < x.numel(); ++flat) {
    std::int64_t rest = flat, at = 0;
    for (int d = t.ndim() - 1; d >= 0; --d) at += (rest % t.shape()[d]) * wide.strides()[d], rest /= t.shape()[d];
    if (t.dtype() == DType::f32) wide.data<float>()[at] += x.data<float>()[flat];
    else wide.data<double>()[at] += x.data<double>()[flat];
  }
  return out;
}

bool any_zero(const Tensor& t) {
  const Tensor x = contiguous(binary(BinaryOp::eq, t, Scalar(0)));
  for (std::int64_t i = 0; i < x.numel(); ++i)
    if (x.data<std::uint8_t>()[i]) return true;
  return false;
}

}  // namespace lamina
