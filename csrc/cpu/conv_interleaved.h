// Images of a batch side by side in the lanes of a vector, so many together as it has. What a convolution does with a
// place it then does for all of them at once, and neither short lines nor strides nor borders leave lanes idle.
#pragma once
#include "cpu/conv_grid.h"
#include "simd/transpose.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kImages = Vec<float>::width;  // side by side

// A run of places of the source along an axis; those outside hold zeros.
struct Sight {
  std::int64_t first = 0, size = 0;
};

// to[place · pitch + image] = from[image · step + place] for n places; images (or channels) that do not exist are
// zeros.
void interleave_line(float* to, std::int64_t pitch, const float* from, std::int64_t step, int images, std::int64_t n) {
  constexpr int W = Vec<float>::width;
  Vec<float> columns[W];
  if (images == W && n >= W) {
    for (std::int64_t s = 0; s < n; s += W) {
      const std::int64_t at = least(s, n - W);  // the last block reaches back instead of over the end
      load_transposed(from + at, step, columns);
#pragma GCC unroll 16
      for (int j = 0; j < W; ++j) columns[j].store(to + (at + j) * pitch);
    }
    return;
  }
  alignas(64) float block[W][W] = {};
  for (std::int64_t s = 0; s < n; s += W) {
    const int width = static_cast<int>(least(W, n - s));
    for (int i = 0; i < images; ++i) Vec<float>::load(from + i * step + s, width).store(block[i]);
    load_transposed(block[0], W, columns);
    for (int j = 0; j < width; ++j) columns[j].store(to + (s + j) * pitch);
  }
}

// Channels of `images` images, a block of `size` each, of which `sight` is wanted: to[place][channel][image].
void interleave(float* to, const float* from, const std::int64_t (&size)[kConvDims], const Sight (&sight)[kConvDims],
                std::int64_t channels, std::int64_t image_step, int images) {
  const std::int64_t plane = size[0] * size[1] * size[2], pitch = channels * kImages;
  const Inside in(sight[2].first, 1, sight[2].size, size[2]);
  for (std::int64_t i = 0; i < sight[0].size; ++i)
    for (std::int64_t j = 0; j < sight[1].size; ++j, to += sight[2].size * pitch) {
      const std::int64_t x = sight[0].first + i, y = sight[1].first + j;
      if (x < 0 || x >= size[0] || y < 0 || y >= size[1]) {
        zero_spilling(to, sight[2].size * pitch);
        continue;
      }
      const float* const line = from + (x * size[1] + y) * size[2] + sight[2].first + in.begin;
      zero_spilling(to, in.begin * pitch);
      for (std::int64_t c = 0; c < channels; ++c)
        interleave_line(to + in.begin * pitch + c * kImages, pitch, line + c * plane, image_step, images,
                        in.end - in.begin);
      zero_spilling(to + in.end * pitch, (sight[2].size - in.end) * pitch);
    }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
