// Convolutions as products: which element of the image a pixel of the result meets at a tap.
//
// In every dimension a result at position p meets the image at p · scale + delta(u), where u counts those taps that
// meet anything: all of them forwards, delta(t) = t · dilation - padding, scale the stride; in the gradient with
// respect to the image, whose positions fall into stride³ classes by their remainders, those that lead from such a
// position to a result, and then the scale is 1.
#pragma once
#include "cuda/divide.h"
#include "kernels/conv.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// The taps t = first + u · step, 0 <= u < count, of one dimension and their delta(u) = start + u · slope.
struct TapLine {
  int count = 1, first = 0, step = 1, start = 0, slope = 0;
  LAMINA_INLINE int tap(int u) const { return first + u * step; }
  LAMINA_INLINE int delta(int u) const { return start + u * slope; }
};

inline TapLine forward_taps(const ConvShape& s, int d) {
  return {static_cast<int>(s.kernel[d]), 0, 1, static_cast<int>(-s.pad_low[d]), static_cast<int>(s.dilation[d])};
}

// Of the input positions i = j · stride + remainder: tap t leads to the output (i + pad - t · dilation) / stride, if
// that is whole, and then so does each stride / gcd(stride, dilation)-th.
inline TapLine gradient_taps(const ConvShape& s, int d, std::int64_t remainder) {
  const std::int64_t stride = s.stride[d], dilation = s.dilation[d], reach = remainder + s.pad_low[d];
  std::int64_t step = stride, other = dilation;
  while (other != 0) {  // Euclid
    const std::int64_t rest = step % other;
    step = other;
    other = rest;
  }
  step = stride / step;
  for (std::int64_t t = 0; t < step && t < s.kernel[d]; ++t)
    if ((reach - t * dilation) % stride == 0)
      return {static_cast<int>((s.kernel[d] - t + step - 1) / step), static_cast<int>(t), static_cast<int>(step),
              static_cast<int>((reach - t * dilation) / stride), static_cast<int>(-step * dilation / stride)};
  return {.count = 0};
}

// Positions of the class: how many j there are.
inline std::int64_t class_size(const ConvShape& s, int d, std::int64_t remainder) {
  return remainder < s.in[d] ? (s.in[d] - remainder + s.stride[d] - 1) / s.stride[d] : 0;
}

// ---- counting ----

// Three indices in one, the last counting fastest, and what is left above them.
struct Counter3 {
  Divisor y, x, all;
  int sizes[3] = {1, 1, 1};

  Counter3() = default;
  Counter3(std::int64_t z_, std::int64_t y_, std::int64_t x_)
      : y(y_), x(x_), all(z_ * y_ * x_), sizes{static_cast<int>(z_), static_cast<int>(y_), static_cast<int>(x_)} {}

  LAMINA_INLINE int within(int index, int (&at)[3]) const {  // returns what is above
    int above, rest, line;
    all.divmod(index, above, rest);
    x.divmod(rest, line, at[2]);
    y.divmod(line, at[0], at[1]);
    return above;
  }
};

// ---- the image ----

struct alignas(16) Tap {
  int offset;  // in elements, channel included
  int delta[3];
};
constexpr int kNowhere = -(1 << 30);  // delta of a tap that does not exist

struct Image {
  int size[3] = {1, 1, 1}, scale[3] = {1, 1, 1};
  int plane = 1, line = 1;     // elements between neighbours in depth and in height
  std::int64_t per_image = 0;  // between images

  // Element of image `which` that the position meets before any delta; it may lie outside.
  LAMINA_INLINE std::int64_t origin(int which, int (&at)[3]) const {
    for (int d = 0; d < 3; ++d) at[d] *= scale[d];
    return which * per_image + at[0] * std::int64_t{plane} + at[1] * std::int64_t{line} + at[2];
  }
  LAMINA_INLINE bool inside(const int (&at)[3], const Tap& tap) const {
    bool ok = true;
    for (int d = 0; d < 3; ++d) ok = ok && static_cast<unsigned>(at[d] + tap.delta[d]) < static_cast<unsigned>(size[d]);
    return ok;
  }
};

// Where pixel n of a result lies: images, and positions of one class in them.
struct ImageMap {
  Counter3 pixels;
  std::int64_t channel = 0, per_image = 0, begin = 0;
  std::int64_t step[3] = {};

  LAMINA_INLINE std::int64_t at(int m, int n) const {
    int at[3];
    const int image = pixels.within(n, at);
    return begin + m * channel + image * per_image + at[0] * step[0] + at[1] * step[1] + at[2] * step[2];
  }
};

// ---- what a pass is made of ----

inline Image image_of(const std::int64_t (&size)[kConvDims], const std::int64_t (&scale)[kConvDims],
                      std::int64_t channels) {
  Image i;
  for (int d = 0; d < 3; ++d) {
    i.size[d] = static_cast<int>(size[d]);
    i.scale[d] = static_cast<int>(scale[d]);
  }
  i.line = static_cast<int>(size[2]);
  i.plane = static_cast<int>(size[1] * size[2]);
  i.per_image = channels * size[0] * size[1] * size[2];
  return i;
}

// The result of the forward pass, or one class of the image's gradient.
struct ConvPass {
  TapLine taps[3];
  std::int64_t positions[3];
  Image image;   // what is gathered from
  ImageMap map;  // where results go

  std::int64_t tap_count() const { return std::int64_t{taps[0].count} * taps[1].count * taps[2].count; }
  std::int64_t pixels() const { return positions[0] * positions[1] * positions[2]; }
};

inline ConvPass forward_pass(const ConvShape& s) {
  ConvPass p;
  for (int d = 0; d < 3; ++d) {
    p.taps[d] = forward_taps(s, d);
    p.positions[d] = s.out[d];
  }
  p.image = image_of(s.in, s.stride, s.in_channels);
  p.map = {Counter3(s.out[0], s.out[1], s.out[2]),
           s.out_size(),
           s.out_channels * s.out_size(),
           0,
           {s.out[1] * s.out[2], s.out[2], 1}};
  return p;
}

inline ConvPass gradient_pass(const ConvShape& s, const std::int64_t (&remainder)[3]) {
  constexpr std::int64_t kOnes[3] = {1, 1, 1};
  ConvPass p;
  for (int d = 0; d < 3; ++d) {
    p.taps[d] = gradient_taps(s, d, remainder[d]);
    p.positions[d] = class_size(s, d, remainder[d]);
  }
  const std::int64_t line = s.in[2], plane = s.in[1] * s.in[2];
  p.image = image_of(s.out, kOnes, s.out_channels);
  p.map = {Counter3(p.positions[0] ? p.positions[0] : 1, p.positions[1] ? p.positions[1] : 1,
                    p.positions[2] ? p.positions[2] : 1),
           s.in_size(),
           s.in_channels * s.in_size(),
           remainder[0] * plane + remainder[1] * line + remainder[2],
           {s.stride[0] * plane, s.stride[1] * line, s.stride[2]}};
  return p;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
