// The way of tiles from images to Winograd's products and back.
//
// The lanes of a vector are channels. A transform in two dimensions is split: along columns it works on rows of the
// image as they lie in memory and passes through a strip, a few rows that stay in the first-level cache; along rows it
// reads the strips of as many channels as there are lanes.
#pragma once
#include <cstdint>

#include "cpu/conv_epilogue.h"
#include "cpu/conv_winograd_points.h"
#include "cpu/team.h"
#include "simd/transpose.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kLanes = Vec<float>::width;
constexpr int kRunTiles = 16;  // at most, so that the strips of all lanes stay in the first-level cache

// A 3 × 3 convolution. The data gradient is one too, of dy: with the channels exchanged.
struct WinogradShape {
  std::int64_t batch, groups, in_channels, out_channels;  // channels of one group
  std::int64_t height, width, out_height, out_width, pad_top, pad_left;
};

// Tiles side by side in one image, and where the first of them stands in its block.
struct TileRun {
  std::int64_t image, row, col;
  int count;
  std::int64_t place;
};

struct TileGrid {
  std::int64_t rows, cols;  // of an image
  std::int64_t per_image() const { return rows * cols; }

  template <class Body>
  LAMINA_INLINE void for_each_run(std::int64_t begin, std::int64_t end, Body body) const {
    for (std::int64_t t = begin; t < end;) {
      const std::int64_t image = t / per_image(), row = t % per_image() / cols, col = t % cols;
      const int count = static_cast<int>(least(least(cols - col, end - t), kRunTiles));
      body(TileRun{image, row, col, count, t - begin});
      t += count;
    }
  }
};

// One group's channels in a batch of images.
template <class T>
struct Planes {
  T* data;                                      // of the first image's first channel, whatever its group
  std::int64_t channels, first, height, width;  // channels: of all groups
  Planes(T* data, const WinogradShape& s, std::int64_t group, bool out)
      : data(data),
        channels(s.groups * (out ? s.out_channels : s.in_channels)),
        first(group * (out ? s.out_channels : s.in_channels)),
        height(out ? s.out_height : s.height),
        width(out ? s.out_width : s.width) {}
  std::int64_t offset(std::int64_t image, std::int64_t channel) const {
    return (image * channels + first + channel) * height * width;
  }
};

// A block's values for the products: [kTile²][tiles][channels].
template <class T>
struct Points {
  T* data;
  std::int64_t point, tile;  // distances
};

// Distances of rows and points are odd numbers of cache lines: no two that are used together share a set of the cache.
constexpr std::int64_t odd_lines(std::int64_t floats) { return (ceil_div(floats, 16) | 1) * 16; }

alignas(64) constexpr float kZeros[kRunTiles * 4 + 2] = {};

// Transforms of tiles before the products: Bᵀ d B of kIn × kIn inputs, or A ∂y Aᵀ of kOut × kOut gradients.
template <class F>
struct OfInput {
  static constexpr int kIn = F::kIn, kStep = F::kStep;
  static LAMINA_INLINE void apply(const Vec<float>* from, Vec<float>* to) { F::input(from, to); }
};
template <class F>
struct OfGradient {
  static constexpr int kIn = F::kOut, kStep = F::kOut;
  static LAMINA_INLINE void apply(const Vec<float>* from, Vec<float>* to) { F::output_turned(from, to); }
};

template <class F, class Transform>
class Spread {
  using V = Vec<float>;
  static constexpr int kIn = Transform::kIn, kStep = Transform::kStep, kTile = F::kTile;
  static constexpr int kPitch = ceil_div(kRunTiles * kStep + 8 + kLanes, 8) * 8;  // whole vectors may reach beyond

 public:
  // `pad_top`, `pad_left`: how far the first tile begins outside of the image.
  Spread(const Planes<const float>& from, std::int64_t pad_top, std::int64_t pad_left)
      : from_(from), pad_top_(pad_top), pad_left_(pad_left) {}

  // Channels [first, end), `first` a multiple of the lanes.
  void run(const TileRun& run, std::int64_t first, std::int64_t end, const Points<float>& to) {
    top_ = run.row * kStep - pad_top_;
    const std::int64_t left = run.col * kStep - pad_left_, cols = (run.count - 1) * kStep + kIn;
    skipped_ = static_cast<int>(left < 0 ? -left : 0);
    x0_ = left + skipped_;
    inside_ = static_cast<int>(most(0, least(cols - skipped_, from_.width - x0_)));
    if (inside_ < cols) clear(static_cast<int>(cols));
    for (std::int64_t c = first; c < end; c += kLanes) {
      const int lanes = static_cast<int>(least(kLanes, end - c));
      const float* const planes = from_.data + from_.offset(run.image, c);
      for (int lane = 0; lane < lanes; ++lane)
        along_columns(planes + lane * from_.height * from_.width, strip_ + lane * kTile * kPitch + skipped_);
      float* out = to.data + run.place * to.tile + c;
      for (int t = 0; t < run.count; ++t, out += to.tile) along_rows(strip_ + t * kStep, out, to.point);
    }
  }

 private:
  void clear(int cols) {
    for (int row = 0; row < kLanes * kTile; ++row) {
      float* const p = strip_ + row * kPitch;
      for (int j = 0; j < skipped_; j += kLanes) V(0.0f).store(p + j);
      for (int j = skipped_ + inside_; j < cols; j += kLanes) V(0.0f).store(p + j);
    }
  }

