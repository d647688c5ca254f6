// Changes to batches of images (N, C, H, W), uint8 or float32; see kernels/augment.h. None has a gradient.
#pragma once
#include "core/tensor.h"

namespace lamina {

// matrices (N, 6) and shifts (N, 2, height, width), which may be undefined, are float32.
Tensor sample_places(const Tensor& x, const Tensor& matrices, const Tensor& shifts, std::int64_t height,
                     std::int64_t width, double fill, bool edge);
// matrices (N, C, C) and offsets (N, C), float32. The result has x's type, or is float32.
Tensor recolour(const Tensor& x, const Tensor& matrices, const Tensor& offsets, bool to_float);
Tensor colour_means(const Tensor& x);                                   // (N, C)
Tensor erase_boxes(const Tensor& x, const Tensor& boxes, double fill);  // boxes (N, 4), int64

}  // namespace lamina
