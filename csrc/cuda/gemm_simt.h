// The inner product of tiles on the scalar units: float32 to the last bit of its own arithmetic, and float64.
#pragma once
#include "cuda/gemm_source.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// A tile of kRows × kCols sums, kThreadRows × kThreadCols of them with each thread, in steps of kDepth.
template <class T_, int kRows_, int kCols_, int kDepth_, int kThreadRows, int kThreadCols, int kStages_,
          int kMinBlocks_>
struct SimtCore {
  using T = T_;
  using Compute = T_;
  static constexpr int kRows = kRows_, kCols = kCols_, kDepth = kDepth_, kStages = kStages_, kMinBlocks = kMinBlocks_;
  static constexpr int kGridRows = kRows / kThreadRows, kGridCols = kCols / kThreadCols;
  static constexpr int kThreads = kGridRows * kGridCols, kChunk = 16 / sizeof(T);
  template <class Source>
  using TileA = PaddedTile<T, kRows, kDepth>;
  template <class Source>
  using TileB = PaddedTile<T, kCols, kDepth>;

  using Grid = ThreadGrid<kGridRows, kGridCols>;
  struct alignas(16) Chunk {
    T v[kChunk];
  };

  T sums[kThreadRows][kThreadCols] = {};
  int row, col;  // of this thread's first chunk

  LAMINA_IN_KERNEL explicit SimtCore(const Thread& t)
      : row(Grid::row(t.thread()) * kChunk), col(Grid::col(t.thread()) * kChunk) {}

  // The row of the tile that this thread's row i is: its chunks are spread evenly.
  LAMINA_IN_KERNEL int row_of(int i) const { return i / kChunk * (kGridRows * kChunk) + row + i % kChunk; }
  LAMINA_IN_KERNEL int col_of(int j) const { return j / kChunk * (kGridCols * kChunk) + col + j % kChunk; }

  template <class SourceA, class SourceB>
  LAMINA_IN_KERNEL void multiply(const Thread&, const T* a, const T* b) {
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
      T x[kThreadRows], y[kThreadCols];
#pragma unroll
      for (int i = 0; i < kThreadRows; i += kChunk) load(x + i, a + PaddedTile<T, kRows, kDepth>::at(row_of(i), k));
#pragma unroll
      for (int j = 0; j < kThreadCols; j += kChunk) load(y + j, b + PaddedTile<T, kCols, kDepth>::at(col_of(j), k));
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
        for (int j = 0; j < kThreadCols; ++j) sums[i][j] = fused(x[i], y[j], sums[i][j]);
    }
  }

  static constexpr int kPitch = kCols + kChunk;  // of the finished tile in shared memory
  LAMINA_IN_KERNEL void store(const Thread&, Compute* tile) const {
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i)
#pragma unroll
      for (int j = 0; j < kThreadCols; j += kChunk) {
        Chunk chunk;
#pragma unroll
        for (int v = 0; v < kChunk; ++v) chunk.v[v] = sums[i][j + v];
        *reinterpret_cast<Chunk*>(tile + row_of(i) * kPitch + col_of(j)) = chunk;
      }
  }

 private:
  LAMINA_IN_KERNEL static void load(T* to, const T* from) {
    const Chunk chunk = *reinterpret_cast<const Chunk*>(from);
#pragma unroll
    for (int v = 0; v < kChunk; ++v) to[v] = chunk.v[v];
  }
};

using FloatTile = SimtCore<float, 128, 128, 16, 8, 8, 3, 2>;
using FloatSmallTile = SimtCore<float, 64, 64, 16, 8, 4, 4, 4>;
using FloatThinTile = SimtCore<float, 128, 32, 16, 8, 4, 4, 4>;
using FloatFlatTile = SimtCore<float, 32, 128, 16, 8, 4, 4, 4>;
using DoubleTile = SimtCore<double, 64, 64, 8, 4, 4, 4, 2>;

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
