// Memory for what a backward computes.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "autograd/node.h"

namespace lamina {

// Where the gradient of input i is written: if possible where it will stay.
inline Tensor place_of_gradient(Gradients& g, int i, const Dims& shape, std::initializer_list<Tensor> read_meanwhile) {
  const Tensor home = g.home(i);
  const auto shares = [&](const Tensor& t) { return t.defined() && home.defined() && &t.storage() == &home.storage(); };
  bool is_read = std::any_of(read_meanwhile.begin(), read_meanwhile.end(), shares);
  Tensor like;
  for (int k = 0; k < g.outputs(); ++k) {
    if (g.of_output(k).defined()) like = g.of_output(k);
    is_read |= shares(g.of_output(k));
  }
  return home.defined() && !is_read ? home : empty(shape, like.dtype(), like.device());
}

}  // namespace lamina
