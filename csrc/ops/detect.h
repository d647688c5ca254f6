// Boxes (n, 4) as x₁, y₁, x₂, y₂.
#pragma once
#include "core/tensor.h"

namespace lamina {

Tensor box_iou(const Tensor& a, const Tensor& b);  // (n, m), without gradient
// Which boxes of `order` (their numbers, best first) non-maximum suppression keeps, bool; classes may be undefined.
Tensor kept_boxes(const Tensor& boxes, const Tensor& order, const Tensor& classes, double threshold);

}  // namespace lamina
