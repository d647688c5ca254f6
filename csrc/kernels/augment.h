// Changes to batches of images (N, C, H, W), uint8 or float32, that keep what they show: places and colours. What
// changes from image to image lies in tensors, drawn beforehand.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

// Pixel (u, v) of output n, u along the row, is the input at x = m₀ u + m₁ v + m₂ + sx, y = m₃ u + m₄ v + m₅ + sy, a
// blend of the four pixels there. m: matrices[n]; s: shifts[n, :, v, u], or nothing where that is null. Places beyond
// the input have the value `fill`, or that of the nearest pixel if `edge`.
struct Sampling {
  std::int64_t images, channels, in_height, in_width, out_height, out_width;
  const void* x;
  const float* matrices;  // (images, 6)
  const float* shifts;    // (images, 2, out_height, out_width)
  float fill;
  bool edge;
};

// Pixel c of the output is Σ matrix[n, c, k] · pixel k of the input + offset[n, c].
struct Colours {
  std::int64_t images, channels, pixels;
  const void* x;
  const float *matrices, *offsets;  // (maps, channels, channels), (maps, channels)
  std::int64_t maps;                // as many as images, or one for all
};
constexpr std::int64_t kMostColours = 16;  // channels

struct AugmentTable {
  void (*sample[kDTypeCount])(Sampling s, void* y);  // y like x
  // To the type of x, and to float32.
  void (*recolour[kDTypeCount])(Colours c, void* y);
  void (*recolour_to_float[kDTypeCount])(Colours c, float* y);
  // means: (images, channels)
  void (*means[kDTypeCount])(Colours c, float* means);
  // Rows boxes[n, 1] … boxes[n, 3] and columns boxes[n, 0] … boxes[n, 2] of all channels of x become `fill`. Boxes may
  // reach beyond the image.
  void (*erase[kDTypeCount])(void* x, std::int64_t images, std::int64_t channels, std::int64_t height,
                             std::int64_t width, const std::int64_t* boxes, float fill);
};

}  // namespace lamina
