// The direct way with channels of the result in the lanes, for lines so short that columns would leave lanes idle: a
// tile is some neighbouring columns by one or two vectors of channels. What comes out pixel by pixel is pooled, if it
// is, and turned to planes in the first-level cache.
#pragma once
#include "core/scratch.h"
#include "cpu/conv_gather.h"
#include "cpu/conv_interleaved.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// to[column][channel] = Σ weights[k][channel] · x[offsets[k] + column]: P columns, N vectors of channels.
using ChannelTile = void (*)(std::int64_t depth, const float* weights, const std::int64_t* offsets, const float* x,
                             float* to);

template <int P, int N>
void channel_tile(std::int64_t depth, const float* weights, const std::int64_t* offsets, const float* x, float* to) {
  using V = Vec<float>;
  V sums[P][N];
#pragma GCC unroll 8
  for (int j = 0; j < P; ++j)
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) sums[j][v] = V(0.0f);
  for (std::int64_t k = 0; k < depth; ++k, weights += N * V::width) {
    const float* const seen = x + offsets[k];
    V factor[N];
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) factor[v] = V::load(weights + v * V::width);
#pragma GCC unroll 8
    for (int j = 0; j < P; ++j) {
      const V column(seen[j]);
#pragma GCC unroll 2
      for (int v = 0; v < N; ++v) sums[j][v] = fma(column, factor[v], sums[j][v]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < P; ++j)
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) sums[j][v].store(to + (j * N + v) * V::width);
}

// By vectors and columns.
constexpr int most_columns(int vectors) { return vectors == 1 ? 8 : 6; }
constexpr ChannelTile kChannelTiles[2][8] = {
    {channel_tile<1, 1>, channel_tile<2, 1>, channel_tile<3, 1>, channel_tile<4, 1>, channel_tile<5, 1>,
     channel_tile<6, 1>, channel_tile<7, 1>, channel_tile<8, 1>},
    {channel_tile<1, 2>, channel_tile<2, 2>, channel_tile<3, 2>, channel_tile<4, 2>, channel_tile<5, 2>,
     channel_tile<6, 2>, nullptr, nullptr}};

class DirectChannels {
  using V = Vec<float>;
  static constexpr int W = V::width;
  static constexpr std::int64_t kMostSource = 1 << 15;  // of an image, in elements
  static constexpr std::int64_t kPixels = 128;          // that wait to be turned, or a line, or two

 public:
  // One group in the plane, whose result fills whole lines.
  static bool takes(const Gather<float>& g) {
    const Axis(&axis)[kConvDims] = g.grid.axis;
    for (const Axis& a : axis)
      if (a.out_step != 1 || a.out_first != 0 || a.count + (g.pooling.on ? 1 : 0) < a.result) return false;
    if (g.groups != 1 || axis[0].count != 1 || axis[0].taps != 1 || g.grid.columns() == 0 || W == 1) return false;
    const auto share = [](std::int64_t n) { return static_cast<double>(n) / static_cast<double>(ceil_div(n, W) * W); };
    return share(g.rows) > 1.2 * share(axis[2].count) && g.channels * whole_patch(g.grid).size <= kMostSource;
  }

  explicit DirectChannels(const Gather<float>& g)
      : g_(g),
        patch_(whole_patch(g.grid)),
        depth_(g.channels * g.grid.taps()),
        vectors_(ceil_div(g.rows, W)),
        height_(g.grid.axis[1].count),
        width_(g.grid.axis[2].count),
        lines_(least(height_, most(1, kPixels / width_ / 2) * 2)),
        tiles_(ceil_div(width_, most_columns(2))),
        columns_(width_, tiles_) {}

  void run() {
    const double flops = 2.0 * static_cast<double>(g_.batch * g_.rows * depth_) * static_cast<double>(height_ * width_);
    const int team = team_for(flops, g_.batch);
    const std::int64_t weights_size = round(vectors_ * W * depth_), offsets_size = round(2 * depth_),
                       patch_size = round(g_.channels * patch_.size + W),
                       pixels_size = round((lines_ * width_ + W) * 2 * W), own = patch_size + 2 * pixels_size;
    float* const weights =
        static_cast<float*>(scratch(Scratch::conv, (weights_size + offsets_size + own * team) * sizeof(float)));
    std::int64_t* const offsets = reinterpret_cast<std::int64_t*>(weights + weights_size);
    float* const memory = weights + weights_size + offsets_size;
    patch_.put_taps(g_.grid, g_.grid, g_.channels, patch_.size, offsets);
    pack_weights(weights);
    zero_spilling(memory, own * team);
    share_out(team, g_.batch, [&](int thread, std::int64_t image) {
      float* const patch = memory + thread * own;
      convolve(image, weights, offsets, patch, patch + patch_size, patch + patch_size + pixels_size);
    });
  }

