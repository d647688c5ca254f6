// Winograd's convolution, forward and data gradient: a block of tiles at a time is transformed, multiplied point by
// point with the transformed weights and transformed back, so that its values never leave the second-level cache.
#pragma once
#include "core/barrier.h"
#include "cpu/conv_winograd_tiles.h"
#include "cpu/gemm_blocked.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct WinogradConv {
  WinogradShape shape;
  const float *x, *weight;
  float* y;
  std::int64_t out_step, in_step;  // in `weight`, between output channels of a group and between its input channels
  bool turned;                     // the taps are in reverse
  Finish<float> finish;
};

constexpr std::int64_t kBlockFloats = 640 * 1024 / 4;  // of a block of tiles, to stay in the second-level cache

template <class F>
class WinogradForward {
  using V = Vec<float>;
  static constexpr int kTile = F::kTile, kOut = F::kOut, kPoints = kTile * kTile;
  static constexpr int kPanel = kTileCols<float>;

 public:
  WinogradForward(const WinogradConv& conv, int team)
      : conv_(conv),
        shape_(conv.shape),
        grid_{ceil_div(shape_.out_height, kOut), ceil_div(shape_.out_width, kOut)},
        tiles_(shape_.batch * grid_.per_image()),
        panels_(ceil_div(shape_.out_channels, kPanel)),
        v_tile_(padded_cols<float>(shape_.in_channels)),
        m_tile_(padded_cols<float>(shape_.out_channels)),
        u_point_(odd_lines(shape_.in_channels * padded_cols<float>(shape_.out_channels))) {
    const std::int64_t fit = kBlockFloats / (kPoints * (v_tile_ + m_tile_));
    const std::int64_t longest = least(kMostTiles, most(kFewestTiles, fit));
    std::int64_t blocks = ceil_div(tiles_, longest);
    together_ = team > 1 && blocks * shape_.groups < team;
    if (!together_ && shape_.groups == 1) blocks = ceil_div(blocks, team) * team;
    blocks_ = Cut(tiles_, blocks);
    block_count_ = blocks;
    const std::int64_t longest_block = ceil_div(tiles_, blocks);
    v_point_ = odd_lines(longest_block * v_tile_);
    m_point_ = odd_lines(longest_block * m_tile_);
    buffers_ = together_ ? 1 : team;
  }

  std::int64_t memory() const { return kPoints * (shape_.groups * u_point_ + buffers_ * (v_point_ + m_point_)); }
  void use(float* memory) { memory_ = memory; }

