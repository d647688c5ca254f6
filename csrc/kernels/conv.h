// Convolutions in one to three dimensions: geometry, arguments and table of the conv family.
//
//   y[n, o, p] = Σ x[n, c, p · stride + t · dilation - pad_low] · weight[o, c, t]   over c in o's group and taps t
//
// x is (batch, in_channels, in…), weight (out_channels, in_channels / groups, kernel…), y (batch, out_channels, out…),
// all contiguous, of type shape.dtype (float32 or float64). A transposed convolution is the data gradient of the
// convolution that leads back from its output to its input.
#pragma once
#include <cstdint>

#include "kernels/elementwise.h"

namespace lamina {

constexpr int kConvDims = 3;  // depth, height, width; those that a convolution lacks come first and are of size 1

struct ConvShape {
  DType dtype = DType::f32;
  std::int64_t batch = 0, groups = 1;
  std::int64_t in_channels = 0, out_channels = 0;  // of all groups together
  std::int64_t in[kConvDims] = {1, 1, 1}, kernel[kConvDims] = {1, 1, 1}, out[kConvDims] = {1, 1, 1};
  std::int64_t stride[kConvDims] = {1, 1, 1}, dilation[kConvDims] = {1, 1, 1};
  std::int64_t pad_low[kConvDims] = {}, pad_high[kConvDims] = {};  // zeros around x; none is negative

  std::int64_t group_in() const { return in_channels / groups; }
  std::int64_t group_out() const { return out_channels / groups; }
  std::int64_t in_size() const { return in[0] * in[1] * in[2]; }
  std::int64_t out_size() const { return out[0] * out[1] * out[2]; }
  std::int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

enum class ConvAlgorithm : std::uint8_t {
  im2col,            // the columns of every image written out, then a matrix product: the plain oracle
  implicit,          // a matrix product whose right-hand panels are packed straight from the image
  direct,            // the same with panels read where the image lies: for few channels
  winograd2,         // 3 × 3, stride and dilation 1: tiles of 2 × 2 outputs; float32 only
  winograd4,         // tiles of 4 × 4
  winograd_strided,  // 3 × 3, stride 2, dilation 1: tiles of 2 × 2 outputs; float32 only
  depthwise,         // one input channel to a group
  interleaved,       // images of the batch side by side in a vector: for small ones; float32 only
  count
};
constexpr int kConvAlgorithms = static_cast<int>(ConvAlgorithm::count);

// What happens to the sums on their way to memory: out = activation(sum + bias + residual).
struct ConvEpilogue {
  const void* bias = nullptr;           // one for each channel of the result; null: none
  const void* residual = nullptr;       // laid out as the result; null: none
  void* z = nullptr;                    // receives what the activation is applied to, laid out as the result; or null
  UnaryOp activation = UnaryOp::count;  // count: none
};

struct ConvForward {
  ConvShape shape;
  const void *x = nullptr, *weight = nullptr;
  void* y = nullptr;
  ConvEpilogue epilogue = {};
  const void* prepared = nullptr;  // what the algorithm's `prepare` makes of the weight; null: it has to do that itself
};
// The same, and of every 2 × 2 neighbours in the plane (conv2d's last two sizes, rounded down) only the largest stays:
// what is pooled is never written out. No residual, no z, and no activation but ReLU; not for transposed ones.
struct ConvPooledForward {
  ConvForward conv;                   // its y has half the height and half the width
  std::uint8_t* positions = nullptr;  // one to an element of y: see kPooledAway; null: not wanted
};
// Positions count the four places of a window line by line, as those of max_pool do; this one is for a maximum that
// ReLU set to zero, so that no gradient passes.
constexpr std::uint8_t kPooledAway = 4;

struct ConvDataGradient {
  ConvShape shape;
  const void *dy = nullptr, *weight = nullptr;
  void* dx = nullptr;
  ConvEpilogue epilogue = {};  // of a transposed convolution; its channels are those of dx
};
struct ConvWeightGradient {
  ConvShape shape;
  const void *x = nullptr, *dy = nullptr;
  void* dweight = nullptr;
};
// The same where outputs are pooled: conv.dy is the gradient of what was left of them.
struct ConvPooledWeightGradient {
  ConvWeightGradient conv;
  const std::uint8_t* positions = nullptr;
};

// What a layer activation(x * weight + bias) does first with the gradient dy (batch, channels, size) of its output:
// dz = activation'(dy, saved), and dbias, the sum of dz over batch and size.
struct ConvBiasGradient {
  DType dtype = DType::f32;
  std::int64_t batch = 0, channels = 0, size = 0;
  const void *dy = nullptr, *saved = nullptr;
  void* dz = nullptr;                   // may be dy; null without activation
  void* dbias = nullptr;                // null: not wanted
  UnaryOp activation = UnaryOp::count;  // count: none
};

// The same for a layer whose outputs are pooled: from the gradient dy (batch, channels, height / 2, width / 2) of what
// was left to dz (batch, channels, height, width), and dbias.
struct ConvPooledGradient {
  DType dtype = DType::f32;
  std::int64_t batch = 0, channels = 0, height = 0, width = 0;
  const void* dy = nullptr;
  const std::uint8_t* positions = nullptr;
  void *dz = nullptr, *dbias = nullptr;  // null: not wanted
};

// One slot an algorithm; null where it does not compute that pass. Which shapes an algorithm takes is said once, in
// ops/conv_choose.cpp. No size in a shape that reaches a kernel is 0.
struct ConvTable {
  void (*forward[kConvAlgorithms])(ConvForward args);
  void (*forward_pooled[kConvAlgorithms])(ConvPooledForward args);
  // Of a weight (out, in, …) without groups, in float32; null where the algorithm has no form of its own.
  std::size_t (*prepared_bytes[kConvAlgorithms])(std::int64_t out_channels, std::int64_t in_channels);
  void (*prepare[kConvAlgorithms])(const void* weight, std::int64_t out_channels, std::int64_t in_channels,
                                   void* prepared);
  void (*data_gradient[kConvAlgorithms])(ConvDataGradient args);
  void (*weight_gradient[kConvAlgorithms])(ConvWeightGradient args);
  void (*weight_gradient_pooled[kConvAlgorithms])(ConvPooledWeightGradient args);
  void (*bias_gradient)(ConvBiasGradient args);
  void (*pooled_gradient)(ConvPooledGradient args);
};

}  // namespace lamina
