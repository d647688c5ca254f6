// What modules need of the tensors that they own.
#pragma once
#include "core/tensor.h"

namespace lamina {

// `t`, a leaf, becomes a window on the memory of `from`, with its type and shape: converted parameters stay the objects
// that optimisers know.
void take_over(const Tensor& t, const Tensor& from);

}  // namespace lamina
