// Tensors joined into one, and one taken apart into views.
#include <algorithm>

#include "autograd/node.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/view.h"

namespace lamina {
namespace {

constexpr std::int64_t kMostParts = std::int64_t{1} << 24;

// A bare view, outside the graph: [start, start + length) of a dimension.
Tensor stretch(const Tensor& t, int dim, std::int64_t start, std::int64_t length) {
  Dims shape = t.shape();
  shape[dim] = length;
  const std::int64_t offset = length == 0 ? 0 : start * t.strides()[dim] * static_cast<std::int64_t>(t.item_size());
  return Tensor(new TensorImpl(t.impl()->storage, t.offset_bytes() + offset, shape, t.strides(), t.dtype()));
}

DType common_type(const std::vector<Tensor>& tensors) {
  DType type = tensors[0].dtype();
  for (const Tensor& t : tensors) type = promote(type, t.dtype());
  return type;
}

bool any_needs_grad(const std::vector<Tensor>& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const Tensor& t) { return needs_grad(t); });
}

std::vector<DType> types_of(const std::vector<Tensor>& tensors) {
  std::vector<DType> types;
  for (const Tensor& t : tensors) types.push_back(t.dtype());
  return types;
}

// Consecutive stretches of a dimension as views; one node for all of them, so that going back costs one pass whatever
// their number. `single`: each has length 1 and loses the dimension.
std::vector<Tensor> take_apart(const char* op, const Tensor& t, int dim, const std::vector<std::int64_t>& lengths,
                               bool single) {
  std::vector<Tensor> parts;
  std::int64_t start = 0;
  for (const std::int64_t length : lengths) {
    const Tensor part = stretch(t, dim, start, length);
    Dims shape = part.shape(), strides = part.strides();
    if (single) {
      shape.erase(dim);
      strides.erase(dim);
    }
    parts.emplace_back(new TensorImpl(t.impl()->storage, part.offset_bytes(), shape, strides, t.dtype()));
    start += length;
  }
  if (needs_grad(t))
    record(op, parts, {t},
           [shape = t.shape(), type = t.dtype(), device = t.device(), dim, lengths, single](Gradients& g) {
             const Tensor grad = empty(shape, type, device);
             std::int64_t at = 0;
             for (int i = 0; i < g.outputs(); ++i) {
               const std::int64_t length = lengths[static_cast<std::size_t>(i)];
               const Tensor part = stretch(grad, dim, at, length);
               if (g.of_output(i).defined())
                 write_copy(part, single ? unsqueeze(g.of_output(i), dim) : g.of_output(i));
               else
                 write_fill(part, Scalar(0));
               at += length;
             }
             g.give(0, grad);
           });
  for (const Tensor& part : parts) link_view(part, t);
  return parts;
}

int dim_of(const char* op, const Tensor& t, std::int64_t dim) {
  check(t.ndim() > 0, op, ": a 0-d tensor cannot be taken apart");
  return wrap_dim(dim, t.ndim(), op);
}

// The lengths of `parts` parts, all alike at first; a number of them that no memory holds is an error.
std::vector<std::int64_t> equal_lengths(const char* op, std::int64_t parts, std::int64_t length) {
  check(parts <= kMostParts, op, ": ", parts, " parts are too many");
  return std::vector<std::int64_t>(static_cast<std::size_t>(parts), length);
}

Tensor at_least_1d(const Tensor& t) { return t.ndim() == 0 ? reshape(t, {1}) : t; }
Tensor at_least_2d(const Tensor& t) { return t.ndim() < 2 ? unsqueeze(at_least_1d(t), 0) : t; }

template <class F>
std::vector<Tensor> each(const std::vector<Tensor>& tensors, F f) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(f(t));
  return out;
}

}  // namespace

Tensor cat(const std::vector<Tensor>& given, std::int64_t asked_dim) {
  check(!given.empty(), "cat: expected at least one tensor");
  // Tensors of shape (0,) may stand anywhere, as in PyTorch.
  std::vector<Tensor> tensors;
  for (const Tensor& t : given)
    if (t.shape() != Dims{0}) tensors.push_back(t);
  if (tensors.empty()) tensors.push_back(given[0]);
  const Tensor& first = tensors[0];
  check(first.ndim() > 0, "cat: 0-d tensors cannot be joined; use stack");
  const int dim = wrap_dim(asked_dim, first.ndim(), "cat");
  Dims shape = first.shape();
  shape[dim] = 0;
  std::vector<std::int64_t> lengths;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& t = tensors[i];
    check(t.ndim() == first.ndim(), "cat: tensor ", i, " has shape ", t.shape(), ", tensor 0 has shape ", first.shape(),
          ": numbers of dimensions differ");
    for (int d = 0; d < t.ndim(); ++d)
      check(d == dim || t.shape()[d] == first.shape()[d], "cat: tensor ", i, " has shape ", t.shape(),
            ", tensor 0 has shape ", first.shape(), ": sizes may differ in dimension ", dim, " only");
    check(t.device() == first.device(), "cat: tensor ", i, " is on ", t.device(), ", tensor 0 is on ", first.device());
    lengths.push_back(t.shape()[dim]);
    check(!__builtin_add_overflow(shape[dim], t.shape()[dim], &shape[dim]), "cat: the result has too many elements");
  }
  const Tensor out = empty(shape, common_type(given), first.device());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    write_copy(stretch(out, dim, at, lengths[i]), tensors[i]);
    at += lengths[i];
  }
  if (any_needs_grad(tensors))
    record("cat", {out}, tensors, [dim, lengths, types = types_of(tensors)](Gradients& g) {
      std::int64_t start = 0;
      for (std::size_t i = 0; i < lengths.size(); ++i) {
        const int input = static_cast<int>(i);
        if (g.wants(input)) g.give(input, to_dtype(stretch(g.of_output(), dim, start, lengths[i]), types[i]));
        start += lengths[i];
      }
    });
  return out;
}