 private:
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }
  static Patch whole_patch(const Grid& grid) { return Patch(grid, {1, grid.axis[1].count, grid.axis[2].count}); }
  std::int64_t lanes_of(std::int64_t v) const { return least(2, vectors_ - v) * W; }  // of the panel at vector v

  // to[panel][channel of the source, tap][channel of the result]
  void pack_weights(float* to) const {
    const Axis &b = g_.grid.axis[1], &c = g_.grid.axis[2];
    const std::int64_t taps = g_.grid.taps();
    for (std::int64_t v = 0; v < vectors_; ++v) {
      const std::int64_t pitch = lanes_of(v / 2 * 2);
      float* const panel = to + v / 2 * 2 * W * depth_ + v % 2 * W;
      const float* const from = g_.weight + v * W * g_.layout.row;
      const int rows = static_cast<int>(least(W, g_.rows - v * W));
      if (g_.weights_lie_in_order) {
        interleave_line(panel, pitch, from, g_.layout.row, rows, depth_);
        continue;
      }
      for (std::int64_t k = 0; k < depth_; ++k) {
        const std::int64_t tap = k % taps;
        const float* const w =
            from + k / taps * g_.layout.channel + g_.layout.tap(g_.grid, 0, tap / c.taps % b.taps, tap % c.taps);
        for (int r = 0; r < W; ++r) panel[k * pitch + r] = r < rows ? w[r * g_.layout.row] : 0.0f;
      }
    }
  }

  void convolve(std::int64_t image, const float* weights, const std::int64_t* offsets, float* patch, float* pixels,
                float* positions) const {
    const std::int64_t source = g_.grid.source(), plane = g_.pooling.plane(g_.grid);
    for (std::int64_t c = 0; c < g_.channels; ++c)
      fill_patch(patch + c * patch_.size, g_.source + (image * g_.channels + c) * source, g_.grid, patch_, {0, 0, 0},
                 true);
    for (std::int64_t v = 0; v < vectors_; v += 2) {
      const std::int64_t lanes = lanes_of(v), channel = v * W;
      for (std::int64_t y = 0; y < height_; y += lines_) {
        std::int64_t lines = least(lines_, height_ - y), n = lines * width_, first = y * width_;
        sum_lines(y, lines, weights + channel * depth_, lanes, offsets, patch, pixels);
        if (g_.pooling.on) {
          g_.pooling.positions ? pool_lines<true>(lines / 2, channel, lanes, pixels, positions)
                               : pool_lines<false>(lines / 2, channel, lanes, pixels, positions);
          n /= 4;
          first /= 4;
        }
        put(image * g_.rows * plane + first, plane, channel, lanes, n, pixels, positions);
      }
    }
  }

  // pixels[line][column][lane of the panel]
  void sum_lines(std::int64_t y, std::int64_t lines, const float* weights, std::int64_t lanes,
                 const std::int64_t* offsets, const float* patch, float* pixels) const {
    for (std::int64_t line = 0; line < lines; ++line)
      for (std::int64_t i = 0; i < tiles_; ++i) {
        const std::int64_t column = columns_.begin(i), columns = columns_.begin(i + 1) - column;
        kChannelTiles[lanes / W - 1][columns - 1](depth_, weights, offsets,
                                                  patch + (y + line) * patch_.stride[1] + column,
                                                  pixels + (line * width_ + column) * lanes);
      }
  }

  // In place: what is left, and its positions, of so many lines of windows.
  template <bool kept>
  void pool_lines(std::int64_t lines, std::int64_t channel, std::int64_t lanes, float* pixels, float* positions) const {
    const Finish<float> finish = g_.finish;
    for (std::int64_t lane = 0; lane < lanes; lane += W) {
      const int few = static_cast<int>(least(W, g_.rows - channel - lane));
      const V shift = finish.bias ? V::load(finish.bias + channel + lane, few) : V(0.0f);
      float *to = pixels + lane, *place = positions + lane;
      for (std::int64_t line = 0; line < lines; ++line)
        for (std::int64_t i = 0; i < width_ / 2; ++i, to += lanes, place += lanes) {
          const float *const a = pixels + (2 * line * width_ + 2 * i) * lanes + lane, *const b = a + width_ * lanes;
          const Largest<float> best =
              largest_finished<kept>(finish, shift, V::load(a), V::load(a + lanes), V::load(b), V::load(b + lanes));
          best.value.store(to);
          if constexpr (kept) best.position.store(place);
        }
    }
  }

  // n pixels of the panel's channels, the first of the first channel `at` + channel · plane elements into the result.
  void put(std::int64_t at, std::int64_t plane, std::int64_t channel, std::int64_t lanes, std::int64_t n,
           const float* pixels, const float* positions) const {
    const Finish<float> finish = g_.finish;
    for (std::int64_t lane = 0; lane < lanes; lane += W)
      for (std::int64_t i = 0; i < n; i += W) {
        const std::int64_t first = channel + lane;
        const int rows = static_cast<int>(least(W, g_.rows - first)), few = static_cast<int>(least(W, n - i));
        V planes[W];
        load_transposed(pixels + i * lanes + lane, lanes, planes);
        for (int r = 0; r < rows; ++r) {
          const std::int64_t there = at + (first + r) * plane + i;
          if (g_.pooling.on)
            store(planes[r], g_.result + there, few);
          else
            finish.put(g_.result, planes[r], finish.shift_of(first + r), there, few);
          if (finish.activation) finish.activate(g_.result + there, few);
        }
        if (!g_.pooling.positions) continue;
        load_transposed(positions + i * lanes + lane, lanes, planes);
        for (int r = 0; r < rows; ++r) to_bytes(planes[r], g_.pooling.positions + at + (first + r) * plane + i, few);
      }
  }

  const Gather<float>& g_;
  const Patch patch_;
  const std::int64_t depth_, vectors_;  // vectors of channels, two to a panel
  const std::int64_t height_, width_, lines_, tiles_;
  const Cut columns_;  // of a line, into tiles
};

// Convolves, if that is the way for it.
[[gnu::noinline]] bool convolved_by_channels(const Gather<float>& g) {
  if (!DirectChannels::takes(g)) return false;
  DirectChannels(g).run();
  return true;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
