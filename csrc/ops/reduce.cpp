#include "ops/reduce.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/reduce.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace lamina {
namespace {

constexpr FoldKind kFoldKinds[] = {
#define LAMINA_FOLD_KIND(name, kind) FoldKind::kind,
    LAMINA_FOLDS(LAMINA_FOLD_KIND)};

DType fold_result(FoldKind kind, DType t) {
  switch (kind) {
    case FoldKind::predicate: return t == DType::u8 ? DType::u8 : DType::b8;  // uint8 stays, as in PyTorch
    case FoldKind::counting: return DType::i64;
    case FoldKind::widening: return is_floating(t) ? t : DType::i64;
    default: return t;
  }
}

// What a fold of no elements gives.
Scalar neutral(FoldOp op, const char* name, const Tensor& x) {
  switch (op) {
    case FoldOp::prod:
    case FoldOp::all: return Scalar(1);
    case FoldOp::mean: return Scalar(std::numeric_limits<double>::quiet_NaN());
    case FoldOp::amax:
    case FoldOp::amin:
    case FoldOp::norm_inf:
    case FoldOp::norm_minus_inf:
      fail(ErrorKind::index, name, ": there is none among no elements: the tensor has shape ", x.shape());
    default: return Scalar(0);
  }
}

void write_fold(FoldOp op, const char* name, const Tensor& out, const Tensor& x, DimSet dims, double p) {
  if (out.numel() == 0) return;
  if (x.numel() == 0) return write_fill(out, neutral(op, name, x));
  const auto& slots = kernels(x.device()).reduce.fold[static_cast<int>(op)];
  const Reduce slot = slots[static_cast<int>(x.dtype())];
  if (!slot && compute_type(x.dtype()) == DType::f32 && x.dtype() != DType::f32) {
    const Tensor wide = to_dtype(detach(x), DType::f32);
    if (!is_floating(out.dtype())) return write_fold(op, name, out, wide, dims, p);
    const Tensor result = empty(out.shape(), DType::f32, out.device());
    write_fold(op, name, result, wide, dims, p);
    return write_copy(out, result);
  }
  const Reduce kernel = require(slot, name, x.device());
  ReductionPlan plan = plan_reduction(x, dims);
  plan.geometry.out = out.data();
  plan.geometry.p = p;
  current_stream().launch(kernel, plan.geometry);
}

}  // namespace

Tensor fold(FoldOp op, const char* name, const Tensor& x, DimSet dims, bool keepdim, double p) {
  const FoldKind kind = kFoldKinds[static_cast<int>(op)];
  check_as(ErrorKind::type, kind != FoldKind::floating || is_floating(x.dtype()), name,
           ": expected a floating type, got ", name_of(x.dtype()));
  const Tensor out = empty(reduced_shape(x.shape(), dims, keepdim), fold_result(kind, x.dtype()), x.device());
  write_fold(op, name, out, x, dims, p);
  return out;
}

Tensor with_reduced_dims(const Tensor& y, const Dims& shape, DimSet dims) {
  return y.ndim() == shape.size() ? y : reshape(y, reduced_shape(shape, dims, true));
}
Tensor spread(const Tensor& y, const Dims& shape, DimSet dims) {
  return expand(with_reduced_dims(y, shape, dims), shape);
}

// Integers are added up and multiplied in int64 whatever type was asked for.
Tensor as_asked(const Tensor& y, MaybeDType dtype) { return dtype ? to_dtype(y, *dtype) : y; }

Tensor convert_first(const Tensor& x, MaybeDType dtype) { return dtype ? to_dtype(x, *dtype) : x; }

Tensor sum(const Tensor& input, const MaybeDims& dims, bool keepdim, MaybeDType dtype) {
  const Tensor x = convert_first(input, dtype);
  const DimSet set = dim_set(dims, x.ndim(), "sum");
  const Tensor y = fold(FoldOp::sum, "sum", x, set, keepdim);
  if (needs_grad(x))
    record("sum", y, {&x}, [shape = x.shape(), set](Gradients& g) { g.give(0, spread(g.of_output(), shape, set)); });
  return as_asked(y, dtype);
}

