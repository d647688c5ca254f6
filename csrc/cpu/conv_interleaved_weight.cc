// The weight gradient of small images in large batches, with images side by side in the lanes (conv_interleaved.h):
// dweight[o, c, t] = Σ dy[o, p] · x[c, p through t], summed over places p of some images in each lane, and over the
// lanes at the end. A tile is some output channels by the taps of a line; what it reads, a plane of x and some of dy,
// stays in the first-level cache.
#include "core/scratch.h"
#include "cpu/conv_interleaved.h"
#include "cpu/gemm_micro.h"
#include "simd/interleave.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kMostTaps = 5;  // of a tile
constexpr int rows_together(int taps) { return taps <= 3 ? 4 : 2; }
constexpr std::int64_t kPlacesAtOnce = 256;  // summed by themselves: long sums in one register lose digits
constexpr std::int64_t kMostSegments = 8;    // of the batch: a sum of its own for each

// The places that a tile sums over: so many lines of so many columns of dy, and how far apart those are in x.
struct Places {
  std::int64_t lines, columns;
  std::int64_t x_line, x_column;
};

// sums[r][t][image] += Σ dy[r][place][image] · x[place + t][image]; rows of dy are `dy_row` apart, those of sums `row`.
using Tile = void (*)(const Places& places, const float* dy, std::int64_t dy_row, const float* x, float* sums,
                      std::int64_t row);

template <int R, int S>
void tile(const Places& places, const float* dy, std::int64_t dy_row, const float* x, float* to, std::int64_t row) {
  using V = Vec<float>;
  V sums[R][S];
  clear(sums);
  for (std::int64_t i = 0; i < places.lines; ++i, x += places.x_line) {
    const float* seen = x;
    for (std::int64_t j = 0; j < places.columns; ++j, seen += places.x_column, dy += V::width) {
      V factor[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) factor[r] = V::load(dy + r * dy_row);
#pragma GCC unroll 5
      for (int t = 0; t < S; ++t) {
        const V value = V::load(seen + t * V::width);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sums[r][t] = fma(factor[r], value, sums[r][t]);
      }
    }
  }
  write_tile(sums, to, row, true);
}

// [1]: several rows.
constexpr Tile kTiles[kMostTaps][2] = {{tile<1, 1>, tile<rows_together(1), 1>},
                                       {tile<1, 2>, tile<rows_together(2), 2>},
                                       {tile<1, 3>, tile<rows_together(3), 3>},
                                       {tile<1, 4>, tile<rows_together(4), 4>},
                                       {tile<1, 5>, tile<rows_together(5), 5>}};

class InterleavedWeight {
 public:
  // `positions`: of a pooled convolution, or null.
  InterleavedWeight(const ConvWeightGradient& f, const std::uint8_t* positions)
      : f_(f),
        positions_(positions),
        s_(f.shape),
        grid_(forward_grid(s_)),
        depth_(s_.group_in() * s_.taps()),
        blocks_(ceil_div(s_.batch, kImages)),
        segments_(least(kMostSegments, blocks_)) {
    for (int d = 0; d < kConvDims; ++d) {
      const Axis& a = grid_.axis[d];
      sight_[d] = {a.low(), (a.count - 1) * a.step + a.span()};
    }
    plane_ = sight_[0].size * sight_[1].size * sight_[2].size * kImages;
    // Taps of a line that lie side by side, in tiles of about equal size.
    const std::int64_t side_by_side = s_.dilation[2] == 1 ? s_.kernel[2] : 1;
    taps_ = Cut(s_.kernel[2], s_.kernel[2] / side_by_side * ceil_div(side_by_side, kMostTaps));
  }

