// The weight gradient of few input channels, with output channels in the lanes: dweight[o, c, t] = Σ dy[o, p] · x[c, p
// through t], summed over pixels p of all images. x is read where a block of the image lies, through a list of offsets;
// dy is packed in panels of some vectors of channels. Whole vectors of weights would often not be full: a line of the
// kernel has few taps.
//
// A piece is a segment of the boxes of a group; segments are summed in order.
#include "core/scratch.h"
#include "cpu/conv_interleaved.h"
#include "cpu/gemm_micro.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using V = Vec<float>;
constexpr int W = V::width;
constexpr std::int64_t kBoxPixels = 128;    // a panel of dy and what it meets of x stay in the first-level cache
constexpr std::int64_t kFewestPieces = 16;  // of all groups

constexpr int kMostVectors = 4;  // of a panel
constexpr int most_taps(int vectors) { return vectors == 4 ? 3 : vectors == 3 ? 4 : 6; }

// The pixels that a tile sums over: so many lines of so many, and how far apart those are in x.
struct Pixels {
  std::int64_t lines, columns;
  std::int64_t x_line, x_column;
};

// sums[t][v] += Σ x[pixel + offsets[t]] · dy[pixel][v]: R taps, N vectors of channels.
using Tile = void (*)(const Pixels& pixels, const float* x, const std::int64_t* offsets, const float* dy, float* sums);

template <int R, int N>
void tile(const Pixels& pixels, const float* x, const std::int64_t* offsets, const float* dy, float* to) {
  std::int64_t at[R];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r) at[r] = offsets[r];
  V sums[R][N];
  clear(sums);
  for (std::int64_t i = 0; i < pixels.lines; ++i, x += pixels.x_line) {
    const float* p = x;
    for (std::int64_t j = 0; j < pixels.columns; ++j, p += pixels.x_column, dy += N * W) {
      if constexpr (R < N) {
        V seen[R];
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) seen[r] = V(p[at[r]]);
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) {
          const V channels = V::load(dy + v * W);
#pragma GCC unroll 6
          for (int r = 0; r < R; ++r) sums[r][v] = fma(seen[r], channels, sums[r][v]);
        }
      } else {
        V channels[N];
#pragma GCC unroll 4
        for (int v = 0; v < N; ++v) channels[v] = V::load(dy + v * W);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) {
          const V seen(p[at[r]]);
#pragma GCC unroll 4
          for (int v = 0; v < N; ++v) sums[r][v] = fma(seen, channels[v], sums[r][v]);
        }
      }
    }
  }
  write_tile(sums, to, N * W, true);
}

// By vectors and taps.
constexpr Tile kTiles[kMostVectors][6] = {{tile<1, 1>, tile<2, 1>, tile<3, 1>, tile<4, 1>, tile<5, 1>, tile<6, 1>},
                                          {tile<1, 2>, tile<2, 2>, tile<3, 2>, tile<4, 2>, tile<5, 2>, tile<6, 2>},
                                          {tile<1, 3>, tile<2, 3>, tile<3, 3>, tile<4, 3>, nullptr, nullptr},
                                          {tile<1, 4>, tile<2, 4>, tile<3, 4>, nullptr, nullptr, nullptr}};

// The source of `g` as it lies, with the zeros around it: every element is a place of its own.
Grid frame_of(const Grid& g) {
  Grid frame = g;
  for (Axis& a : frame.axis) {
    const std::int64_t span = a.span(), low = a.low();
    a.origin = low, a.taps = span, a.step = a.tap_step = 1;
  }
  return frame;
}

class DirectWeight {
 public:
  explicit DirectWeight(const ConvWeightGradient& f)
      : s_(f.shape),
        x_(static_cast<const float*>(f.x)),
        dy_(static_cast<const float*>(f.dy)),
        dweight_(static_cast<float*>(f.dweight)),
        grid_(forward_grid(s_)),
        frame_(frame_of(grid_)),
        boxes_(grid_, s_.batch, kBoxPixels),
        framed_(boxes_.total() == boxes_.pieces_of_batch),
        vectors_(ceil_div(s_.group_out(), W)),
        panels_(vectors_, ceil_div(vectors_, kMostVectors)),
        segments_(most(1, least(boxes_.total(), kFewestPieces / s_.groups))),
        depth_(s_.group_in() * s_.taps()) {
    std::int64_t columns[kConvDims];
    for (int d = 0; d < kConvDims; ++d) columns[d] = (boxes_.size[d] - 1) * grid_.axis[d].step + 1;
    patch_ = Patch(frame_, columns);
  }