Tensor nansum(const Tensor& input, const MaybeDims& dims, bool keepdim, MaybeDType dtype) {
  const Tensor x = convert_first(input, dtype);
  const DimSet set = dim_set(dims, x.ndim(), "nansum");
  if (!is_floating(x.dtype())) return as_asked(fold(FoldOp::sum, "nansum", x, set, keepdim), dtype);
  const Tensor y = fold(FoldOp::nansum, "nansum", x, set, keepdim);
  if (needs_grad(x))
    record("nansum", y, {&x}, [x = save(x), set](Gradients& g) {
      const Tensor nan = unary(UnaryOp::isnan, x.get());
      g.give(0, where(nan, Scalar(0.0), spread(g.of_output(), nan.shape(), set)));
    });
  return as_asked(y, dtype);
}

Tensor mean(const Tensor& input, const MaybeDims& dims, bool keepdim, MaybeDType dtype) {
  const Tensor x = convert_first(input, dtype);
  const DimSet set = dim_set(dims, x.ndim(), "mean");
  const Tensor y = fold(FoldOp::mean, "mean", x, set, keepdim);
  if (needs_grad(x))
    record("mean", y, {&x}, [shape = x.shape(), set](Gradients& g) {
      const Scalar count(static_cast<double>(reduced_count(shape, set)));
      g.give(0, spread(div(g.of_output(), count), shape, set));
    });
  return y;
}

Tensor prod(const Tensor& input, MaybeDim dim, bool keepdim, MaybeDType dtype) {
  const Tensor x = convert_first(input, dtype);
  const MaybeDims dims = dim ? MaybeDims(Dims{*dim}) : MaybeDims();
  const DimSet set = dim_set(dims, x.ndim(), "prod");
  const Tensor y = fold(FoldOp::prod, "prod", x, set, keepdim);
  if (needs_grad(x))
    record("prod", y, {&x}, [x = save(x), y = save_output(y), dim](Gradients& g) {
      const Tensor in = x.get(), flat = dim ? in : reshape(in, {in.numel()});
      const int along = dim ? wrap_dim(*dim, in.ndim(), "prod") : 0;
      g.give(0, reshape(prod_gradient(flat, y.get(), g.of_output(), along), in.shape()));
    });
  return as_asked(y, dtype);
}

Tensor any(const Tensor& x, const MaybeDims& dims, bool keepdim) {
  return fold(FoldOp::any, "any", x, dim_set(dims, x.ndim(), "any"), keepdim);
}
Tensor all(const Tensor& x, const MaybeDims& dims, bool keepdim) {
  return fold(FoldOp::all, "all", x, dim_set(dims, x.ndim(), "all"), keepdim);
}
Tensor count_nonzero(const Tensor& x, const MaybeDims& dims) {
  return fold(FoldOp::count_nonzero, "count_nonzero", x, dim_set(dims, x.ndim(), "count_nonzero"), false);
}

Tensor sum_to(const Tensor& t, const Dims& shape) {
  if (t.shape() == shape) return t;
  const int added = t.ndim() - shape.size();
  DimSet dims = all_dims(added);
  for (int i = added; i < t.ndim(); ++i)
    if (shape[i - added] != t.shape()[i]) dims |= DimSet{1} << i;
  const Tensor out = empty(shape, fold_result(FoldKind::widening, t.dtype()), t.device());
  write_fold(FoldOp::sum, "sum", out, t, dims, 0);
  return out;
}

namespace {
void report_zero(const bool* no_zeros, const char* op, const char* message) { check(*no_zeros, op, ": ", message); }
}  // namespace

void refuse_zeros(const Tensor& t, const char* op, const char* message) {
  const Tensor no_zeros = all(t.dtype() == DType::b8 ? t : to_dtype(detach(t), DType::b8));
  current_stream().report(t.device(), report_zero, no_zeros.data<const bool>(), op, message);
}

}  // namespace lamina
