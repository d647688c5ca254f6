// Pooling over windows of the last one to three dimensions, and resizing of them.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

// One dimension that is pooled. Adaptive where kernel is 0: window o reaches from ⌊o · in / out⌋ to ⌈(o + 1) · in /
// out⌉.
struct PoolAxis {
  std::int64_t in = 1, out = 1, kernel = 1, stride = 1, padding = 0, dilation = 1;
};

// `planes` times depth, height and width, contiguous; dimensions that are not there are 1.
struct Pool {
  std::int64_t planes;
  PoolAxis axis[3];
  // Of an average: what it is divided by if not 0, else the number of elements, with those of the padding or without.
  std::int64_t divisor = 0;
  bool count_padding = true;
};

// Positions in a window fit into a byte.
constexpr std::int64_t kPositions = 256;

// How an axis is resized: output o reads input (o + offset) · from / to + shift, rounded down, or a blend of the two
// next to that place.
struct ResizeAxis {
  std::int64_t in = 1, out = 1;
  double from = 1, to = 1, offset = 0, shift = 0;
};
struct Resize {
  std::int64_t planes;
  ResizeAxis axis[3];
};

struct PoolTable {
  // y: the windows' maxima; the first of equal ones counts, and NaN is greater than any number. positions, one to an
  // element of y, may be null: the place of the maximum in its window, in row-major order. At most kPositions of them.
  using Max = void (*)(Pool p, const void* x, void* y, std::uint8_t* positions);
  Max max[kDTypeCount];
  using MaxGrad = void (*)(Pool p, const void* dy, const std::uint8_t* positions, void* dx);
  MaxGrad max_grad[kDTypeCount];
  // The same for windows of any size, with indices into the plane.
  using IndexedMax = void (*)(Pool p, const void* x, void* y, std::int64_t* indices);
  IndexedMax indexed_max[kDTypeCount];
  using IndexedMaxGrad = void (*)(Pool p, const void* dy, const std::int64_t* indices, void* dx);
  IndexedMaxGrad indexed_max_grad[kDTypeCount];

  using Average = void (*)(Pool p, const void* in, void* out);
  Average average[kDTypeCount], average_grad[kDTypeCount];  // x to y; dy to dx

  using Resampling = void (*)(Resize r, const void* in, void* out);
  Resampling nearest[kDTypeCount], nearest_grad[kDTypeCount], linear[kDTypeCount], linear_grad[kDTypeCount];
};

}  // namespace lamina
