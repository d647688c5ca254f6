// Convolutions of (batch, channels, 1 to 3 sizes), or of one image without the batch, and their gradients. Names,
// shapes and defaults are PyTorch's; padding may differ at the two ends of a dimension.
#pragma once
#include <optional>

#include "core/tensor.h"
#include "kernels/conv.h"
#include "ops/conv_choose.h"

namespace lamina {

// Each list has one number for all dimensions, or one for each.
struct ConvOptions {
  Dims stride{1}, dilation{1};
  Dims pad_low{0}, pad_high{0};
  bool same = false;       // as much padding as keeps the size; what cannot be halved goes to the high end
  Dims output_padding{0};  // transposed only: added to the output's size at the high end
  std::int64_t groups = 1;
};

// activation(x * weight + bias + residual), weight (out, in / groups, kernel…); bias and residual may be undefined.
Tensor conv(int dims, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
            std::optional<UnaryOp> activation = std::nullopt, const Tensor& residual = {});

// What max_pool(…, 2) leaves of activation(x * weight + bias + residual): in one kernel where there is one for that.
Tensor conv_max_pool(int dims, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options,
                     std::optional<UnaryOp> activation = std::nullopt, const Tensor& residual = {});

// The transposed convolution, weight (in, out / groups, kernel…).
Tensor conv_transpose(int dims, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options);

// The geometry of conv() for an input and a weight of these shapes, checked.
ConvShape conv_shape(int dims, const Dims& x, const Dims& weight, DType dtype, const ConvOptions& options);

}  // namespace lamina
