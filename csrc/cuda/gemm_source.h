// Operands of a tiled product that lie in memory with two strides, and their way into shared memory.
#pragma once
#include "cuda/ptx.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// An operand's tile has an outer index (a row of A, a column of B) and a depth, over which the product sums. kAlong is
// the one along which neighbouring lanes copy.
enum class Along { outer, depth };

// ---- tiles in shared memory ----

// For tensor cores: 16-byte chunks along kChunksAlong, swizzled. Chunks along the outer index are turned when they are
// loaded, which only 16-bit elements can be.
template <class T, int kOuter_, int kDepth_, Along kChunksAlong_>
struct SwizzledTile {
  using Element = T;
  static constexpr int kOuter = kOuter_, kDepth = kDepth_, kChunk = 16 / sizeof(T), kElements = kOuter * kDepth;
  static constexpr Along kChunksAlong = kChunksAlong_;
  static constexpr int kRow = (kChunksAlong == Along::depth ? kDepth : kOuter) / kChunk;  // chunks in a row

  // First element of the chunk that holds (outer, depth).
  LAMINA_IN_KERNEL static int chunk_at(int outer, int depth) {
    return (kChunksAlong == Along::depth ? swizzled<kRow>(outer, depth / kChunk)
                                         : swizzled<kRow>(depth, outer / kChunk)) *
           kChunk;
  }
  LAMINA_IN_KERNEL static int at(int outer, int depth) {
    return chunk_at(outer, depth) + (kChunksAlong == Along::depth ? depth : outer) % kChunk;
  }
};

template <class Tile>
constexpr bool kPadded = false;
template <class T, int kOuter, int kDepth>
constexpr bool kPadded<PaddedTile<T, kOuter, kDepth>> = true;

LAMINA_IN_KERNEL int clamped(int value, int most) { return value < 0 ? 0 : value < most ? value : most; }

// A single element on its way: from where, if it exists; else it is a zero.
template <class T>
struct Sender {
  const T* from;
  bool exists;
};
// kCount of them, number i from sender(i) to to(i). What is too small for an asynchronous copy passes through
// registers, all of it read before the first is waited for.
template <class T, int kCount, class From, class To>
LAMINA_IN_KERNEL void copy_elements(AsyncCopies& copies, From sender, To to) {
  if constexpr (sizeof(T) >= 4) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const Sender<T> s = sender(i);
      copies.copy<sizeof(T)>(to(i), s.from, s.exists ? sizeof(T) : 0);
    }
  } else {
    T held[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const Sender<T> s = sender(i);
      held[i] = s.exists ? *s.from : T{};
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) *to(i) = held[i];
  }
}

// ---- element (outer, depth) at data[outer · outer_stride + depth · depth_stride] ----

template <class Tile, Along kAlong, int kThreads>
struct StridedLoader {
  using T = typename Tile::Element;
  static constexpr int kChunk = Tile::kChunk, kRun = 8;  // lanes along the depth of a padded tile

  const T* data;
  int first, size;  // of the outer index: where the tile begins, where the operand ends
  int outer_stride, depth_stride;
  bool chunks;  // may 16 bytes be copied at once along kAlong?

  LAMINA_IN_KERNEL const T* at(int outer, int depth) const {
    return data + static_cast<std::int64_t>(outer) * outer_stride + static_cast<std::int64_t>(depth) * depth_stride;
  }

  // Depths begin … begin + kDepth - 1, those from `end` on as zeros.
  LAMINA_IN_KERNEL void fetch(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    if constexpr (kPadded<Tile>)
      fetch_padded(copies, tile, thread, begin, end);
    else if constexpr (Tile::kChunksAlong != kAlong)
      fetch_words(copies, tile, thread, begin, end);
    else if (sizeof(T) == 2 || chunks)
      fetch_chunks(copies, tile, thread, begin, end);
    else
      fetch_words(copies, tile, thread, begin, end);
  }

  // A thread copies from places a fixed stride apart: one address and what is left of the operand from there on are all
  // that it keeps.
 private:
  LAMINA_IN_KERNEL void fetch_padded(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    if (kAlong == Along::outer) {
      if (chunks)
        fetch_lines<kChunk>(copies, tile, thread, begin, end);
      else
        fetch_lines<1>(copies, tile, thread, begin, end);
      return;
    }
    constexpr int kStep = kThreads / kRun, kCount = Tile::kOuter / kStep;
    static_assert(Tile::kOuter % kStep == 0 && Tile::kDepth % kRun == 0);
    const int outer = thread / kRun, depth = thread % kRun;
    const T* const from = at(first + outer, begin + depth);
    const int outers_left = size - first - outer, depths_left = end - begin - depth;
#pragma unroll
    for (int run = 0; run < Tile::kDepth; run += kRun)
#pragma unroll
      for (int i = 0; i < kCount; ++i)
        copies.copy<sizeof(T)>(tile + Tile::at(outer + i * kStep, depth + run),
                               from + i * kStep * std::int64_t{outer_stride} + run * std::int64_t{depth_stride},
                               i * kStep < outers_left && run < depths_left ? sizeof(T) : 0);
  }