Tensor stack(const std::vector<Tensor>& tensors, std::int64_t asked_dim) {
  check(!tensors.empty(), "stack: expected at least one tensor");
  const Tensor& first = tensors[0];
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    check(tensors[i].shape() == first.shape(), "stack: tensor ", i, " has shape ", tensors[i].shape(),
          ", tensor 0 has shape ", first.shape());
    check(tensors[i].device() == first.device(), "stack: tensor ", i, " is on ", tensors[i].device(),
          ", tensor 0 is on ", first.device());
  }
  const int dim = wrap_dim(asked_dim, first.ndim() + 1, "stack");
  Dims shape = first.shape();
  shape.insert(dim, static_cast<std::int64_t>(tensors.size()));
  const Tensor out = empty(shape, common_type(tensors), first.device());
  {
    const GradMode off(false);
    for (std::size_t i = 0; i < tensors.size(); ++i)
      write_copy(select(out, dim, static_cast<std::int64_t>(i)), tensors[i]);
  }
  if (any_needs_grad(tensors))
    record("stack", {out}, tensors, [dim, types = types_of(tensors)](Gradients& g) {
      for (std::size_t i = 0; i < types.size(); ++i) {
        const int input = static_cast<int>(i);
        if (g.wants(input)) g.give(input, to_dtype(select(g.of_output(), dim, input), types[i]));
      }
    });
  return out;
}

Tensor hstack(const std::vector<Tensor>& tensors) {
  const std::vector<Tensor> wide = each(tensors, at_least_1d);
  return cat(wide, !wide.empty() && wide[0].ndim() == 1 ? 0 : 1);
}
Tensor vstack(const std::vector<Tensor>& tensors) { return cat(each(tensors, at_least_2d), 0); }

std::vector<Tensor> split(const Tensor& t, std::int64_t size, std::int64_t dim) {
  const int d = dim_of("split", t, dim);
  const std::int64_t total = t.shape()[d];
  check(size > 0 || (size == 0 && total == 0), "split: the size of a part must be positive, got ", size);
  if (total == 0) return take_apart("split", t, d, {0}, false);
  std::vector<std::int64_t> lengths = equal_lengths("split", (total - 1) / size + 1, size);
  lengths.back() = total - size * (static_cast<std::int64_t>(lengths.size()) - 1);
  return take_apart("split", t, d, lengths, false);
}

std::vector<Tensor> split(const Tensor& t, const std::vector<std::int64_t>& sizes, std::int64_t dim) {
  const int d = dim_of("split", t, dim);
  std::int64_t left = t.shape()[d];
  for (const std::int64_t size : sizes) {
    check(size >= 0, "split: the size of a part must not be negative, got ", size);
    check(size <= left, "split: the sizes add up to more than ", t.shape()[d], ", the size of dimension ", d);
    left -= size;
  }
  check(left == 0, "split: the sizes leave ", left, " of ", t.shape()[d], " in dimension ", d);
  return take_apart("split", t, d, sizes, false);
}

std::vector<Tensor> chunk(const Tensor& t, std::int64_t chunks, std::int64_t dim) {
  const int d = dim_of("chunk", t, dim);
  check(chunks > 0, "chunk: expected a positive number of chunks, got ", chunks);
  const std::int64_t total = t.shape()[d];
  if (total == 0) return take_apart("chunk", t, d, equal_lengths("chunk", chunks, 0), false);
  return split(t, (total - 1) / chunks + 1, d);
}

std::vector<Tensor> tensor_split(const Tensor& t, std::int64_t sections, std::int64_t dim) {
  const int d = dim_of("tensor_split", t, dim);
  check(sections > 0, "tensor_split: expected a positive number of sections, got ", sections);
  const std::int64_t total = t.shape()[d];
  std::vector<std::int64_t> lengths = equal_lengths("tensor_split", sections, total / sections);
  for (std::int64_t i = 0; i < total % sections; ++i) ++lengths[static_cast<std::size_t>(i)];
  return take_apart("tensor_split", t, d, lengths, false);
}

std::vector<Tensor> tensor_split(const Tensor& t, const std::vector<std::int64_t>& bounds, std::int64_t dim) {
  const int d = dim_of("tensor_split", t, dim);
  const std::int64_t total = t.shape()[d];
  std::vector<Tensor> parts;  // bounds need not ascend, so that parts may overlap: a slice each
  std::int64_t start = 0;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    const std::int64_t asked = i < bounds.size() ? bounds[i] : total;
    const std::int64_t stop = std::clamp<std::int64_t>(asked < 0 ? asked + total : asked, 0, total);
    parts.push_back(slice(t, d, start, stop, 1));
    start = stop;
  }
  return parts;
}

std::vector<Tensor> unbind(const Tensor& t, std::int64_t dim) {
  const int d = dim_of("unbind", t, dim);
  return take_apart("unbind", t, d, equal_lengths("unbind", t.shape()[d], 1), true);
}

}  // namespace lamina
