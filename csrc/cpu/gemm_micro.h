// The heart of every matrix product: a tile of C held in registers while k runs.
#pragma once
#include <cstdint>

#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kTileRows = kGemmTileRows;
constexpr int kTileVecs = kGemmTileVecs;
template <class T>
constexpr int kTileCols = kTileVecs* Vec<T>::width;

// How A lies in memory: the R elements that meet one row of B side by side (packed panels, transposed matrices), or
// every row of A contiguous. The other stride is free.
enum class WalkA { columns, rows };

// C[R, V vectors] = or += A[R, k] B[k, V vectors]. B and C have contiguous rows of V whole vectors.
template <class T>
using TileKernel = void (*)(std::int64_t k, const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride, T* c,
                            std::int64_t c_stride, bool accumulate);

template <class T, int R, int V>
LAMINA_INLINE void clear(Vec<T> (&sums)[R][V]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sums[r][v] = Vec<T>(T(0));
}
template <class T, int R, int V>
LAMINA_INLINE void write_tile(const Vec<T> (&sums)[R][V], T* c, std::int64_t c_stride, bool accumulate) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      T* to = c + r * c_stride + v * Vec<T>::width;
      (accumulate ? Vec<T>::load(to) + sums[r][v] : sums[r][v]).store(to);
    }
}

constexpr int kPrefetchSteps = 8;  // rows of B ahead, enough to cover the second-level cache's latency

template <class T, int R, int V, WalkA walk>
void tile(std::int64_t k, const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride, T* c,
          std::int64_t c_stride, bool accumulate) {
  constexpr int W = Vec<T>::width;
  Vec<T> sums[R][V];
  clear(sums);

  // Rows are reached by fours from a base each, with two index registers: one address a row would not fit the
  // registers.
  const T* base[(R + 3) / 4];
#pragma GCC unroll 4
  for (int g = 0; g < (R + 3) / 4; ++g) base[g] = a + 4 * g * (walk == WalkA::rows ? a_stride : 1);
  const std::int64_t offset[4] = {0, a_stride, 2 * a_stride, 3 * a_stride};

  // C is met after the loop, from rows that lie too far apart for the hardware to foresee.
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      if (v * W * sizeof(T) % 64 == 0) __builtin_prefetch(c + r * c_stride + v * W, 1);

  for (std::int64_t i = 0; i < k; ++i) {
    Vec<T> row[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      row[v] = Vec<T>::load(b + v * W);
      if (v * W * sizeof(T) % 64 == 0) __builtin_prefetch(b + kPrefetchSteps * b_stride + v * W);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec<T> x(walk == WalkA::columns ? a[r] : base[r / 4][offset[r % 4]]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][v] = fma(x, row[v], sums[r][v]);
    }
    if constexpr (walk == WalkA::columns)
      a += a_stride;
    else
#pragma GCC unroll 4
      for (const T*& p : base) ++p;
    b += b_stride;
  }

  write_tile(sums, c, c_stride, accumulate);
}

template <class T>
struct TileKernels {
  TileKernel<T> at[2][kTileRows][kTileVecs];
};

template <class T, int R = kTileRows, int V = kTileVecs>
constexpr void list_kernels(TileKernels<T>& list) {
  list.at[static_cast<int>(WalkA::columns)][R - 1][V - 1] = tile<T, R, V, WalkA::columns>;
  list.at[static_cast<int>(WalkA::rows)][R - 1][V - 1] = tile<T, R, V, WalkA::rows>;
  if constexpr (V > 1)
    list_kernels<T, R, V - 1>(list);
  else if constexpr (R > 1)
    list_kernels<T, R - 1, kTileVecs>(list);
}

template <class T>
constexpr TileKernels<T> all_kernels() {
  TileKernels<T> list{};
  list_kernels(list);
  return list;
}

template <class T>
constexpr TileKernels<T> kTileKernels = all_kernels<T>();

template <class T>
TileKernel<T> tile_kernel(WalkA walk, int rows, int vecs) {
  return kTileKernels<T>.at[static_cast<int>(walk)][rows - 1][vecs - 1];
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
