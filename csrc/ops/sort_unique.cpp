// Distinct elements: what is sorted has its equals side by side.
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/reduce.h"
#include "ops/sort.h"
#include "ops/view.h"

namespace lamina {
namespace {

// Elements 1 … n of `rows` against 0 … n - 1: where does another one begin? The first always does.
Tensor beginnings(const Tensor& rows) {
  const std::int64_t n = rows.size(0);
  Tensor differs = binary(BinaryOp::ne, narrow(rows, 0, 1, n - 1), narrow(rows, 0, 0, n - 1));
  if (differs.ndim() > 1) differs = any(differs, Dims{1});
  return cat({full({1}, Scalar(true), DType::b8, rows.device()), differs}, 0);
}

// From rows whose equals are neighbours. `inverse` is by their places.
Unique distinct(const Tensor& rows) {
  const std::int64_t n = rows.size(0);
  const Tensor begins = beginnings(rows), starts = flat_nonzero(begins);
  const Tensor ends =
      cat({narrow(starts, 0, 1, starts.numel() - 1), full({1}, Scalar(n), DType::i64, rows.device())}, 0);
  return {index_select(rows, 0, starts), sub(cumsum(begins, 0), Scalar(1)), sub(ends, starts)};
}

// `inverse` by the places that the rows had before `order` sorted them.
Tensor unsorted(const Tensor& inverse, const Tensor& order) {
  const Tensor out = empty(inverse.shape(), DType::i64, inverse.device());
  scatter_(out, 0, order, inverse);
  return out;
}

Unique none(const Tensor& x) {
  return {empty({0}, x.dtype(), x.device()), empty(x.shape(), DType::i64, x.device()),
          empty({0}, DType::i64, x.device())};
}

}  // namespace

Unique unique(const Tensor& x) {
  if (x.numel() == 0) return none(x);
  const ValuesIndices sorted = sort(reshape(detach(x), {x.numel()}), 0, false);
  const Unique u = distinct(sorted.values);
  return {u.values, reshape(unsorted(u.inverse, sorted.indices), x.shape()), u.counts};
}

Unique unique_consecutive(const Tensor& x) {
  if (x.numel() == 0) return none(x);
  const Unique u = distinct(contiguous(reshape(detach(x), {x.numel()})));
  return {u.values, reshape(u.inverse, x.shape()), u.counts};
}

Unique unique_slices(const Tensor& x, std::int64_t dimension) {
  const int dim = wrap_dim(dimension, x.ndim(), "unique");
  check(x.numel() > 0, "unique: slices along a dimension need elements, got shape ", x.shape());
  const Tensor slices = contiguous(movedim(detach(x), {dim}, {0}));
  const std::int64_t n = slices.size(0), each = x.numel() / n;
  const Tensor rows = reshape(slices, {n, each});
  // By the last element first: the sort is stable, so that earlier ones decide later.
  Tensor order = arange(Scalar(0), Scalar(n), Scalar(1), DType::i64, x.device());
  for (std::int64_t c = each - 1; c >= 0; --c)
    order = index_select(order, 0, argsort(index_select(select(rows, 1, c), 0, order), 0, false));
  const Unique u = distinct(index_select(rows, 0, order));
  Dims shape = slices.shape();
  shape[0] = u.values.size(0);
  return {contiguous(movedim(reshape(u.values, shape), {0}, {dim})), unsorted(u.inverse, order), u.counts};
}

}  // namespace lamina