  void work(int thread, int team) {
    transform_weights(thread, team);
    barrier_wait(barrier_, team);
    const std::int64_t pieces = shape_.groups * block_count_;
    if (together_) {
      for (std::int64_t i = 0; i < pieces; ++i) block(i, buffer(0), thread, team);
    } else {
      for (std::int64_t i; (i = __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED)) < pieces;)
        block(i, buffer(thread), 0, 1);
    }
  }

 private:
  // Enough tiles to read the weights seldom; no more than hide it.
  static constexpr std::int64_t kFewestTiles = 48 / kTileRows * kTileRows;
  static constexpr std::int64_t kMostTiles = 128 / kTileRows * kTileRows;

  float* weights(std::int64_t group) const { return memory_ + kPoints * group * u_point_; }
  float* buffer(int i) const { return weights(shape_.groups) + kPoints * i * (v_point_ + m_point_); }

  // U[point][panel][in channel][panel's output channels] = G w Gᵀ
  void transform_weights(int thread, int team) {
    const Cut cut(shape_.groups * panels_, team);
    for (std::int64_t i = cut.begin(thread); i < cut.begin(thread + 1); ++i) transform_panel(i / panels_, i % panels_);
  }

  void transform_panel(std::int64_t group, std::int64_t panel) {
    constexpr int kChannels = 16;  // input channels at a time
    alignas(64) float taps[kChannels * 9 * kPanel];
    const std::int64_t K = shape_.out_channels, C = shape_.in_channels, first = panel * kPanel;
    const int width = panel_width<float>(K, panel), lanes = static_cast<int>(least(width, K - first));
    const float* const from = conv_.weight + group * K * C * 9 + first * conv_.out_step;
    float* to = weights(group) + panel * kPanel * C;
    for (std::int64_t c0 = 0; c0 < C; c0 += kChannels) {
      const int channels = static_cast<int>(least(kChannels, C - c0));
      if (conv_.in_step == 9)
        pack(taps, width, from + c0 * 9, conv_.out_step, 1, lanes, lanes, channels * 9);
      else
        for (int c = 0; c < channels; ++c)
          pack(taps + c * 9 * width, width, from + (c0 + c) * conv_.in_step, conv_.out_step, 1, lanes, lanes, 9);
      for (int c = 0; c < channels; ++c, to += width)
        for (int lane = 0; lane < width; lane += kLanes)
          transform_filter(taps + c * 9 * width + lane, width, to + lane);
    }
  }

  void transform_filter(const float* taps, int pitch, float* to) const {
    V half[3][kTile];  // G w, by columns
    for (int j = 0; j < 3; ++j) {
      V w[3];
      for (int i = 0; i < 3; ++i) w[i] = V::load(taps + (conv_.turned ? 8 - i * 3 - j : i * 3 + j) * pitch);
      F::weight(w, half[j]);
    }
    for (int i = 0; i < kTile; ++i) {
      const V w[3] = {half[0][i], half[1][i], half[2][i]};
      V u[kTile];
      F::weight(w, u);
      for (int j = 0; j < kTile; ++j) u[j].store(to + (i * kTile + j) * u_point_);
    }
  }

  void block(std::int64_t piece, float* memory, int thread, int team) {
    const std::int64_t group = piece / block_count_, i = piece % block_count_;
    const std::int64_t begin = blocks_.begin(i), end = blocks_.begin(i + 1);
    float* const v = memory;
    float* const m = memory + kPoints * v_point_;
    spread(group, begin, end, v, thread, team);
    if (team > 1) barrier_wait(barrier_, team);
    multiply(group, end - begin, v, m, thread, team);
    if (team > 1) barrier_wait(barrier_, team);
    gather(group, begin, end, m, thread, team);
  }

  struct Channels {
    std::int64_t begin, end;
    Channels(std::int64_t channels, int thread, int team) {
      const Cut cut(ceil_div(channels, kLanes), team);
      begin = cut.begin(thread) * kLanes;
      end = least(channels, cut.begin(thread + 1) * kLanes);
    }
  };

  void spread(std::int64_t group, std::int64_t begin, std::int64_t end, float* v, int thread, int team) const {
    const Channels mine(shape_.in_channels, thread, team);
    Spread<F, OfInput<F>> spread({conv_.x, shape_, group, false}, shape_.pad_top, shape_.pad_left);
    grid_.for_each_run(begin, end, [&](const TileRun& run) {
      spread.run(run, mine.begin, mine.end, {v, v_point_, v_tile_});
    });
  }

  // M[point][tile][out channel] = Σ V[point][tile][in channel] U[point][in channel][out channel]
  void multiply(std::int64_t group, std::int64_t tiles, const float* v, float* m, int thread, int team) const {
    const std::int64_t C = shape_.in_channels, K = shape_.out_channels;
    const std::int64_t row_panels = ceil_div(tiles, kTileRows);
    const Cut rows(tiles, row_panels), mine(kPoints * panels_, team);
    for (std::int64_t i = mine.begin(thread); i < mine.begin(thread + 1); ++i) {
      const std::int64_t point = i / panels_, panel = i % panels_;
      const int width = panel_width<float>(K, panel);
      const float* const u = weights(group) + point * u_point_ + panel * kPanel * C;
      for (std::int64_t r = 0; r < row_panels; ++r) {
        const std::int64_t row = rows.begin(r);
        tile_kernel<float>(WalkA::rows, static_cast<int>(rows.begin(r + 1) - row), width / kLanes)(
            C, v + point * v_point_ + row * v_tile_, v_tile_, u, width,
            m + point * m_point_ + row * m_tile_ + panel * kPanel, m_tile_, false);
      }
    }
  }

  void gather(std::int64_t group, std::int64_t begin, std::int64_t end, const float* m, int thread, int team) const {
    const Channels mine(shape_.out_channels, thread, team);
    Gather<F> gather({conv_.y, shape_, group, true}, conv_.finish);
    grid_.for_each_run(begin, end, [&](const TileRun& run) {
      gather.run(run, mine.begin, mine.end, {m, m_point_, m_tile_});
    });
  }

  const WinogradConv& conv_;
  const WinogradShape& shape_;
  const TileGrid grid_;
  const std::int64_t tiles_, panels_;
  const std::int64_t v_tile_, m_tile_, u_point_;  // distances, in floats
  std::int64_t v_point_, m_point_;
  Cut blocks_;
  std::int64_t block_count_;
  bool together_;  // too few blocks to go round: all threads share each of them
  int buffers_;
  float* memory_ = nullptr;
  Barrier barrier_;
  std::int64_t next_ = 0;
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
