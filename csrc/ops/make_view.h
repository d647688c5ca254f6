// How an operation returns a window on its input: for files that add kinds of views.
#pragma once
#include "autograd/node.h"
#include "ops/elementwise.h"

namespace lamina {

// A view at `offset` elements from t's first; backward(Gradients&) is recorded where a gradient may flow.
template <class Backward>
Tensor make_view(const char* name, const Tensor& t, const Dims& shape, const Dims& strides, std::int64_t offset,
                 Backward backward) {
  const std::int64_t bytes = t.offset_bytes() + offset * static_cast<std::int64_t>(t.item_size());
  Tensor v(new TensorImpl(t.impl()->storage, bytes, shape, strides, t.dtype()));
  if (needs_grad(t)) record(name, v, {&t}, std::move(backward));
  link_view(v, t);
  return v;
}

// Backward of a view that shows each element of its source at most once: zeros, with dy written where `apply`, the same
// view taken of the zeros, points.
template <class Apply>
auto into_zeros(const Tensor& source, Apply apply) {
  return [shape = source.shape(), apply = std::move(apply)](Gradients& g) {
    const Tensor zeros = full(shape, Scalar(0.0), g.of_output().dtype(), g.of_output().device());
    write_copy(apply(zeros), g.of_output());
    g.give(0, zeros);
  };
}

}  // namespace lamina
