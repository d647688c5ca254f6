// Memory for what a backward computes.
#pragma once
#include <algorithm>
#include <initializer_list>

#include "autograd/node.h"

namespace lamina {

// Where the gradient of input i is written: if possible where it will stay.
inline Tensor place_of_gradient(Gradients& g, int i, const Dims& shape, std::initializer_list<Tensor> read_meanwhile) {
  const Tensor& dy = g.of_output();
  const Tensor home = g.home(i);
  const auto shares = [&](const Tensor& t) { return t.defined() && &t.storage() == &home.storage(); };
  if (!home.defined() || shares(dy) || std::any_of(read_meanwhile.begin(), read_meanwhile.end(), shares))
    return empty(shape, dy.dtype(), dy.device());
  return home;
}

}  // namespace lamina