  void run() {
    const double flops =
        2.0 * static_cast<double>(s_.batch * s_.out_channels * s_.out_size()) * static_cast<double>(depth_);
    const std::int64_t pieces = segments_ * s_.groups, weights = s_.group_out() * depth_;
    const int team = team_for(flops, pieces);
    const std::int64_t x_size = round(s_.group_in() * plane_ + kImages),
                       dy_size = round(s_.group_out() * s_.out_size() * kImages),
                       sums_size = round((weights + kImages) * kImages), own = x_size + dy_size + sums_size;
    float* const totals =
        static_cast<float*>(scratch(Scratch::conv, (round(pieces * weights) + own * team) * sizeof(float)));
    float* const memory = totals + round(pieces * weights);
    share_out(team, pieces, [&](int thread, std::int64_t i) {
      float* const x = memory + thread * own;
      segment(i % segments_, i / segments_, x, x + x_size, x + x_size + dy_size, totals + i * weights);
    });
    constexpr int W = Vec<float>::width;
    parallel_for(s_.groups, 1 + (1 << 15) / (segments_ * weights), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t group = begin; group < end; ++group) {
        float* const total = totals + group * segments_ * weights;
        for (std::int64_t k = 1; k < segments_; ++k)
          for (std::int64_t j = 0; j < weights; j += W) {
            const int n = static_cast<int>(least(W, weights - j));
            (Vec<float>::load(total + j, n) + Vec<float>::load(total + k * weights + j, n)).store(total + j, n);
          }
        float* const to = static_cast<float*>(f_.dweight) + group * weights;
        for (std::int64_t j = 0; j < weights; ++j) to[j] = total[j];
      }
    });
  }

 private:
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }

  // total[row][channel][tap]: the sums of one group over one segment of the batch.
  void segment(std::int64_t index, std::int64_t group, float* x, float* dy, float* sums, float* total) const {
    zero_spilling(sums, s_.group_out() * depth_ * kImages);
    const std::int64_t places = s_.out_size(), channels = s_.group_in();
    const std::int64_t left = positions_ ? s_.out[1] / 2 * (s_.out[2] / 2) : places;  // of a channel
    if (positions_) zero_spilling(dy, s_.group_out() * places * kImages);  // a last line or column is in no window
    const Sight all[kConvDims] = {{0, 1}, {0, 1}, {0, places}};
    const std::int64_t in_image = s_.in_channels * s_.in_size(), out_image = s_.out_channels * left;
    const Cut cut(blocks_, segments_);
    for (std::int64_t block = cut.begin(index); block < cut.begin(index + 1); ++block) {
      const std::int64_t first = block * kImages;
      const int images = static_cast<int>(least(kImages, s_.batch - first));
      const float* const x0 = static_cast<const float*>(f_.x) + first * in_image + group * channels * s_.in_size();
      const std::int64_t dy0 = first * out_image + group * s_.group_out() * left;
      for (std::int64_t c = 0; c < channels; ++c)
        interleave(x + c * plane_, x0 + c * s_.in_size(), s_.in, sight_, 1, in_image, images);
      for (std::int64_t o = 0; o < s_.group_out(); ++o) {
        float* const to = dy + o * places * kImages;
        const std::int64_t from = dy0 + o * left;
        if (positions_)
          spread_windows(to, static_cast<const float*>(f_.dy) + from, positions_ + from, out_image, images);
        else
          interleave(to, static_cast<const float*>(f_.dy) + from, {1, 1, places}, all, 1, out_image, images);
      }
      for (std::int64_t c = 0; c < channels; ++c) add_channel(x + c * plane_, dy, sums + c * s_.taps() * kImages);
    }
    add_lanes(sums, s_.group_out() * depth_, total);
  }

  // Of one channel what was left of windows, put back to where it came from, among zeros: to[place][image].
  void spread_windows(float* to, const float* dy, const std::uint8_t* positions, std::int64_t image_step,
                      int images) const {
    using V = Vec<float>;
    constexpr int W = V::width;
    const std::int64_t width = s_.out[2], lines = s_.out[1] / 2, n = width / 2;
    const int lanes = static_cast<int>(least(W, n));
    alignas(64) float values[W][W] = {}, places[W][W] = {};  // [image][column]
    for (std::int64_t line = 0; line < lines; ++line, to += 2 * width * kImages)
      for (std::int64_t z = 0; z < n; z += W) {
        const std::int64_t at = n < W ? 0 : least(z, n - W), from = line * n + at;  // the last block reaches back
        for (int i = 0; i < images; ++i) {
          V::load(dy + from + i * image_step, lanes).store(values[i]);
          from_bytes<float>(positions + from + i * image_step, lanes).store(places[i]);
        }
        V value[W], place[W];
        load_transposed(values[0], W, value);
        load_transposed(places[0], W, place);
        float* upper = to + 2 * at * kImages;
        for (int j = 0; j < lanes; ++j, upper += 2 * kImages) {
          float* const lower = upper + width * kImages;
          const auto here = [&](float k) { return select(place[j] == V(k), value[j], V(0.0f)); };
          here(0).store(upper);
          here(1).store(upper + kImages);
          here(2).store(lower);
          here(3).store(lower + kImages);
        }
      }
  }

  // total[i] = Σ over images of sums[i][image]; of sums there may be read a square more.
  static void add_lanes(const float* sums, std::int64_t n, float* total) {
    constexpr int W = Vec<float>::width;
    for (std::int64_t i = 0; i < n; i += W) {
      Vec<float> lanes[W];
      load_transposed(sums + i * W, W, lanes);
      for (int step = 1; step < W; step *= 2)
#pragma GCC unroll 16
        for (int j = 0; j + step < W; j += 2 * step) lanes[j] = lanes[j] + lanes[j + step];
      lanes[0].store(total + i, static_cast<int>(least(W, n - i)));
    }
  }

  // sums[row][tap][image] of one channel; x [place][image], dy [row][place][image].
  void add_channel(const float* x, const float* dy, float* sums) const {
    const std::int64_t rows = s_.group_out(), dy_row = s_.out_size() * kImages, row = depth_ * kImages;
    const std::int64_t lines = most(1, kPlacesAtOnce / s_.out[2]);
    const Axis(&axis)[kConvDims] = grid_.axis;
    const std::int64_t steps[] = {sight_[1].size * sight_[2].size * kImages, sight_[2].size * kImages, kImages};
    Places places{0, s_.out[2], axis[1].step * steps[1], axis[2].step * steps[2]};
    for (std::int64_t layer = 0; layer < s_.out[0]; ++layer)
      for (std::int64_t line = 0; line < s_.out[1]; line += lines) {
        places.lines = least(lines, s_.out[1] - line);
        const float* const from = dy + (layer * s_.out[1] + line) * s_.out[2] * kImages;
        const float* const seen = x + layer * axis[0].step * steps[0] + line * places.x_line;
        for_taps([&](std::int64_t tap, int n, std::int64_t offset) {
          std::int64_t o = 0;
          for (const int many = rows_together(n); o + many <= rows; o += many)
            kTiles[n - 1][1](places, from + o * dy_row, dy_row, seen + offset, sums + o * row + tap * kImages, row);
          for (; o < rows; ++o)
            kTiles[n - 1][0](places, from + o * dy_row, dy_row, seen + offset, sums + o * row + tap * kImages, row);
        });
      }
  }

  // body(tap, n, offset): of n taps side by side, the first and where it lies in x.
  template <class Body>
  void for_taps(Body body) const {
    const Axis(&axis)[kConvDims] = grid_.axis;
    for (std::int64_t i = 0; i < s_.kernel[0]; ++i)
      for (std::int64_t j = 0; j < s_.kernel[1]; ++j)
        for (std::int64_t k = 0, part = 0; k < s_.kernel[2]; k = taps_.begin(++part)) {
          const std::int64_t place =
              (i * axis[0].tap_step * sight_[1].size + j * axis[1].tap_step) * sight_[2].size + k * axis[2].tap_step;
          body((i * s_.kernel[1] + j) * s_.kernel[2] + k, static_cast<int>(taps_.begin(part + 1) - k), place * kImages);
        }
  }

  const ConvWeightGradient& f_;
  const std::uint8_t* const positions_;
  const ConvShape& s_;
  const Grid grid_;
  const std::int64_t depth_, blocks_, segments_;
  Sight sight_[kConvDims];
  std::int64_t plane_;  // of x, with its borders, images side by side
  Cut taps_;            // of a line, into tiles
};

}  // namespace

void fill_conv_interleaved_weight(ConvTable& t) {
  constexpr int i = static_cast<int>(ConvAlgorithm::interleaved);
  t.weight_gradient[i] = [](ConvWeightGradient f) { InterleavedWeight(f, nullptr).run(); };
  t.weight_gradient_pooled[i] = [](ConvPooledWeightGradient f) { InterleavedWeight(f.conv, f.positions).run(); };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
