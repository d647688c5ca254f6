// Winograd's weight gradient: dU[point] = Σ over tiles (A ∂y Aᵀ) (Bᵀ x B), then dW = Gᵀ dU G.
//
// All threads work on one block of tiles: each transforms a share of its tiles, and after a barrier adds the block's
// products to its own share of dU. So every sum is made by one thread, block after block, and there is one dU only.
// Where all tiles together take less memory than dU, they are one block, and dU is made in parts that are transformed
// back in the cache.
#pragma once
#include "core/barrier.h"
#include "cpu/conv_winograd_tiles.h"
#include "cpu/gemm_blocked.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class F>
class WinogradWeight {
  using V = Vec<float>;
  static constexpr int kTile = F::kTile, kOut = F::kOut, kPoints = kTile * kTile;
  static constexpr int kPanel = kTileCols<float>;

 public:
  WinogradWeight(const WinogradShape& shape, const float* x, const float* dy, float* dweight, int team)
      : shape_(shape),
        x_(x),
        dy_(dy),
        dweight_(dweight),
        grid_{ceil_div(shape.out_height, kOut), ceil_div(shape.out_width, kOut)},
        tiles_(shape.batch * grid_.per_image()),
        at_once_(tiles_ * (shape.in_channels + shape.out_channels) <= shape.in_channels * shape.out_channels),
        block_tiles_(at_once_ ? tiles_ : least(tiles_, kBlockTiles)),
        x_tile_(odd_lines(shape.in_channels)),
        y_tile_(odd_lines(shape.out_channels)),
        x_point_(odd_lines(block_tiles_ * x_tile_)),
        y_point_(odd_lines(block_tiles_ * y_tile_)),
        u_row_(at_once_ ? kPartCols : padded_cols<float>(shape.in_channels)),
        u_point_(odd_lines((at_once_ ? kPartRows : shape.out_channels) * u_row_)),
        buffers_((at_once_ ? 1 : 2) * (x_point_ + y_point_)),
        u_copies_(at_once_ ? team : 1) {}

  std::int64_t memory() const { return kPoints * (buffers_ + u_copies_ * u_point_); }
  void use(float* memory) { memory_ = memory; }

  void work(int thread, int team) {
    for (std::int64_t group = 0; group < shape_.groups; ++group)
      at_once_ ? tiles_at_once(group, thread, team) : blocks(group, thread, team);
  }

 private:
  static constexpr std::int64_t kBlockTiles = 64;
  static constexpr std::int64_t kPartRows = ceil_div(24, kTileRows) * kTileRows;  // of a part of dU
  static constexpr std::int64_t kPartCols = 64 / kPanel * kPanel;

  void tiles_at_once(std::int64_t group, int thread, int team) {
    const std::int64_t C = shape_.in_channels, K = shape_.out_channels;
    float* const x = memory_;
    float* const y = x + kPoints * x_point_;
    float* const u = memory_ + kPoints * (buffers_ + thread * u_point_);
    if (group > 0) barrier_wait(barrier_, team);  // others read the last group's tiles
    spread(group, 0, tiles_, x, y, thread, team);
    barrier_wait(barrier_, team);
    const std::int64_t col_parts = ceil_div(C, kPartCols);
    const Cut mine(ceil_div(K, kPartRows) * col_parts, team);
    for (std::int64_t i = mine.begin(thread); i < mine.begin(thread + 1); ++i) {
      const std::int64_t row = i / col_parts * kPartRows, col = i % col_parts * kPartCols;
      const std::int64_t rows = least(kPartRows, K - row), cols = least(kPartCols, C - col);
      for (std::int64_t point = 0; point < kPoints; ++point)
        for (std::int64_t j = 0; j < cols; j += kPanel)
          multiply(tiles_, x + point * x_point_ + col + j, y + point * y_point_ + row, rows,
                   panel_width<float>(cols, j / kPanel), u + point * u_point_ + j, false);
      transform_back(group, row, rows, col, cols, u);
    }
  }

  void blocks(std::int64_t group, int thread, int team) {
    const std::int64_t C = shape_.in_channels, K = shape_.out_channels, col_panels = ceil_div(C, kPanel);
    float* const u = memory_ + kPoints * buffers_;
    const Cut panels(kPoints * col_panels, team), rows(K, team);
    std::int64_t step = 0;
    for (std::int64_t begin = 0; begin < tiles_; begin += block_tiles_, ++step) {
      // Two buffers in turn: a thread may fill the next one while others still read this.
      float* const x = memory_ + step % 2 * kPoints * (x_point_ + y_point_);
      float* const y = x + kPoints * x_point_;
      const std::int64_t tiles = least(block_tiles_, tiles_ - begin);
      spread(group, begin, tiles, x, y, thread, team);
      barrier_wait(barrier_, team);
      for (std::int64_t i = panels.begin(thread); i < panels.begin(thread + 1); ++i) {
        const std::int64_t point = i / col_panels, panel = i % col_panels, col = panel * kPanel;
        multiply(tiles, x + point * x_point_ + col, y + point * y_point_, K, panel_width<float>(C, panel),
                 u + point * u_point_ + col, begin > 0);
      }
    }
    barrier_wait(barrier_, team);
    const std::int64_t row = rows.begin(thread);
    transform_back(group, row, rows.begin(thread + 1) - row, 0, C, u + row * u_row_);
  }

