// Largest and smallest elements, by value alone (ties share the gradient) or with their first index (which gets it
// all).
#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/reduce.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/view.h"

namespace lamina {
namespace {

enum class End { max, min };

const char* pick(End end, const char* max, const char* min) { return end == End::max ? max : min; }

// Among no elements there is no extreme.
void check_not_empty(const char* name, const Tensor& x, DimSet dims) {
  check_as(ErrorKind::index, reduced_count(x.shape(), dims) > 0, name,
           ": there is none among no elements: the tensor has shape ", x.shape());
}

Tensor by_value(End end, const char* name, const Tensor& x, const MaybeDims& dims, bool keepdim) {
  const DimSet set = dim_set(dims, x.ndim(), name);
  check_not_empty(name, x, set);
  const Tensor y = fold(end == End::max ? FoldOp::amax : FoldOp::amin, name, x, set, keepdim);
  if (is_floating(x.dtype()) && needs_grad(x))
    record(name, y, {&x}, [x = save(x), y = save_output(y), set](Gradients& g) {
      const Tensor in = x.get(), top = spread(y.get(), in.shape(), set);
      // A NaN differs from itself: where the extreme is one, it is the NaNs that share.
      const Tensor chosen = binary(BinaryOp::logical_or, binary(BinaryOp::eq, in, top), unary(UnaryOp::isnan, in));
      const Tensor ties = to_dtype(fold(FoldOp::sum, "sum", chosen, set, true), in.dtype());
      const Tensor share = div(with_reduced_dims(g.of_output(), in.shape(), set), ties);
      g.give(0, where(chosen, expand(share, in.shape()), Scalar(0.0)));
    });
  return y;
}

ValuesIndices with_index(End end, const char* name, const Tensor& x, MaybeDim dim, bool keepdim, bool wants_values) {
  // All dimensions are one long one, in the order of the elements.
  if (!dim && x.ndim() != 1) {
    const ValuesIndices flat = with_index(end, name, reshape(detach(x), {x.numel()}), 0, false, wants_values);
    return {Tensor(), keepdim ? reshape(flat.indices, Dims(x.ndim(), 1)) : flat.indices};
  }
  const int d = wrap_dim(dim.value_or(0), x.ndim(), name);
  const DimSet set = x.ndim() == 0 ? 0 : DimSet{1} << d;
  const Dims shape = reduced_shape(x.shape(), set, keepdim);
  check_not_empty(name, x, set);
  const DType type = x.dtype() == DType::b8 ? DType::b8 : compute_type(x.dtype());
  const ReduceTable& table = kernels(x.device()).reduce;
  const Reduce kernel = require((end == End::max ? table.max : table.min)[static_cast<int>(type)], name, x.device());
  ValuesIndices y{wants_values ? empty(shape, type, x.device()) : Tensor(), empty(shape, DType::i64, x.device())};
  if (y.indices.numel() > 0) {
    ReductionPlan plan = plan_reduction(to_dtype(detach(x), type), set);
    plan.geometry.out = wants_values ? y.values.data() : nullptr;
    plan.geometry.second = y.indices.data();
    current_stream().launch(kernel, plan.geometry);
  }
  if (wants_values) y.values = to_dtype(y.values, x.dtype());
  if (wants_values && is_floating(x.dtype()) && needs_grad(x))
    record(name, y.values, {&x}, [shape = x.shape(), indices = save_output(y.indices), set, d](Gradients& g) {
      if (shape.empty()) return g.give(0, g.of_output());
      Dims along(shape.size(), 1);
      along[d] = shape[d];
      const Tensor positions =
          reshape(arange(Scalar(0), Scalar(shape[d]), Scalar(1), DType::i64, indices.get().device()), along);
      const Tensor chosen = binary(BinaryOp::eq, with_reduced_dims(indices.get(), shape, set), positions);
      g.give(0, where(chosen, with_reduced_dims(g.of_output(), shape, set), Scalar(0.0)));
    });
  return y;
}

}  // namespace

Tensor amax(const Tensor& x, const MaybeDims& dims, bool keepdim) {
  return by_value(End::max, "amax", x, dims, keepdim);
}
Tensor amin(const Tensor& x, const MaybeDims& dims, bool keepdim) {
  return by_value(End::min, "amin", x, dims, keepdim);
}
ValuesIndices max(const Tensor& x, std::int64_t dim, bool keepdim) {
  return with_index(End::max, "max", x, dim, keepdim, true);
}
ValuesIndices min(const Tensor& x, std::int64_t dim, bool keepdim) {
  return with_index(End::min, "min", x, dim, keepdim, true);
}
Tensor argmax(const Tensor& x, MaybeDim dim, bool keepdim) {
  return with_index(End::max, "argmax", x, dim, keepdim, false).indices;
}
Tensor argmin(const Tensor& x, MaybeDim dim, bool keepdim) {
  return with_index(End::min, "argmin", x, dim, keepdim, false).indices;
}

}  // namespace lamina