  void run() {
    const double flops =
        2.0 * static_cast<double>(s_.batch * s_.out_channels * s_.out_size()) * static_cast<double>(depth_);
    const std::int64_t pieces = segments_ * s_.groups;
    const int team = team_for(flops, pieces);
    const std::int64_t x_size = round(s_.group_in() * patch_.size + W),
                       dy_size = round(boxes_.size[0] * boxes_.size[1] * boxes_.size[2] * vectors_ * W),
                       sums_size = round(depth_ * vectors_ * W), list_size = round(2 * depth_);
    float* const sums = static_cast<float*>(
        scratch(Scratch::conv, (pieces * sums_size + list_size + (x_size + dy_size) * team) * sizeof(float)));
    float* const memory = sums + pieces * sums_size + list_size;
    offsets_ = reinterpret_cast<std::int64_t*>(sums + pieces * sums_size);
    Grid taps = grid_;
    for (Axis& a : taps.axis) a.step = 1;  // as in the patch
    patch_.put_taps(taps, frame_, s_.group_in(), patch_.size, offsets_);
    if (framed_) zero_spilling(memory, (x_size + dy_size) * team);
    share_out(team, pieces, [&](int thread, std::int64_t i) {
      float* const x = memory + thread * (x_size + dy_size);
      zero_spilling(sums + i * sums_size, sums_size);
      segment(i % segments_, i / segments_, x, x + x_size, sums + i * sums_size);
    });
    parallel_for(s_.groups, 1 + (1 << 15) / (segments_ * sums_size), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t group = begin; group < end; ++group) {
        float* const total = sums + group * segments_ * sums_size;
        for (std::int64_t k = 1; k < segments_; ++k)
          for (std::int64_t j = 0; j < sums_size; j += W)
            (V::load(total + j) + V::load(total + k * sums_size + j)).store(total + j);
        put(total, dweight_ + group * s_.group_out() * depth_);
      }
    });
  }

 private:
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }
  std::int64_t panels() const { return ceil_div(vectors_, kMostVectors); }

  // sums[panel][channel][tap][lane of the panel], over one segment of the boxes.
  void segment(std::int64_t index, std::int64_t group, float* x, float* dy, float* sums) const {
    const Cut cut(boxes_.total(), segments_);
    for (std::int64_t i = cut.begin(index); i < cut.begin(index + 1); ++i) {
      const Box box = boxes_.at(i);
      if (box.columns() == 0) continue;
      for (std::int64_t n = 0; n < box.images; ++n) add_image(box, (box.image + n) * s_.groups + group, x, dy, sums);
    }
  }

  // `image`: of one group.
  void add_image(const Box& box, std::int64_t image, float* x, float* dy, float* sums) const {
    std::int64_t first[kConvDims];
    for (int d = 0; d < kConvDims; ++d) first[d] = box.first[d] * grid_.axis[d].step;
    for (std::int64_t c = 0; c < s_.group_in(); ++c)
      fill_patch(x + c * patch_.size, x_ + (image * s_.group_in() + c) * s_.in_size(), frame_, patch_, first, framed_);
    const float* const from = dy_ + image * s_.group_out() * s_.out_size() +
                              (box.first[0] * s_.out[1] + box.first[1]) * s_.out[2] + box.first[2];
    for (std::int64_t panel = 0; panel < panels(); ++panel) {
      const std::int64_t lane = panels_.begin(panel) * W, lanes = panels_.begin(panel + 1) * W - lane;
      for (std::int64_t v = 0; v < lanes; v += W)
        interleave_line(dy + v, lanes, from + (lane + v) * s_.out_size(), s_.out_size(),
                        static_cast<int>(least(W, s_.group_out() - lane - v)), box.columns());
      add_panel(box, x, dy, static_cast<int>(lanes / W), sums + lane * depth_);
    }
  }

  void add_panel(const Box& box, const float* x, const float* dy, int vectors, float* sums) const {
    const Axis(&axis)[kConvDims] = grid_.axis;
    const Pixels pixels{box.count[1], box.count[2], axis[1].step * patch_.stride[1], axis[2].step};
    const std::int64_t tiles = ceil_div(depth_, most_taps(vectors)), plane = box.count[1] * box.count[2] * vectors * W;
    const Cut taps(depth_, tiles);
    for (std::int64_t i = 0; i < tiles; ++i) {
      const std::int64_t tap = taps.begin(i), n = taps.begin(i + 1) - tap;
      for (std::int64_t z = 0; z < box.count[0]; ++z)
        kTiles[vectors - 1][n - 1](pixels, x + z * axis[0].step * patch_.stride[0], offsets_ + tap, dy + z * plane,
                                   sums + tap * vectors * W);
    }
  }

  void put(const float* total, float* to) const {
    for (std::int64_t panel = 0; panel < panels(); ++panel) {
      const std::int64_t lane = panels_.begin(panel) * W, lanes = panels_.begin(panel + 1) * W - lane;
      for (std::int64_t i = 0; i < depth_; ++i, total += lanes)
        for (std::int64_t o = 0; o < least(lanes, s_.group_out() - lane); ++o) to[(lane + o) * depth_ + i] = total[o];
    }
  }

  const ConvShape& s_;
  const float *const x_, *const dy_;
  float* const dweight_;
  const Grid grid_, frame_;
  const Boxes boxes_;
  const bool framed_;  // all patches are of whole images, with zeros in the same places
  const std::int64_t vectors_;
  const Cut panels_;
  const std::int64_t segments_, depth_;
  Patch patch_;
  std::int64_t* offsets_ = nullptr;  // from a pixel's first tap to those of all channels
};

}  // namespace

void fill_conv_direct_weight(ConvTable& t) {
  t.weight_gradient[static_cast<int>(ConvAlgorithm::direct)] = [](ConvWeightGradient f) { DirectWeight(f).run(); };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
