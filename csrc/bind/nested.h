// Nested Python lists of numbers, and back.
#pragma once
#include <optional>

#include "bind/common.h"

namespace lamina::bind {

// A copy of `data`: numbers, nested sequences of numbers, tensors, buffers, and anything with __dlpack__ or __array__.
// The type is that of the elements unless given; `function` is named in errors.
Tensor tensor_from_data(PyObject* data, std::optional<DType> dtype, const char* function);
// The same, but arrays and tensors of the right type are not copied.
Tensor tensor_sharing_data(PyObject* data, std::optional<DType> dtype, const char* function);

PyObject* to_list(const Tensor& t);  // new reference; a plain number for a 0-d tensor

}  // namespace lamina::bind
