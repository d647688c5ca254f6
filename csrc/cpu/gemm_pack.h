// Copying panels of A and B into the order in which the micro-kernel reads them.
#pragma once
#include <cstdint>

#include "simd/transpose.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// columns[j], lane i = from[i * lane_stride + j * step_stride], for the first `lanes` lanes and `width` columns.
template <class T, class From>
LAMINA_INLINE void load_block(const From* from, std::int64_t lane_stride, std::int64_t step_stride, std::int64_t lanes,
                              int width, Vec<T>* columns) {
  constexpr int W = Vec<T>::width;
  if constexpr (sizeof(From) == sizeof(T))
    if (step_stride == 1 && lanes >= W && width == W) return load_transposed(from, lane_stride, columns);
  alignas(64) T block[W][W];
  for (int i = 0; i < W; ++i) {
    const From* const lane = from + (i < lanes ? i : lanes - 1) * lane_stride;
    if (step_stride == 1)
      Vec<T>::load(lane, width).store(block[i]);
    else
      for (int j = 0; j < width; ++j) Vec<T>::load(lane + j * step_stride, 1).store(block[i] + j, 1);
  }
  load_transposed(block[0], W, columns);
}

// So many steps at the end of a panel must not be stored as whole vectors, which would reach behind it.
template <class T>
std::int64_t careful_steps(int pitch, std::int64_t steps) {
  constexpr int W = Vec<T>::width;
  const std::int64_t careful = pitch < W ? (W + pitch - 1) / pitch : 1;
  return careful < steps ? careful : steps;
}

// Lanes [0, n) of a panel, at most a vector of them. Whole vectors are stored: what they spill over the end of a step
// must be written later. The last steps spill nothing.
template <class T, class From>
void pack_side_by_side(T* to, int pitch, const From* from, std::int64_t step_stride, int n, bool whole,
                       std::int64_t steps) {
  const std::int64_t careful = careful_steps<T>(pitch, steps);
  const auto all_but_last = [&](auto load) __attribute__((always_inline)) {
    for (std::int64_t s = careful; s < steps; ++s, from += step_stride, to += pitch) load().store(to);
  };
  if (whole)
    all_but_last([&]() __attribute__((always_inline)) { return Vec<T>::load(from); });
  else
    all_but_last([&]() __attribute__((always_inline)) { return Vec<T>::load(from, n); });
  for (std::int64_t s = 0; s < careful; ++s, from += step_stride, to += pitch) Vec<T>::load(from, n).store(to, n);
}

template <class T, class From>
void pack_transposed(T* to, int pitch, const From* from, std::int64_t lane_stride, std::int64_t step_stride, int n,
                     std::int64_t readable, std::int64_t steps) {
  constexpr int W = Vec<T>::width;
  Vec<T> columns[W];
  std::int64_t s = 0;
  const std::int64_t spilling = steps - careful_steps<T>(pitch, steps);
  if constexpr (sizeof(From) == sizeof(T))
    if (step_stride == 1 && readable >= W)
      for (; s + W <= spilling; s += W) {
        load_transposed(from + s, lane_stride, columns);
#pragma GCC unroll 16
        for (int j = 0; j < W; ++j) columns[j].store(to + (s + j) * pitch);
      }
  to += s * pitch, from += s * step_stride;
  for (std::int64_t left = steps - s; left > 0; left -= W, to += W * pitch, from += W * step_stride) {
    const int width = static_cast<int>(left < W ? left : W);
    load_block(from, lane_stride, step_stride, readable, width, columns);
    for (int j = 0; j < width; ++j)
      left - j > steps - spilling ? columns[j].store(to + j * pitch) : columns[j].store(to + j * pitch, n);
  }
}

// A panel: to[step * pitch + lane] = from[lane * lane_stride + step * step_stride] for `lanes` lanes (at most `pitch`)
// and `steps` steps. `readable` lanes, at least `lanes`, exist in memory. Nothing is written behind the panel.
template <class T, class From>
void pack(T* to, int pitch, const From* from, std::int64_t lane_stride, std::int64_t step_stride, int lanes,
          std::int64_t readable, std::int64_t steps) {
  constexpr int W = Vec<T>::width;
  // The last group first: its spilled lanes belong to the first group of the next step.
  for (int lane = (lanes - 1) / W * W; lane >= 0; lane -= W) {
    const int n = lanes - lane < W ? lanes - lane : W;
    if (lane_stride == 1)
      pack_side_by_side(to + lane, pitch, from + lane, step_stride, n, readable - lane >= W, steps);
    else
      pack_transposed(to + lane, pitch, from + lane * lane_stride, lane_stride, step_stride, n, readable - lane, steps);
  }
}

template <class T>
struct PanelPlace {
  T* to;
  int pitch;
  std::int64_t lane;  // its first
  int lanes;
};

constexpr std::int64_t kStepsAtOnce = 8;

// Several panels of equal `steps` side by side: place(i) says where panel i goes and which
// lanes it holds. Lanes that are contiguous in memory are read in long runs, a few steps at a time, because memory is
// slow to deliver single lines from many pages.
template <class T, class From, class Place>
void pack_panels(std::int64_t first, std::int64_t end, Place place, const From* from, std::int64_t lane_stride,
                 std::int64_t step_stride, std::int64_t readable, std::int64_t steps) {
  const std::int64_t chunk = lane_stride == 1 ? kStepsAtOnce : steps;
  for (std::int64_t s = 0; s < steps; s += chunk)
    for (std::int64_t i = first; i < end; ++i) {
      const PanelPlace<T> panel = place(i);
      pack(panel.to + s * panel.pitch, panel.pitch, from + panel.lane * lane_stride + s * step_stride, lane_stride,
           step_stride, panel.lanes, readable - panel.lane, steps - s < chunk ? steps - s : chunk);
    }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
