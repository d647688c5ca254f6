// What the scatters share. Unrecorded.
#pragma once
#include "core/tensor.h"
#include "kernels/index.h"

namespace lamina {

// Everything about their arguments; the dimension, counted from 0.
int check_scatter(const char* op, const Tensor& t, std::int64_t dim, const Tensor& index, const Tensor& source);

// t[index[i]] = fold(t[index[i]], source[i]) along a dimension, 16-bit floats in float32.
using AlongKernels = void (*const (&)[kDTypeCount])(AlongLoop);
void fold_along(AlongKernels kernels, const char* name, const Tensor& t, const Tensor& index, const Tensor& source,
                int dim);

// A tensor of that shape that begins with `part` and is zero elsewhere.
Tensor spread_to(const Tensor& part, const Dims& shape);

}  // namespace lamina
