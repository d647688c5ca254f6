// Elements in another order or more than once: flip, roll, repeat, triangles, diagonals, grids.
#include <algorithm>

#include "autograd/node.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/view.h"

namespace lamina {
namespace {

Dims distinct_dims(const char* op, const Tensor& t, const Dims& dims) {
  Dims out;
  for (const std::int64_t dim : dims) {
    const int d = wrap_dim(dim, t.ndim(), op);
    check(std::find(out.begin(), out.end(), d) == out.end(), op, ": dimension ", d, " appears twice in ", dims);
    out.push_back(d);
  }
  return out;
}

// Copies `from` into `to`, rolled along the dimensions from number k on.
void roll_into(const Tensor& to, const Tensor& from, const Dims& shifts, const Dims& dims, int k) {
  if (k == dims.size()) return write_copy(to, from);
  const int d = static_cast<int>(dims[k]);
  const std::int64_t size = from.shape()[d], shift = (shifts[k] % size + size) % size;
  roll_into(slice(to, d, shift, size, 1), slice(from, d, 0, size - shift, 1), shifts, dims, k + 1);
  if (shift > 0) roll_into(slice(to, d, 0, shift, 1), slice(from, d, size - shift, size, 1), shifts, dims, k + 1);
}

// What lies on one side of a diagonal, zeros elsewhere. `keep` compares column with row + diagonal.
Tensor triangle(const char* op, const Tensor& t, std::int64_t diagonal, BinaryOp keep) {
  check(t.ndim() >= 2, op, ": needs at least 2 dimensions, got shape ", t.shape());
  const std::int64_t rows = t.size(-2), columns = t.size(-1);
  const std::int64_t shift = std::clamp(diagonal, -rows, columns);  // further away changes nothing
  const Tensor row = reshape(arange(Scalar(shift), Scalar(shift + rows), Scalar(1), DType::i64, t.device()), {rows, 1});
  const Tensor column = arange(Scalar(std::int64_t{0}), Scalar(columns), Scalar(1), DType::i64, t.device());
  return where(binary(keep, column, row), t, Scalar(false));
}

// t repeated n times along one dimension.
Tensor repeat_along(const Tensor& t, int dim, std::int64_t n) {
  Dims shape = t.shape();
  std::int64_t outer = 1, inner = 1;
  for (int d = 0; d < dim; ++d) outer *= shape[d];
  for (int d = dim; d < shape.size(); ++d) inner *= shape[d];
  check(!__builtin_mul_overflow(shape[dim], n, &shape[dim]), "repeat: the result has too many elements");
  return reshape(expand(reshape(t, {outer, 1, inner}), {outer, n, inner}), shape);
}

}  // namespace

Tensor flip(const Tensor& t, const Dims& asked) {
  const Dims dims = distinct_dims("flip", t, asked);
  Dims strides = t.strides();
  std::int64_t offset = 0;
  for (const std::int64_t dim : dims) {
    const int d = static_cast<int>(dim);
    if (t.numel() > 0 && t.ndim() > 0) offset += (t.shape()[d] - 1) * strides[d];
    if (t.ndim() > 0) strides[d] = -strides[d];
  }
  const Tensor out = empty(t.shape(), t.dtype(), t.device());
  write_copy(out, Tensor(new TensorImpl(t.impl()->storage,
                                        t.offset_bytes() + offset * static_cast<std::int64_t>(t.item_size()), t.shape(),
                                        strides, t.dtype())));
  if (needs_grad(t)) record("flip", out, {&t}, [dims](Gradients& g) { g.give(0, flip(g.of_output(), dims)); });
  return out;
}

Tensor roll(const Tensor& t, const Dims& shifts, const Dims& asked) {
  if (asked.empty()) {
    check(shifts.size() == 1, "roll: without dims there must be one shift, got ", shifts);
    return reshape(roll(reshape(t, {-1}), shifts, {0}), t.shape());
  }
  check(shifts.size() == asked.size(), "roll: ", shifts.size(), " shifts for ", asked.size(), " dims");
  const Dims dims = distinct_dims("roll", t, asked);
  const Tensor out = empty(t.shape(), t.dtype(), t.device());
  if (t.ndim() == 0) {
    write_copy(out, t);
  } else if (t.numel() > 0) {
    const GradMode off(false);
    roll_into(out, t, shifts, dims, 0);
  }
  if (needs_grad(t)) {
    Dims back;
    for (int i = 0; i < shifts.size(); ++i) {
      const std::int64_t size = t.ndim() == 0 ? 1 : std::max<std::int64_t>(1, t.shape()[static_cast<int>(dims[i])]);
      back.push_back(-(shifts[i] % size));
    }
    record("roll", out, {&t}, [back, dims](Gradients& g) { g.give(0, roll(g.of_output(), back, dims)); });
  }
  return out;
}

Tensor repeat(const Tensor& t, const Dims& repeats) {
  check(repeats.size() >= t.ndim(), "repeat: expected at least ", t.ndim(), " repeats for shape ", t.shape(), ", got ",
        repeats);
  for (const std::int64_t n : repeats) check(n >= 0, "repeat: repeats must not be negative, got ", repeats);
  Dims shape = t.shape();
  while (shape.size() < repeats.size()) shape.insert(0, 1);
  Tensor out = reshape(t, shape);
  for (int d = shape.size() - 1; d >= 0; --d)
    if (repeats[d] != 1) out = repeat_along(out, d, repeats[d]);
  return &out.storage() == &t.storage() ? clone(out) : out;
}

Tensor tile(const Tensor& t, const Dims& dims) {
  Dims repeats = dims;
  while (repeats.size() < t.ndim()) repeats.insert(0, 1);
  return repeat(t, repeats);
}

Tensor tril(const Tensor& t, std::int64_t diagonal) { return triangle("tril", t, diagonal, BinaryOp::le); }
Tensor triu(const Tensor& t, std::int64_t diagonal) { return triangle("triu", t, diagonal, BinaryOp::ge); }

Tensor diag_embed(const Tensor& t, std::int64_t offset, std::int64_t dim1, std::int64_t dim2) {
  check(t.ndim() > 0, "diag_embed: a 0-d tensor has no diagonal");
  const int ndim = t.ndim() + 1, a = wrap_dim(dim1, ndim, "diag_embed"), b = wrap_dim(dim2, ndim, "diag_embed");
  check(a != b, "diag_embed: dim1 and dim2 are both ", a);
  check(offset > -kMostElements && offset < kMostElements, "diag_embed: offset ", offset, " is too large");
  Dims shape = t.shape();
  const std::int64_t size = shape.back() + (offset < 0 ? -offset : offset);
  shape.pop_back();
  shape.insert(std::min(a, b), size);
  shape.insert(std::max(a, b), size);
  const Tensor out = full(shape, Scalar(0), t.dtype(), t.device());
  {
    const GradMode off(false);
    write_copy(diagonal(out, offset, a, b), t);
  }
  if (needs_grad(t))
    record("diag_embed", out, {&t}, [offset, a, b](Gradients& g) { g.give(0, diagonal(g.of_output(), offset, a, b)); });
  return out;
}

Tensor diag(const Tensor& t, std::int64_t offset) {
  check(t.ndim() == 1 || t.ndim() == 2, "diag: expected 1 or 2 dimensions, got shape ", t.shape());
  return t.ndim() == 1 ? diag_embed(t, offset, 0, 1) : clone(diagonal(t, offset, 0, 1));
}

Tensor movedim(const Tensor& t, const Dims& source, const Dims& destination) {
  check(source.size() == destination.size(), "movedim: ", source.size(), " sources for ", destination.size(),
        " destinations");
  const Dims from = distinct_dims("movedim", t, source), to = distinct_dims("movedim", t, destination);
  Dims order(t.ndim(), -1);
  for (int i = 0; i < from.size() && t.ndim() > 0; ++i) order[static_cast<int>(to[i])] = from[i];
  int next = 0;
  for (int d = 0; d < t.ndim(); ++d) {
    if (order[d] >= 0) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    order[d] = next++;
  }
  return permute(t, order);
}

std::vector<Tensor> meshgrid(const std::vector<Tensor>& tensors, bool swap_first) {
  check(!tensors.empty(), "meshgrid: expected at least one tensor");
  const int n = static_cast<int>(tensors.size());
  Dims shape;
  for (const Tensor& t : tensors) {
    check(t.ndim() <= 1, "meshgrid: expected tensors of 0 or 1 dimension, got shape ", t.shape());
    shape.push_back(t.numel());
  }
  std::vector<Tensor> out;
  for (int i = 0; i < n; ++i) {
    Dims own(n, 1);
    own[i] = shape[i];
    const Tensor wide = expand(reshape(tensors[static_cast<std::size_t>(i)], own), shape);
    out.push_back(swap_first && n >= 2 ? transpose(wide, 0, 1) : wide);
  }
  return out;
}

}  // namespace lamina
