// Short rows are worked on side by side: a tile of them, rows and columns exchanged, has one row to a lane.
#pragma once
#include "simd/transpose.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kTileRows = 64;           // rows that go into a tile, where they are columns
constexpr std::int64_t kShortRow = 64;  // elements of a row at most
constexpr std::int64_t kTile = kTileRows * kShortRow;

// tile[j · kTileRows + i] = x[i · stride + j] for i < rows, j < n. `readable` elements are there from x on.
template <class T>
void turn_into_tile(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, std::int64_t readable,
                    T* tile) {
  std::int64_t i = 0;
  if constexpr (Real<T>) {
    constexpr int W = Vec<T>::width;
    const std::int64_t reach = n < W ? W : n;
    for (; i + W <= rows && (i + W - 1) * stride + reach <= readable; i += W)
      for (std::int64_t j = 0; j < n; j += W) {
        const std::int64_t at = j + W <= n ? j : reach - W;  // the last block overlaps the one before
        Vec<T> columns[W];
        load_transposed(x + i * stride + at, stride, columns);
#pragma GCC unroll 16
        for (int k = 0; k < W; ++k)
          if (at + k < n) columns[k].store(tile + (at + k) * kTileRows + i);
      }
  }
  for (; i < rows; ++i)
    for (std::int64_t j = 0; j < n; ++j) tile[j * kTileRows + i] = x[i * stride + j];
}

// Back again: x[i · n + j] = tile[j · kTileRows + i].
template <class T>
void turn_from_tile(const T* tile, std::int64_t rows, std::int64_t n, T* x) {
  constexpr int W = Vec<T>::width;
  const std::int64_t reach = n < W ? W : n;
  std::int64_t i = 0;
  for (; i + W <= rows; i += W)
    for (std::int64_t j = 0; j < n; j += W) {
      const std::int64_t at = j + W <= n ? j : reach - W;
      Vec<T> out[W];
      load_transposed(tile + at * kTileRows + i, kTileRows, out);
#pragma GCC unroll 16
      for (int k = 0; k < W; ++k)
        n < W ? out[k].store(x + (i + k) * n, static_cast<int>(n)) : out[k].store(x + (i + k) * n + at);
    }
  for (; i < rows; ++i)
    for (std::int64_t j = 0; j < n; ++j) x[i * n + j] = tile[j * kTileRows + i];
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
