#include "ops/sort.h"

#include "autograd/node.h"
#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/sort.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/view.h"

namespace lamina {
namespace {

struct Wanted {
  std::int64_t first, kept;
  bool descending, values = true;
};

Tensor last_from(const Tensor& t, int dim) { return dim == t.ndim() - 1 ? t : movedim(t, {dim}, {-1}); }
Tensor last_back_to(const Tensor& t, int dim) { return dim == t.ndim() - 1 ? t : contiguous(movedim(t, {-1}, {dim})); }

// Elements first … first + kept of the sorted rows along `dim`, unrecorded.
ValuesIndices ordered(const char* name, const Tensor& x, int dim, Wanted w) {
  const Tensor in = contiguous(last_from(detach(x), dim));
  Dims shape = in.shape();
  const std::int64_t length = shape.back();
  check(length <= kLongestSort, name, ": at most ", kLongestSort, " elements in a row can be ordered, got ", length);
  shape.back() = w.kept;
  ValuesIndices y{w.values ? empty(shape, x.dtype(), x.device()) : Tensor(), empty(shape, DType::i64, x.device())};
  if (y.indices.numel() > 0) {
    const SortShape s{in.numel() / length, length, w.first, w.kept, w.descending};
    const bool wide = x.item_size() == 8;
    const Tensor scratch = empty({sort_scratch(s) * (wide ? 16 : 8)}, DType::u8, x.device());
    const Tensor counts = empty({sort_counts(s)}, DType::i32, x.device());
    current_stream().launch(require(kernels(x.device()).sort.sort[static_cast<int>(x.dtype())], name, x.device()), s,
                            in.data(), w.values ? y.values.data() : nullptr, y.indices.data<std::int64_t>(),
                            scratch.data(), counts.data<std::uint32_t>());
  }
  if (w.values) y.values = last_back_to(y.values, dim);
  y.indices = last_back_to(y.indices, dim);
  return y;
}

// The gradient flows back to where the elements came from.
void record_order(const char* name, const Tensor& x, const ValuesIndices& y, int dim) {
  if (!is_floating(x.dtype()) || !needs_grad(x)) return;
  record(name, y.values, {&x}, [shape = x.shape(), indices = save_output(y.indices), dim](Gradients& g) {
    const Tensor dx = full(shape, Scalar(0.0), g.of_output().dtype(), g.of_output().device());
    scatter_(dx, dim, indices.get(), g.of_output());
    g.give(0, dx);
  });
}

ValuesIndices recorded(const char* name, const Tensor& x, std::int64_t dimension, Wanted w) {
  const int dim = wrap_dim(dimension, x.ndim(), name);
  if (x.ndim() == 0) {
    const ValuesIndices y = recorded(name, reshape(x, {1}), 0, w);
    return {reshape(y.values, {}), reshape(y.indices, {})};
  }
  const ValuesIndices y = ordered(name, x, dim, w);
  record_order(name, x, y, dim);
  return y;
}

std::int64_t length_along(const Tensor& x, std::int64_t dim, const char* name) {
  const int d = wrap_dim(dim, x.ndim(), name);
  return x.ndim() == 0 ? 1 : x.shape()[d];
}

// Element k of the ascending order, reckoned from the nearer end.
ValuesIndices statistic(const char* name, const Tensor& x, std::int64_t k, std::int64_t dim, bool keepdim) {
  const std::int64_t length = length_along(x, dim, name);
  const bool from_end = k > length / 2;
  const ValuesIndices y = recorded(name, x, dim, {from_end ? length - 1 - k : k, 1, from_end});
  if (keepdim || x.ndim() == 0) return y;
  return {squeeze(y.values, dim), squeeze(y.indices, dim)};
}

}  // namespace

ValuesIndices sort(const Tensor& x, std::int64_t dim, bool descending) {
  return recorded("sort", x, dim, {0, length_along(x, dim, "sort"), descending});
}

Tensor argsort(const Tensor& x, std::int64_t dimension, bool descending) {
  const int dim = wrap_dim(dimension, x.ndim(), "argsort");
  if (x.ndim() == 0) return full({}, Scalar(0), DType::i64, x.device());
  return ordered("argsort", x, dim, {0, x.shape()[dim], descending, false}).indices;
}

ValuesIndices topk(const Tensor& x, std::int64_t k, std::int64_t dim, bool largest) {
  const std::int64_t length = length_along(x, dim, "topk");
  check(k >= 0 && k <= length, "topk: k must lie in 0 … ", length, ", the size of dimension ", dim, " of shape ",
        x.shape(), ", got ", k);
  if (x.ndim() == 0 && k == 0) return {empty({0}, x.dtype(), x.device()), empty({0}, DType::i64, x.device())};
  return recorded("topk", x, dim, {0, k, largest});
}

ValuesIndices kthvalue(const Tensor& x, std::int64_t k, std::int64_t dim, bool keepdim) {
  const std::int64_t length = length_along(x, dim, "kthvalue");
  check(k >= 1 && k <= length, "kthvalue: k must lie in 1 … ", length, ", the size of dimension ", dim, " of shape ",
        x.shape(), ", got ", k);
  return statistic("kthvalue", x, k - 1, dim, keepdim);
}

ValuesIndices median(const Tensor& x, std::int64_t dim, bool keepdim) {
  const std::int64_t length = length_along(x, dim, "median");
  check_as(ErrorKind::index, length > 0, "median: there is none among no elements: the tensor has shape ", x.shape());
  ValuesIndices y = statistic("median", x, (length - 1) / 2, dim, keepdim);
  if (!is_floating(x.dtype()) || y.values.numel() == 0) return y;
  // NaNs come last: where the last element is one, it is the median.
  ValuesIndices last = recorded("median", x, dim, {0, 1, true});
  if (!keepdim && x.ndim() > 0) last = {squeeze(last.values, dim), squeeze(last.indices, dim)};
  const Tensor here = unary(UnaryOp::isnan, last.values);
  return {where(here, last.values, y.values), where(here, last.indices, y.indices)};
}
Tensor median(const Tensor& x) {
  if (x.numel() == 0) return full({}, Scalar(std::numeric_limits<double>::quiet_NaN()), x.dtype(), x.device());
  return median(reshape(x, {x.numel()}), 0, false).values;
}

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool int32, bool right) {
  check(sorted.ndim() > 0, "searchsorted: sorted_sequence must have a dimension at least, got shape ", sorted.shape());
  const bool one_row = sorted.ndim() == 1;
  Dims outer = values.shape(), expected = sorted.shape();
  if (!outer.empty()) outer.pop_back();
  expected.pop_back();
  check(one_row || (values.ndim() == sorted.ndim() && outer == expected),
        "searchsorted: sorted_sequence must have one dimension, or all but the last like values: got ", sorted.shape(),
        " and ", values.shape());
  check(sorted.device() == values.device(), "searchsorted: sorted_sequence is on ", sorted.device(), ", the values on ",
        values.device());
  const Arg a = sorted, b = values;
  const DType common = result_type({&a, &b});
  const DType type = is_floating(common) ? common == DType::f64 ? DType::f64 : DType::f32 : DType::i64;
  const Tensor rows = contiguous(to_dtype(detach(sorted), type)), wanted = contiguous(to_dtype(detach(values), type));
  const Tensor out = empty(values.shape(), DType::i64, values.device());
  if (out.numel() > 0) {
    const std::int64_t each = one_row ? values.numel() : values.shape().back();
    const SearchShape s{values.numel() / each, sorted.shape().back(), each, one_row, right};
    current_stream().launch(require(kernels(out.device()).sort.search[static_cast<int>(type)], "searchsorted", {}), s,
                            rows.data(), wanted.data(), out.data<std::int64_t>());
  }
  return int32 ? to_dtype(out, DType::i32) : out;
}

}  // namespace lamina
