// Vector norms of any order.
#include <cmath>

#include "autograd/node.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

FoldOp fold_of(double order) {
  if (order == 1) return FoldOp::norm_1;
  if (order == 2) return FoldOp::norm_2;
  if (std::isinf(order)) return order > 0 ? FoldOp::norm_inf : FoldOp::norm_minus_inf;
  return FoldOp::norm_p;
}

Tensor zero_where(const Tensor& condition, const Tensor& t) { return where(condition, Scalar(0.0), t); }

// The gradient at x of a norm that is y, both with all dimensions, dy likewise. Corners get the subgradient 0.
Tensor norm_gradient(const Tensor& x, const Tensor& y, const Tensor& dy, double order, DimSet dims) {
  if (order == 0) return full(x.shape(), Scalar(0.0), x.dtype(), x.device());
  const Tensor sign = unary(UnaryOp::sign, x);
  if (order == 1) return mul(sign, dy);
  if (order == 2) return mul(x, zero_where(binary(BinaryOp::eq, y, Scalar(0.0)), div(dy, y)));
  const Tensor size = unary(UnaryOp::abs, x);
  if (std::isinf(order)) {  // shared by all elements that are as large
    const Tensor chosen = binary(BinaryOp::logical_or, binary(BinaryOp::eq, size, y), unary(UnaryOp::isnan, x));
    const Tensor ties = to_dtype(fold(FoldOp::sum, "sum", chosen, dims, true), x.dtype());
    return where(chosen, mul(sign, div(dy, ties)), Scalar(0.0));
  }
  const Tensor factor =
      zero_where(binary(BinaryOp::eq, y, Scalar(0.0)), mul(dy, binary(BinaryOp::pow, y, Scalar(1 - order))));
  const Tensor slope = mul(sign, binary(BinaryOp::pow, size, Scalar(order - 1)));
  return mul(order < 1 ? zero_where(binary(BinaryOp::eq, x, Scalar(0.0)), slope) : slope, factor);
}

}  // namespace

Tensor vector_norm(const Tensor& input, double order, const MaybeDims& dims, bool keepdim, MaybeDType dtype) {
  const Tensor x = convert_first(input, dtype);
  const DimSet set = dim_set(dims, x.ndim(), "norm");
  check(order > 0 || order == 0 || reduced_count(x.shape(), set) > 0, "norm: of order ", order,
        " is not defined for no elements: the tensor has shape ", x.shape());
  check_as(ErrorKind::type, is_floating(x.dtype()), "norm: expected a floating type, got ", name_of(x.dtype()));
  const Tensor y = order == 0 ? to_dtype(fold(FoldOp::count_nonzero, "norm", x, set, keepdim), x.dtype())
                              : fold(fold_of(order), "norm", x, set, keepdim, order);
  if (needs_grad(x))
    record("norm", y, {&x}, [x = save(x), y = save_output(y), order, set](Gradients& g) {
      const Dims& shape = x.get().shape();
      const Tensor top = with_reduced_dims(y.get(), shape, set), dy = with_reduced_dims(g.of_output(), shape, set);
      g.give(0, norm_gradient(x.get(), top, dy, order, set));
    });
  return y;
}

}  // namespace lamina
