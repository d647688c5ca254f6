// The inner product of tiles on the tensor cores (mma.sync): bfloat16, float16 and, where it is allowed, TF32; sums in
// float32.
#pragma once
#include "cuda/gemm_source.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// A tile of kRows × kCols sums by kWarpRows × kWarpCols warps, in steps of kDepth elements.
template <class T_, int kRows_, int kCols_, int kDepth_, int kWarpRows, int kWarpCols, int kStages_, int kMinBlocks_>
struct MmaCore {
  using T = T_;
  using Compute = float;
  static constexpr int kRows = kRows_, kCols = kCols_, kDepth = kDepth_, kStages = kStages_, kMinBlocks = kMinBlocks_;
  static constexpr int kThreads = 32 * kWarpRows * kWarpCols;
  static constexpr int kRowTiles = kRows / kWarpRows / 16, kColTiles = kCols / kWarpCols / 8;  // with each warp
  static constexpr int kWords = 32 / sizeof(T);  // elements along k of one mma: 8 words of 4 bytes
  static_assert(kColTiles % 2 == 0);

  // Elements of 4 bytes cannot be turned on the way to registers: their chunks always lie along k.
  template <class Source>
  using TileA = SwizzledTile<T, kRows, kDepth, sizeof(T) == 2 ? Source::kAlong : Along::depth>;
  template <class Source>
  using TileB = SwizzledTile<T, kCols, kDepth, sizeof(T) == 2 ? Source::kAlong : Along::depth>;

  float sums[kRowTiles][kColTiles][4] = {};
  int row, col;  // of this warp

  LAMINA_IN_KERNEL explicit MmaCore(const Thread& t)
      : row(t.thread() / 32 / kWarpCols * (kRows / kWarpRows)),
        col(t.thread() / 32 % kWarpCols * (kCols / kWarpCols)) {}

  template <class SourceA, class SourceB>
  LAMINA_IN_KERNEL void multiply(const Thread& t, const T* a, const T* b) {
#pragma unroll
    for (int k = 0; k < kDepth; k += kWords) {
      std::uint32_t x[kRowTiles][4], y[kColTiles / 2][4];
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i) load_a<TileA<SourceA>>(t, x[i], a, row + 16 * i, k);
#pragma unroll
      for (int j = 0; j < kColTiles / 2; ++j) load_b<TileB<SourceB>>(t, y[j], b, col + 16 * j, k);
#pragma unroll
      for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
        for (int j = 0; j < kColTiles; ++j)
          multiply_fragments<T>(t, sums[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
    }
  }

  static constexpr int kPitch = kCols + 8;
  LAMINA_IN_KERNEL void store(const Thread& t, float* tile) const {
    struct alignas(8) Pair {
      float v[2];
    };
#pragma unroll
    for (int i = 0; i < kRowTiles; ++i)
#pragma unroll
      for (int j = 0; j < kColTiles; ++j)
#pragma unroll
        for (int r = 0; r < 4; r += 2) {
          const int m = row + 16 * i + MmaLanes::c_row(t.lane(), r), n = col + 8 * j + MmaLanes::c_col(t.lane(), r);
          *reinterpret_cast<Pair*>(tile + m * kPitch + n) = {{sums[i][j][r], sums[i][j][r + 1]}};
        }
  }

 private:
  static constexpr int kChunk = 16 / sizeof(T);

  template <class Tile>
  LAMINA_IN_KERNEL static void load_a(const Thread& t, std::uint32_t (&r)[4], const T* tile, int m, int k) {
    if constexpr (Tile::kChunksAlong == Along::depth)
      load_matrices<false>(
          t, r, tile + Tile::chunk_at(m + LdmatrixLanes::row(t.lane()), k + kChunk * LdmatrixLanes::chunk(t.lane())));
    else  // matrices of 8 depths × 8 rows of A, to be turned
      load_matrices<true>(t, r, tile + Tile::chunk_at(m + t.lane() / 8 % 2 * 8, k + t.lane() / 16 * 8 + t.lane() % 8));
    round(r);
  }
  // Two tiles of 8 columns: registers 0, 1 and 2, 3.
  template <class Tile>
  LAMINA_IN_KERNEL static void load_b(const Thread& t, std::uint32_t (&r)[4], const T* tile, int n, int k) {
    if constexpr (Tile::kChunksAlong == Along::depth)
      load_matrices<false>(
          t, r,
          tile + Tile::chunk_at(n + LdmatrixLanes::b_row(t.lane()), k + kChunk * LdmatrixLanes::b_chunk(t.lane())));
    else
      load_matrices<true>(t, r, tile + Tile::chunk_at(n + t.lane() / 16 * 8, k + t.lane() % 16));
    round(r);
  }
  LAMINA_IN_KERNEL static void round(std::uint32_t (&r)[4]) {
    if constexpr (sizeof(T) == 4) {
#pragma unroll
      for (std::uint32_t& word : r) word = to_tf32(word);
    }
  }
};

template <class T>
using HalfTile = MmaCore<T, 128, 128, 32, 2, 4, 4, 2>;
template <class T>
using HalfSmallTile = MmaCore<T, 64, 64, 32, 2, 2, 4, 4>;
template <class T>
using HalfFlatTile = MmaCore<T, 32, 128, 32, 1, 4, 4, 3>;
template <class T>
using HalfWideTile = MmaCore<T, 128, 128, 32, 2, 4, 4, 1>;  // with registers for what a convolution reads ahead
using Tf32Tile = MmaCore<float, 128, 128, 16, 2, 4, 4, 1>;
using Tf32SmallTile = MmaCore<float, 64, 64, 16, 2, 2, 4, 4>;
using Tf32FlatTile = MmaCore<float, 32, 128, 16, 1, 4, 4, 4>;

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