  // Lines along the outer index, kWidth elements at once.
  template <int kWidth>
  LAMINA_IN_KERNEL void fetch_lines(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    constexpr int kRow = Tile::kOuter / kWidth, kStep = kThreads / kRow, kCount = Tile::kDepth / kStep;
    static_assert(kThreads % kRow == 0 && Tile::kDepth % kStep == 0);
    const int outer = thread % kRow * kWidth, depth = thread / kRow;
    const T* const from = at(first + outer, begin + depth);
    const int bytes = clamped(size - first - outer, kWidth) * int{sizeof(T)}, depths_left = end - begin - depth;
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      copies.copy<kWidth * sizeof(T)>(tile + Tile::at(outer, depth + i * kStep),
                                      from + i * kStep * std::int64_t{depth_stride},
                                      i * kStep < depths_left ? bytes : 0);
  }

  LAMINA_IN_KERNEL void fetch_chunks(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    constexpr bool kDeep = kAlong == Along::depth;
    constexpr int kRow = (kDeep ? Tile::kDepth : Tile::kOuter) / kChunk, kStep = kThreads / kRow;
    constexpr int kCount = (kDeep ? Tile::kOuter : Tile::kDepth) / kStep;
    static_assert(Tile::kChunksAlong == kAlong && kThreads % kRow == 0 && kCount > 0);
    const int outer = kDeep ? thread / kRow : thread % kRow * kChunk;
    const int depth = kDeep ? thread % kRow * kChunk : thread / kRow;
    const T* const from = at(first + outer, begin + depth);
    const int outers_left = size - first - outer, depths_left = end - begin - depth;
    const int valid = clamped(kDeep ? depths_left : outers_left, kChunk), lines = kDeep ? outers_left : depths_left;
    const std::int64_t step = kStep * std::int64_t{kDeep ? outer_stride : depth_stride};
    const int next = kDeep ? depth_stride : outer_stride;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      T* const to =
          tile + (kDeep ? Tile::chunk_at(outer + i * kStep, depth) : Tile::chunk_at(outer, depth + i * kStep));
      const int here = i * kStep < lines ? valid : 0;
      if (chunks)
        copies.copy<16>(to, from + i * step, here * int{sizeof(T)});
      else
        gather(to, from + i * step, next, here);
    }
  }
  // Elements of 2 bytes that nothing copies together.
  LAMINA_IN_KERNEL static void gather(T* to, const T* from, std::int64_t stride, int valid) {
    struct alignas(16) Chunk {
      T v[kChunk];
    } chunk;
#pragma unroll
    for (int j = 0; j < kChunk; ++j) chunk.v[j] = j < valid ? from[j * stride] : T{};
    *reinterpret_cast<Chunk*>(to) = chunk;
  }

  // Of 4 bytes, into chunks along the depth: lanes as 8 outer × 4 depths, or along the depth.
  LAMINA_IN_KERNEL void fetch_words(AsyncCopies& copies, T* tile, int thread, int begin, int end) const {
    if constexpr (sizeof(T) == 4) {
      constexpr bool kDeep = kAlong == Along::depth;
      constexpr int kDepths = kDeep ? Tile::kDepth : 4, kStep = kThreads / kDepths;
      static_assert(Tile::kOuter % kStep == 0);
      const int depth = kDeep ? thread % kDepths : thread / 8 % 4;
      const int outer = kDeep ? thread / kDepths : thread / 32 * 8 + thread % 8;
      const T* const from = at(first + outer, begin + depth);
      const int outers_left = size - first - outer, depths_left = end - begin - depth;
#pragma unroll
      for (int run = 0; run < Tile::kDepth; run += kDepths)
#pragma unroll
        for (int i = 0; i < Tile::kOuter / kStep; ++i)
          copies.copy<4>(tile + Tile::chunk_at(outer + i * kStep, depth + run) + depth % kChunk,
                         from + i * kStep * std::int64_t{outer_stride} + run * std::int64_t{depth_stride},
                         i * kStep < outers_left && run < depths_left ? 4 : 0);
    }
  }
};

template <class T, Along kAlong_>
struct StridedSource {
  static constexpr Along kAlong = kAlong_;
  template <class Tile, int kThreads>
  using Loader = StridedLoader<Tile, kAlong, kThreads>;

  const T* data = nullptr;
  int size = 0, outer_stride = 0, depth_stride = 0;
  bool chunks = false;

  template <class Tile, int kThreads>
  LAMINA_IN_KERNEL Loader<Tile, kThreads> loader(std::int64_t offset, int first, int) const {
    return {data + offset, first, size, outer_stride, depth_stride, chunks};
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