  // A share of the tiles [begin, begin + tiles).
  void spread(std::int64_t group, std::int64_t begin, std::int64_t tiles, float* x, float* y, int thread,
              int team) const {
    Spread<F, OfInput<F>> of_x({x_, shape_, group, false}, shape_.pad_top, shape_.pad_left);
    Spread<F, OfGradient<F>> of_y({dy_, shape_, group, true}, 0, 0);
    const Cut cut(tiles, team);
    const std::int64_t first = cut.begin(thread), end = cut.begin(thread + 1);
    const Points<float> to_x{x + first * x_tile_, x_point_, x_tile_}, to_y{y + first * y_tile_, y_point_, y_tile_};
    grid_.for_each_run(begin + first, begin + end,
                       [&](const TileRun& run) { of_x.run(run, 0, shape_.in_channels, to_x); });
    grid_.for_each_run(begin + first, begin + end,
                       [&](const TileRun& run) { of_y.run(run, 0, shape_.out_channels, to_y); });
  }

  // For one point, u[out channel][in channel] = or += Σ y[tile][out channel] x[tile][in channel] over a panel of x.
  void multiply(std::int64_t tiles, const float* x, const float* y, std::int64_t rows, int width, float* u,
                bool accumulate) const {
    const std::int64_t row_panels = ceil_div(rows, kTileRows);
    const Cut cut(rows, row_panels);
    for (std::int64_t r = 0; r < row_panels; ++r) {
      const std::int64_t row = cut.begin(r);
      tile_kernel<float>(WalkA::columns, static_cast<int>(cut.begin(r + 1) - row), width / kLanes)(
          tiles, y + row, y_tile_, x, x_tile_, u + row * u_row_, u_row_, accumulate);
    }
  }

  void transform_back(std::int64_t group, std::int64_t row, std::int64_t rows, std::int64_t col, std::int64_t cols,
                      const float* u) const {
    float* const to = dweight_ + ((group * shape_.out_channels + row) * shape_.in_channels + col) * 9;
    for (std::int64_t k = 0; k < rows; ++k)
      for (std::int64_t c = 0; c < cols; c += kLanes)
        transform_filters(u + k * u_row_ + c, to + (k * shape_.in_channels + c) * 9,
                          static_cast<int>(least(kLanes, cols - c)));
  }

  // As many filters as there are lanes; `lanes` of them exist.
  void transform_filters(const float* u, float* to, int lanes) const {
    V half[3][kTile];  // Gᵀ dU, by columns
    for (int j = 0; j < kTile; ++j) {
      V column[kTile], taps[3];
      for (int i = 0; i < kTile; ++i) column[i] = V::load(u + (i * kTile + j) * u_point_);
      F::weight_turned(column, taps);
      for (int i = 0; i < 3; ++i) half[i][j] = taps[i];
    }
    alignas(64) float taps[9 * kLanes];
    for (int i = 0; i < 3; ++i) {
      V w[3];
      F::weight_turned(half[i], w);
      for (int j = 0; j < 3; ++j) w[j].store(taps + (i * 3 + j) * kLanes);
    }
    constexpr int kWhole = 9 / kLanes * kLanes;
    for (int tap = 0; tap < kWhole; tap += kLanes) {
      V filters[kLanes];
      load_transposed(taps + tap * kLanes, kLanes, filters);
      for (int lane = 0; lane < lanes; ++lane) filters[lane].store(to + lane * 9 + tap);
    }
    for (int lane = 0; lane < lanes; ++lane)
      for (int tap = kWhole; tap < 9; ++tap) to[lane * 9 + tap] = taps[tap * kLanes + lane];
  }

  const WinogradShape& shape_;
  const float *const x_, *const dy_;
  float* const dweight_;
  const TileGrid grid_;
  const std::int64_t tiles_;
  const bool at_once_;
  const std::int64_t block_tiles_;
  const std::int64_t x_tile_, y_tile_, x_point_, y_point_, u_row_, u_point_;  // distances, in floats
  const std::int64_t buffers_, u_copies_;                                     // of tiles, per point; of dU
  float* memory_ = nullptr;
  Barrier barrier_;
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
