// What softmax and the scans share: tensors seen as outer × length × inner.
#pragma once
#include "ops/reduce.h"

namespace lamina {

inline Along along(const Tensor& x, int dim) {
  Along a{1, 1, 1};
  for (int i = 0; i < x.ndim(); ++i) (i < dim ? a.outer : i == dim ? a.length : a.inner) *= x.shape()[i];
  return a;
}

}  // namespace lamina
