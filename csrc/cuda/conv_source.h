// Operands of convolutions on their way into shared memory: elements gathered from images.
#pragma once
#include "cuda/conv_map.h"
#include "cuda/gemm_source.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kTapPadding = 128;  // tables of taps go on with taps that do not exist, to a multiple of this

// B[k, n] of the forward pass and of the image's gradient: k counts channels and taps, n images and positions. Lanes go
// along the positions; the tap is the same for all of them.
template <class Tile, int kThreads>
struct PixelLoader {
  using T = typename Tile::Element;
  static constexpr int kStep = kThreads / Tile::kOuter;
  static_assert(kThreads % Tile::kOuter == 0 && Tile::kDepth % kStep == 0);

  const T* origin;
  const Tap* taps;
  Image image;
  int at[3];

  LAMINA_IN_KERNEL void fetch(AsyncCopies& copies, T* tile, int thread, int begin, int) const {
    const int outer = thread % Tile::kOuter, depth = thread / Tile::kOuter;
    const Tap* const from = taps + begin + depth;
    copy_elements<T, Tile::kDepth / kStep>(
        copies,
        [&](int i) {
          const Tap tap = from[i * kStep];
          return Sender<T>{origin + tap.offset, image.inside(at, tap)};
        },
        [&](int i) { return tile + Tile::at(outer, depth + i * kStep); });
  }
};

template <class T>
struct PixelSource {
  static constexpr Along kAlong = Along::outer;
  template <class Tile, int kThreads>
  using Loader = PixelLoader<Tile, kThreads>;

  const T* data = nullptr;
  const Tap* taps = nullptr;
  Image image;
  Counter3 positions;
  int count = 0;  // of images and positions

  template <class Tile, int kThreads>
  LAMINA_IN_KERNEL Loader<Tile, kThreads> loader(std::int64_t offset, int first, int thread) const {
    Loader<Tile, kThreads> l{data + offset, taps, image, {kNowhere, kNowhere, kNowhere}};
    if (const int n = first + thread % Tile::kOuter; n < count) {
      const int which = positions.within(n, l.at);
      l.origin += image.origin(which, l.at);
    }
    return l;
  }
};

// Lanes along the depth of a tile: eight, and the other indices of a warp along the outer one.
template <class Tile, int kThreads>
struct DeepLanes {
  static constexpr int kRun = 8, kStep = kThreads / kRun, kCount = Tile::kOuter / kStep;
  static_assert(Tile::kOuter % kStep == 0 && Tile::kDepth % kRun == 0);
};

// B[k, n] of the weight's gradient: k counts images and positions, n channels and taps.
template <class Tile, int kThreads>
struct TapLoader {
  using T = typename Tile::Element;
  using Lanes = DeepLanes<Tile, kThreads>;
  const T* data;
  const Tap* taps;
  Image image;
  Counter3 positions;

  LAMINA_IN_KERNEL void fetch(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    const int outer = thread / Lanes::kRun;
    const Tap* const from = taps + outer;
#pragma unroll
    for (int run = 0; run < Tile::kDepth; run += Lanes::kRun) {
      const int depth = thread % Lanes::kRun + run;
      int at[3] = {kNowhere, kNowhere, kNowhere};
      const T* origin = data;
      if (begin + depth < end) {
        const int which = positions.within(begin + depth, at);
        origin += image.origin(which, at);
      }
      copy_elements<T, Lanes::kCount>(
          copies,
          [&](int i) {
            const Tap tap = from[i * Lanes::kStep];
            return Sender<T>{origin + tap.offset, image.inside(at, tap)};
          },
          [&](int i) { return tile + Tile::at(outer + i * Lanes::kStep, depth); });
    }
  }
};

template <class T>
struct TapSource {
  static constexpr Along kAlong = Along::depth;
  template <class Tile, int kThreads>
  using Loader = TapLoader<Tile, kThreads>;

  const T* data = nullptr;
  const Tap* taps = nullptr;
  Image image;
  Counter3 positions;

  template <class Tile, int kThreads>
  LAMINA_IN_KERNEL Loader<Tile, kThreads> loader(std::int64_t offset, int first, int) const {
    return {data + offset, taps + first, image, positions};
  }
};

// A[m, k] of the weight's gradient: channel m of the result's gradient, k counts images and positions.
template <class Tile, int kThreads>
struct ChannelLoader {
  using T = typename Tile::Element;
  using Lanes = DeepLanes<Tile, kThreads>;
  const T* data;
  int first, size, channel;
  std::int64_t per_image;
  Divisor positions;

  LAMINA_IN_KERNEL void fetch(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    const int outer = thread / Lanes::kRun, outers_left = size - first - outer;
#pragma unroll
    for (int run = 0; run < Tile::kDepth; run += Lanes::kRun) {
      const int depth = thread % Lanes::kRun + run;
      int which, position;
      positions.divmod(begin + depth, which, position);
      const T* const from = data + which * per_image + position + (first + outer) * std::int64_t{channel};
      copy_elements<T, Lanes::kCount>(
          copies,
          [&](int i) {
            return Sender<T>{from + i * Lanes::kStep * std::int64_t{channel},
                             i * Lanes::kStep < outers_left && begin + depth < end};
          },
          [&](int i) { return tile + Tile::at(outer + i * Lanes::kStep, depth); });
    }
  }
};

template <class T>
struct ChannelSource {
  static constexpr Along kAlong = Along::depth;
  template <class Tile, int kThreads>
  using Loader = ChannelLoader<Tile, kThreads>;

  const T* data = nullptr;
  int size = 0, channel = 0;  // channels; elements of one
  std::int64_t per_image = 0;
  Divisor positions;

  template <class Tile, int kThreads>
  LAMINA_IN_KERNEL Loader<Tile, kThreads> loader(std::int64_t offset, int first, int) const {
    return {data + offset, first, size, channel, per_image, positions};
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
