// Reading and writing tensors at positions: subscripts, gathers and scatters, joins and splits, sorting.
#pragma once
#include <optional>
#include <vector>

#include "ops/promote.h"
#include "ops/values_indices.h"

namespace lamina {

// One item between the brackets of x[…].
struct Subscript {
  enum class Kind : std::uint8_t { integer, slice, ellipsis, new_axis, tensor };
  Kind kind;
  std::int64_t start = 0;  // an integer's value too
  std::int64_t stop = 0;   // as Python has it: negative counts from the end, past the end is clipped
  std::int64_t step = 1;
  Tensor tensor;  // integers, or a bool mask that takes as many dimensions as it has
};
using Subscripts = std::vector<Subscript>;

// x[items] and x[items] = value. Without tensors among the items the result is a view.
Tensor subscript(const Tensor& t, Subscripts items);
void set_subscript(const Tensor& t, Subscripts items, const Arg& value);

}  // namespace lamina
