// A list of places along one dimension: index_select, embedding and their kin.
#include <algorithm>

#include "core/dispatch.h"
#include "core/stream.h"
#include "kernels/index.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/index_positions.h"
#include "ops/view.h"

namespace lamina {
namespace {

// The places that a 1-d index (or a single one) names along a dimension.
PositionSet places(const char* op, const Tensor& t, std::int64_t dim, const Tensor& index) {
  check_index_dtype(op, index);
  check(index.ndim() <= 1, op, ": expected a 1-d index, got shape ", index.shape());
  check(t.ndim() > 0, op, ": a 0-d tensor has no places to choose from");
  const PositionSet set =
      PositionSet::along(wrap_dim(dim, t.ndim(), op), index.ndim() == 0 ? reshape(index, {1}) : index, false);
  check_positions(op, t.shape(), set);
  return set;
}

void check_source(const char* op, const Tensor& t, const PositionSet& set, const Tensor& source) {
  const Dims expected = set.result_shape(t.shape());
  check(source.shape() == expected, op, ": expected a source of shape ", expected, ", got ", source.shape());
  check_as(ErrorKind::type, source.dtype() == t.dtype(), op, ": expected a source of ", name_of(t.dtype()), ", got ",
           name_of(source.dtype()));
}

Tensor as_int64(const Tensor& t) { return contiguous(to_dtype(detach(t), DType::i64)); }

}  // namespace

Tensor surveyed(const Tensor& integers) {
  const Tensor values = as_int64(integers), out = empty({3}, DType::i64, integers.device());
  current_stream().launch(kernels(integers.device()).index.survey, values.data<std::int64_t>(), values.numel(),
                          out.data<std::int64_t>());
  return out;
}

Survey survey(const char* op, const Tensor& integers) {
  check_size_is_known(op);
  const Tensor found = surveyed(integers);
  return fetch(found.data<Survey>(), integers.device());
}

Tensor index_select(const Tensor& t, std::int64_t dim, const Tensor& index) {
  return read_recorded("index_select", t, places("index_select", t, dim, index));
}

void index_add_(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source, const Scalar& alpha) {
  const PositionSet set = places("index_add", t, dim, index);
  check_source("index_add", t, set, source);
  put_recorded("index_add", t, set, alpha.as_double() == 1 ? source : mul(source, alpha), true);
}

void index_copy_(const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source) {
  const PositionSet set = places("index_copy", t, dim, index);
  check_source("index_copy", t, set, source);
  put_recorded("index_copy", t, set, source, false);
}

void index_fill_(const Tensor& t, std::int64_t dim, const Tensor& index, const Arg& value) {
  check(!value.is_tensor() || value.tensor().ndim() == 0, "index_fill: the value must be a number or a 0-d tensor");
  const PositionSet set = places("index_fill", t, dim, index);
  put_recorded("index_fill", t, set,
               value.is_tensor() ? value.tensor() : full({}, value.number(), t.dtype(), t.device()), false);
}

Tensor take(const Tensor& t, const Tensor& index) {
  check_index_dtype("take", index);
  const Tensor flat = reshape(t, {-1});
  const PositionSet set = PositionSet::along(0, index, true);
  check_positions("take", flat.shape(), set);
  return read_recorded("take", flat, set);
}

Tensor embedding(const Tensor& input, const Tensor& weight, std::optional<std::int64_t> padding_idx) {
  check(weight.ndim() == 2, "embedding: expected a weight with 2 dimensions, got shape ", weight.shape());
  check_index_dtype("embedding", input);
  const std::int64_t rows = weight.shape()[0];
  if (padding_idx) {
    check(*padding_idx >= -rows && *padding_idx < rows, "embedding: padding_idx ", *padding_idx,
          " is out of range for a weight with ", rows, " rows");
    if (*padding_idx < 0) *padding_idx += rows;
  }
  const PositionSet set = PositionSet::along(0, input, false);
  check_positions("embedding", weight.shape(), set);
  const Tensor out = read_at(weight, set);
  if (needs_grad(weight))
    record("embedding", out, {&weight}, [shape = weight.shape(), set = SavedPositions(set), padding_idx](Gradients& g) {
      const Tensor grad = spread_at(shape, set.get(), g.of_output());
      if (padding_idx) write_fill(select(grad, 0, *padding_idx), Scalar(0));
      g.give(0, grad);
    });
  return out;
}

Tensor bincount(const Tensor& t, const std::optional<Tensor>& weights, std::int64_t minlength) {
  check(t.ndim() == 1, "bincount: expected 1 dimension, got shape ", t.shape());
  check_as(ErrorKind::type, is_integral(t.dtype()), "bincount: expected integers, got ", name_of(t.dtype()));
  check(minlength >= 0, "bincount: minlength must not be negative, got ", minlength);
  check(!weights || weights->shape() == t.shape(), "bincount: expected weights of shape ", t.shape(), ", got ",
        weights ? weights->shape() : Dims());
  const DType type = !weights ? DType::i64 : weights->dtype() == DType::f32 ? DType::f32 : DType::f64;
  std::int64_t length = minlength;
  if (t.numel() > 0) {
    const Survey s = survey("bincount", t);
    check(s.least >= 0, "bincount: expected no negative values, got ", s.least);
    check(s.most < kMostElements, "bincount: ", s.most, " is too large to count up to");
    length = std::max(length, s.most + 1);
  }
  const GradMode off(false);
  const Tensor out = full({length}, Scalar(0), type, t.device());
  const Tensor ones = weights ? to_dtype(*weights, type) : full({}, Scalar(1), type, t.device());
  if (t.numel() > 0) add_at(out, PositionSet::along(0, as_int64(t), false), ones);
  return out;
}

Tensor repeat_interleave(const Tensor& given, const Tensor& repeats, std::optional<std::int64_t> dim) {
  const Tensor t = dim ? given : reshape(given, {-1});
  const int d = wrap_dim(dim.value_or(0), t.ndim(), "repeat_interleave");
  const std::int64_t size = t.shape()[d];
  check_index_dtype("repeat_interleave", repeats);
  check(repeats.ndim() <= 1 && (repeats.numel() == 1 || repeats.numel() == size),
        "repeat_interleave: expected one number of repeats or ", size, ", got shape ", repeats.shape());
  const Tensor each = contiguous(expand(as_int64(repeats), {size}));
  std::int64_t total = 0;
  if (size > 0) {
    const Survey s = survey("repeat_interleave", each);
    check(s.least >= 0, "repeat_interleave: repeats must not be negative, got ", s.least);
    check(!__builtin_mul_overflow(s.most, size, &total), "repeat_interleave: the result has too many elements");
    total = s.sum;
  }
  const Tensor index = empty({total}, DType::i64, t.device());
  if (total > 0)
    current_stream().launch(kernels(t.device()).index.repeat_index, each.data<std::int64_t>(), size,
                            index.data<std::int64_t>());
  return index_select(t, d, index);
}

}  // namespace lamina
