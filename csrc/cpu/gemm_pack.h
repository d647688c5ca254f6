// Copying panels of A and B into the order in which the micro-kernel reads them.
#pragma once
#include <cstdint>

#include "simd/transpose.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Elements that pack() may write beyond its last.
template <class T>
constexpr int kPackSlack = Vec<T>::width;

// to[step * pitch + lane] = from[lane * lane_stride + step * step_stride] for `lanes` lanes (at most `pitch`) and `steps`
// steps. Whole vectors are stored: what they spill over the end of a step is overwritten by the next step.
template <class T, class From>
void pack(T* to, int pitch, const From* from, std::int64_t lane_stride, std::int64_t step_stride, int lanes,
          std::int64_t steps) {
  constexpr int W = Vec<T>::width;
  if (lane_stride == 1) {
    for (std::int64_t s = 0; s < steps; ++s, from += step_stride, to += pitch) {
      int lane = 0;
      for (; lane + W <= lanes; lane += W) Vec<T>::load(from + lane).store(to + lane);
      if (lane < lanes) Vec<T>::load(from + lane, lanes - lane).store(to + lane);
    }
    return;
  }
  alignas(64) T block[W][W];  // what cannot be read in place: the last steps, other types, both strides free
  const T* rows[W];
  Vec<T> columns[W];
  for (std::int64_t s = 0; s < steps; s += W, from += W * step_stride, to += W * pitch) {
    const int width = static_cast<int>(steps - s < W ? steps - s : W);
    // The last group first: its spilled lanes belong to the first group of the next step.
    for (int lane = (lanes - 1) / W * W; lane >= 0; lane -= W) {
      for (int i = 0; i < W; ++i) {
        // Lanes beyond the last repeat it; nobody reads them.
        const From* row = from + (lane + i < lanes ? lane + i : lanes - 1) * lane_stride;
        if constexpr (sizeof(From) == sizeof(T)) {
          if (step_stride == 1 && width == W) {
            rows[i] = row;
            continue;
          }
        }
        rows[i] = block[i];
        if (step_stride == 1)
          Vec<T>::load(row, width).store(block[i]);
        else
          for (int j = 0; j < width; ++j) Vec<T>::load(row + j * step_stride, 1).store(block[i] + j, 1);
      }
      load_transposed(rows, columns);
      T* out = to + lane;
      if (width == W) {
#pragma GCC unroll 16
        for (int j = 0; j < W; ++j) columns[j].store(out + j * pitch);
      } else {
        for (int j = 0; j < width; ++j) columns[j].store(out + j * pitch);
      }
    }
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
