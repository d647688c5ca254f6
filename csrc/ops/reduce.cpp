#include "ops/reduce.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace lamina {
namespace {

struct FoldRow {
  const char* name;
  FoldKind kind;
};
#define LAMINA_FOLD_ROW(name, kind) {#name, FoldKind::kind},
constexpr FoldRow kFoldRows[] = {LAMINA_FOLDS(LAMINA_FOLD_ROW)};

DType fold_result(FoldKind kind, DType t) {
  switch (kind) {
    case FoldKind::predicate:
      return DType::b8;
    case FoldKind::counting:
      return DType::i64;
    case FoldKind::widening:
      return is_floating(t) ? t : DType::i64;
    default:
      return t;
  }
}

// What a fold of no elements gives.
Scalar neutral(FoldOp op, const char* name, const Tensor& t) {
  switch (op) {
    case FoldOp::prod:
    case FoldOp::all:
      return Scalar(1);
    case FoldOp::mean:
      return Scalar(std::numeric_limits<double>::quiet_NaN());
    case FoldOp::amax:
    case FoldOp::amin:
    case FoldOp::norm_inf:
    case FoldOp::norm_minus_inf:
      fail(ErrorKind::index, name, ": there is no such value among no elements: the tensor's shape is ", t.shape());
    default:
      return Scalar(0);
  }
}

void write_fold(FoldOp op, const Tensor& out, const Tensor& t, DimSet dims, double p) {
  const FoldRow& row = kFoldRows[static_cast<int>(op)];
  if (out.numel() == 0) return;
  if (t.numel() == 0) return write_fill(out, neutral(op, row.name, t));
  const Reduce kernel =
      require(kernels(t.device()).reduce.fold[static_cast<int>(op)][static_cast<int>(t.dtype())], row.name, t.device());
  ReductionPlan plan = plan_reduction(t, dims);
  plan.geometry.out = out.data();
  plan.geometry.p = p;
  current_stream().launch(kernel, plan.geometry);
}

}  // namespace

Tensor fold(FoldOp op, const Tensor& t, DimSet dims, bool keepdim, double p) {
  const FoldRow& row = kFoldRows[static_cast<int>(op)];
  check_as(ErrorKind::type, row.kind != FoldKind::floating || is_floating(t.dtype()), row.name,
           ": expected a floating type, got ", name_of(t.dtype()));
  const Tensor out = empty(reduced_shape(t.shape(), dims, keepdim), fold_result(row.kind, t.dtype()), t.device());
  write_fold(op, out, t, dims, p);
  return out;
}

Tensor sum_to(const Tensor& t, const Dims& shape) {
  if (t.shape() == shape) return t;
  const int added = t.ndim() - shape.size();
  DimSet dims = all_dims(added);
  for (int i = added; i < t.ndim(); ++i)
    if (shape[i - added] != t.shape()[i]) dims |= DimSet{1} << i;
  const Tensor out = empty(shape, fold_result(FoldKind::widening, t.dtype()), t.device());
  write_fold(FoldOp::sum, out, t, dims, 0);
  return out;
}

bool any_zero(const Tensor& t) { return !*fold(FoldOp::all, t, all_dims(t.ndim()), false).data<bool>(); }

}  // namespace lamina
