// Which tile of C, and which part of the sum, a block works on.
#pragma once
#include "cuda/divide.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE std::int64_t tiles_in(std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile; }

// Blocks that run together work on a bundle of tiles about as tall as wide, so that the panels of A and B that they
// share stay in L2: bundles of kTall rows of tiles, walked column by column.
struct TileOrder {
  static constexpr int kTall = 8;
  int rows = 1;
  Divisor bundle, tall, last;  // tiles of a whole bundle; rows of one; rows of the last one

  TileOrder() = default;
  TileOrder(std::int64_t rows_, std::int64_t cols)
      : rows(static_cast<int>(rows_)), bundle(kTall * cols), tall(kTall), last(rows_ % kTall ? rows_ % kTall : kTall) {}

  LAMINA_INLINE void at(int index, int& row, int& col) const {
    int which, within;
    bundle.divmod(index, which, within);
    const int first = which * kTall;
    (rows - first < kTall ? last : tall).divmod(within, col, row);
    row += first;
  }
};

// A sum over k cut into parts of equal length, a multiple of the tile's depth; the last may be shorter. It depends on
// the shape alone, never on the device: the same bits everywhere.
struct SplitDepth {
  std::int64_t parts = 1, length = 0;

  static constexpr std::int64_t kBlocksWanted = 264;  // two for each multiprocessor of an H100
  static constexpr std::int64_t kMostParts = 128, kShortest = 256;

  // `tiles`: blocks that there are without cutting; `most`: parts that there is memory for.
  static SplitDepth of(std::int64_t k, std::int64_t depth, std::int64_t tiles, std::int64_t most = kMostParts) {
    std::int64_t parts = tiles > 0 ? kBlocksWanted / tiles : 1;
    if (parts > k / kShortest) parts = k / kShortest;
    if (parts > most) parts = most;
    if (parts > kMostParts) parts = kMostParts;
    if (parts < 1) parts = 1;
    SplitDepth s;
    s.length = tiles_in(tiles_in(k, parts), depth) * depth;
    s.parts = k > 0 ? tiles_in(k, s.length) : 1;
    return s;
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
