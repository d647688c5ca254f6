// What sort, topk and the extremes along a dimension return; in Python a named tuple (values, indices).
#pragma once
#include "core/tensor.h"

namespace lamina {

struct ValuesIndices {
  Tensor values;
  Tensor indices;  // int64
};

}  // namespace lamina
