// Winograd's convolution, forward and data gradient, in one of two orders. Usually all weights are transformed first;
// then a block of tiles at a time is transformed, multiplied point by point with the weights and transformed back by
// one thread, so that the block's values never leave the second-level cache. Where the tiles are few, it is the weights
// that would: then all threads transform all tiles, and each thread takes a panel of output channels at a time. Weights
// that stay may be given as transformed before, panel by panel.
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
  const float* prepared = nullptr;  // transformed weights, or null
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
        v_tile_(padded_cols<float>(shape_.in_channels)) {
    const std::int64_t C = shape_.in_channels, K = shape_.out_channels, m_tile = padded_cols<float>(K);
    const std::int64_t fit = kBlockFloats / (kPoints * (v_tile_ + m_tile));
    block_count_ = ceil_div(tiles_, least(kMostTiles, most(kFewestTiles, fit)));
    const bool too_few = block_count_ * shape_.groups < team;
    by_panels_ = tiles_ <= kMostTiles && (too_few || (shape_.groups == 1 && tiles_ < K));
    if (by_panels_)
      block_count_ = 1;
    else if (shape_.groups == 1)
      block_count_ = ceil_div(block_count_, team) * team;
    blocks_ = Cut(tiles_, block_count_);
    const std::int64_t longest = ceil_div(tiles_, block_count_);
    m_tile_ = by_panels_ ? kPanel : m_tile;
    v_point_ = odd_lines(longest * v_tile_);
    m_point_ = odd_lines(longest * m_tile_);
    u_point_ = odd_lines(C * (by_panels_ || conv.prepared ? kPanel : m_tile));
    shared_ = by_panels_ ? v_point_ : conv.prepared ? 0 : shape_.groups * u_point_;
    own_ = m_point_ + (!by_panels_ ? v_point_ : conv.prepared ? 0 : u_point_);
    team_ = team;
  }

  // Of all panels, one after the other, those of a weight without groups.
  static std::int64_t prepared_floats(std::int64_t out_channels, std::int64_t in_channels) {
    return ceil_div(out_channels, kPanel) * kPoints * odd_lines(in_channels * kPanel);
  }
  // For a driver that has no weights prepared.
  void prepare(float* to) {
    u_point_ = odd_lines(shape_.in_channels * kPanel);
    parallel_for(panels_, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) transform_panel(0, i, to + i * kPoints * u_point_);
    });
  }

  std::int64_t memory() const { return kPoints * (shared_ + team_ * own_); }
  void use(float* memory) { memory_ = memory; }

  void work(int thread, int team) {
    float* const own = memory_ + kPoints * (shared_ + thread * own_);
    if (by_panels_) {
      for (std::int64_t group = 0; group < shape_.groups; ++group) {
        if (group > 0) barrier_wait(barrier_, team);
        spread(group, 0, tiles_, Channels(shape_.in_channels, thread, team), memory_);
        barrier_wait(barrier_, team);
        const Cut mine(panels_, team);
        for (std::int64_t i = mine.begin(thread); i < mine.begin(thread + 1); ++i) panel(group, i, own);
      }
    } else {
      if (!conv_.prepared) {
        const Cut mine(shape_.groups * panels_, team);
        for (std::int64_t i = mine.begin(thread); i < mine.begin(thread + 1); ++i)
          transform_panel(i / panels_, i % panels_, memory_ + weights(i / panels_, i % panels_));
        barrier_wait(barrier_, team);
      }
      for (std::int64_t i; (i = __atomic_fetch_add(&next_, 1, __ATOMIC_RELAXED)) < shape_.groups * block_count_;)
        block(i / block_count_, i % block_count_, own);
    }
  }

 private:
  // Enough tiles to read the weights seldom; no more than hide it.
  static constexpr std::int64_t kFewestTiles = 48 / kTileRows * kTileRows;
  static constexpr std::int64_t kMostTiles = 128 / kTileRows * kTileRows;

  struct Channels {
    std::int64_t begin, end;
    Channels(std::int64_t channels, int thread, int team) {
      const Cut cut(ceil_div(channels, kLanes), team);
      begin = cut.begin(thread) * kLanes;
      end = least(channels, cut.begin(thread + 1) * kLanes);
    }
  };

  // Where those of all panels lie.
  std::int64_t weights(std::int64_t group, std::int64_t panel) const {
    return conv_.prepared ? panel * kPoints * u_point_
                          : kPoints * group * u_point_ + panel * kPanel * shape_.in_channels;
  }

  void block(std::int64_t group, std::int64_t i, float* own) {
    const std::int64_t K = shape_.out_channels, begin = blocks_.begin(i), end = blocks_.begin(i + 1);
    const float* const u = conv_.prepared ? conv_.prepared : memory_;
    float* const v = own;
    float* const m = own + kPoints * v_point_;
    spread(group, begin, end, Channels(shape_.in_channels, 0, 1), v);
    for (std::int64_t point = 0; point < kPoints; ++point)
      for (std::int64_t panel = 0; panel < panels_; ++panel)
        multiply(end - begin, v + point * v_point_, u + weights(group, panel) + point * u_point_,
                 panel_width<float>(K, panel), m + point * m_point_ + panel * kPanel);
    gather(group, begin, end, 0, K, m);
  }

  void panel(std::int64_t group, std::int64_t panel, float* own) {
    const std::int64_t K = shape_.out_channels, first = panel * kPanel;
    const float* u = own;
    float* m = own;
    if (conv_.prepared) {
      u = conv_.prepared + weights(group, panel);
    } else {
      m += kPoints * u_point_;
      transform_panel(group, panel, own);
    }
    for (std::int64_t point = 0; point < kPoints; ++point)
      multiply(tiles_, memory_ + point * v_point_, u + point * u_point_, panel_width<float>(K, panel),
               m + point * m_point_);
    gather(group, 0, tiles_, first, least(K, first + kPanel), m);
  }

  // u[point][in channel][panel's output channels] = G w Gᵀ
  void transform_panel(std::int64_t group, std::int64_t panel, float* u) const {
    constexpr int kChannels = 16;  // input channels at a time
    alignas(64) float taps[kChannels * 9 * kPanel];
    const std::int64_t K = shape_.out_channels, C = shape_.in_channels, first = panel * kPanel;
    const int width = panel_width<float>(K, panel), lanes = static_cast<int>(least(width, K - first));
    const float* const from = conv_.weight + group * K * C * 9 + first * conv_.out_step;
    for (std::int64_t c0 = 0; c0 < C; c0 += kChannels) {
      const int channels = static_cast<int>(least(kChannels, C - c0));
      if (conv_.in_step == 9)
        pack(taps, width, from + c0 * 9, conv_.out_step, 1, lanes, lanes, channels * 9);
      else
        for (int c = 0; c < channels; ++c)
          pack(taps + c * 9 * width, width, from + (c0 + c) * conv_.in_step, conv_.out_step, 1, lanes, lanes, 9);
      for (int c = 0; c < channels; ++c, u += width)
        for (int lane = 0; lane < width; lane += kLanes)
          transform_filter(taps + c * 9 * width + lane, width, u + lane, u_point_);
    }
  }

  void transform_filter(const float* taps, int pitch, float* to, std::int64_t point) const {
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
      for (int j = 0; j < kTile; ++j) u[j].store(to + (i * kTile + j) * point);
    }
  }

  void spread(std::int64_t group, std::int64_t begin, std::int64_t end, Channels channels, float* v) const {
    Spread<F, OfInput<F>> spread({conv_.x, shape_, group, false}, shape_.pad_top, shape_.pad_left);
    grid_.for_each_run(begin, end, [&](const TileRun& run) {
      spread.run(run, channels.begin, channels.end, {v, v_point_, v_tile_});
    });
  }

  // For one point, m[tile][out channel] = Σ v[tile][in channel] u[in channel][out channel] over a panel.
  void multiply(std::int64_t tiles, const float* v, const float* u, int width, float* m) const {
    const std::int64_t row_panels = ceil_div(tiles, kTileRows);
    const Cut rows(tiles, row_panels);
    for (std::int64_t r = 0; r < row_panels; ++r) {
      const std::int64_t row = rows.begin(r);
      tile_kernel<float>(WalkA::rows, static_cast<int>(rows.begin(r + 1) - row), width / kLanes)(
          shape_.in_channels, v + row * v_tile_, v_tile_, u, width, m + row * m_tile_, m_tile_, false);
    }
  }

  void gather(std::int64_t group, std::int64_t begin, std::int64_t end, std::int64_t first, std::int64_t end_channel,
              const float* m) const {
    Gather<F> gather({conv_.y, shape_, group, true}, conv_.finish);
    grid_.for_each_run(begin, end, [&](const TileRun& run) {
      gather.run(run, first, end_channel, {m, m_point_, m_tile_});
    });
  }

  const WinogradConv& conv_;
  const WinogradShape& shape_;
  const TileGrid grid_;
  const std::int64_t tiles_, panels_;
  bool by_panels_;
  std::int64_t block_count_;
  Cut blocks_;
  const std::int64_t v_tile_;  // distances, in floats
  std::int64_t m_tile_, v_point_, m_point_, u_point_;
  std::int64_t shared_, own_;  // memory of all threads and of each, per point
  int team_;
  float* memory_ = nullptr;
  Barrier barrier_;
  std::int64_t next_ = 0;
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