  void along_columns(const float* plane, float* to) const {
    const float* rows[kIn];
    for (int i = 0; i < kIn; ++i) {
      const std::int64_t y = top_ + i;
      rows[i] = y >= 0 && y < from_.height ? plane + y * from_.width + x0_ : kZeros;
    }
    const auto step = [&](int j, auto load) __attribute__((always_inline)) {
      V x[kIn], y[kTile];
#pragma GCC unroll 6
      for (int i = 0; i < kIn; ++i) x[i] = load(rows[i] + j);
      Transform::apply(x, y);
#pragma GCC unroll 6
      for (int i = 0; i < kTile; ++i) y[i].store(to + i * kPitch + j);
    };
    int j = 0;
    for (; j + kLanes <= inside_; j += kLanes)
      step(
          j, [](const float* p) __attribute__((always_inline)) { return V::load(p); });
    if (const int rest = inside_ - j; rest > 0)
      step(
          j, [rest](const float* p) __attribute__((always_inline)) { return V::load(p, rest); });
  }

  static LAMINA_INLINE void along_rows(const float* strip, float* to, std::int64_t point) {
    for (int i = 0; i < kTile; ++i, strip += kPitch, to += kTile * point) {
      V x[8], y[kTile];
      load_quads(strip, kTile * kPitch, x);
      if constexpr (kIn > 4) load_quads(strip + 4, kTile * kPitch, x + 4);
      Transform::apply(x, y);
#pragma GCC unroll 6
      for (int k = 0; k < kTile; ++k) y[k].store(to + k * point);
    }
  }

  const Planes<const float> from_;
  const std::int64_t pad_top_, pad_left_;
  std::int64_t top_ = 0, x0_ = 0;  // of the run, in the image
  int skipped_ = 0, inside_ = 0;   // columns of the run left of the image, and in it
  alignas(64) float strip_[kLanes * kTile * kPitch + 8] = {};
};

// Aᵀ M A, then the epilogue.
template <class F>
class Gather {
  using V = Vec<float>;
  static constexpr int kTile = F::kTile, kOut = F::kOut;
  static constexpr int kPitch = kRunTiles * kOut + 16;

 public:
  Gather(const Planes<float>& to, const Finish<float>& finish) : to_(to), finish_(finish) {}

  // Channels [first, end) of the group, of which `from` holds no others.
  void run(const TileRun& run, std::int64_t first, std::int64_t end, const Points<const float>& from) {
    const int cols = static_cast<int>(least(run.count * kOut, to_.width - run.col * kOut));
    const int rows = static_cast<int>(least(kOut, to_.height - run.row * kOut));
    for (std::int64_t c = first; c < end; c += kLanes) {
      const int lanes = static_cast<int>(least(kLanes, end - c));
      const std::int64_t corner = to_.offset(run.image, c) + run.row * kOut * to_.width + run.col * kOut;
      for (int lane = 0; lane < lanes; ++lane) fetch(to_.data + corner + lane * to_.height * to_.width, rows, cols);
      const float* in = from.data + run.place * from.tile + c - first;
      for (int t = 0; t < run.count; ++t, in += from.tile) along_rows(in, from.point, strip_ + t * kOut);
      for (int lane = 0; lane < lanes; ++lane)
        along_columns(strip_ + lane * kTile * kPitch, finish_.shift_of(to_.first + c + lane),
                      corner + lane * to_.height * to_.width, rows, cols);
    }
  }

 private:
  static LAMINA_INLINE void along_rows(const float* from, std::int64_t point, float* strip) {
    for (int i = 0; i < kTile; ++i, from += kTile * point, strip += kPitch) {
      V x[kTile], y[kOut];
#pragma GCC unroll 6
      for (int k = 0; k < kTile; ++k) x[k] = V::load(from + k * point);
      F::output(x, y);
      if constexpr (kOut == 4)
        store_quads(y, strip, kTile * kPitch);
      else
        store_pairs(y, strip, kTile * kPitch);
    }
  }

  // What will be written soon, in pieces too short for the hardware to foresee the next.
  void fetch(const float* out, int rows, int cols) const {
    for (int i = 0; i < rows; ++i, out += to_.width)
      for (int j = 0; j < cols; j += 16) __builtin_prefetch(out + j, 1);
  }

  // `at`: where the first output lies in the result.
  void along_columns(const float* strip, V shift, std::int64_t at, int rows, int cols) const {
    const std::int64_t width = to_.width;
    const auto step = [&](int j, auto load, auto store) __attribute__((always_inline)) {
      V x[kTile], y[kOut];
#pragma GCC unroll 6
      for (int i = 0; i < kTile; ++i) x[i] = V::load(strip + i * kPitch + j);
      F::output(x, y);
#pragma GCC unroll 4
      for (int i = 0; i < kOut; ++i) {
        if (i >= rows) break;
        const std::int64_t there = at + i * width + j;
        V v = y[i] + shift;
        if (finish_.residual) v = v + load(finish_.residual + there);
        if (finish_.z) store(v, finish_.z + there);
        store(finish_.relu ? formula::relu_op::f(v, nullptr) : v, to_.data + there);
      }
    };
    int j = 0;
    for (; j + kLanes <= cols; j += kLanes)
      step(
          j, [](const float* p) __attribute__((always_inline)) { return V::load(p); },
          [](V v, float* p) __attribute__((always_inline)) { v.store(p); });
    if (const int rest = cols - j; rest > 0)
      step(
          j, [rest](const float* p) __attribute__((always_inline)) { return V::load(p, rest); },
          [rest](V v, float* p) __attribute__((always_inline)) { v.store(p, rest); });
    if (finish_.activation)
      for (int i = 0; i < rows; ++i) {
        float* const row = to_.data + at + i * width;
        void* const operands[] = {row, row};
        finish_.activation(operands, cols, nullptr);
      }
  }

  const Planes<float> to_;
  const Finish<float> finish_;
  alignas(64) float strip_[kLanes * kTile * kPitch];
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
