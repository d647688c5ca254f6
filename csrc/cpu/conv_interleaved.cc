// Forward and data gradient of small images in large batches, with images side by side in the lanes (see
// conv_interleaved.h). A tile is some channels of the result by two neighbouring columns; it meets only the taps that
// hit the image for one of the two.
#include "cpu/conv_interleaved.h"

#include "core/scratch.h"
#include "cpu/conv_gather.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kMostRows = 6, kColumns = 2;        // of a tile
constexpr std::int64_t kPatchElements = 1 << 17;  // half of the second-level cache, or less
constexpr std::int64_t kFewestPieces = 8;

// The taps of a tile: for every place of three nested loops, `run` steps of memory side by side.
struct Walk {
  std::int64_t count[kConvDims], weights[kConvDims], patch[kConvDims];
  std::int64_t run;
};

// sums[r][j] = Σ a[k][r] · b[k][column j], over the k of a walk.
using Tile = void (*)(const Walk& walk, const float* a, const float* b, std::int64_t column, float* sums,
                      std::int64_t row);

template <int R, int C>
void tile(const Walk& walk, const float* a, const float* b, std::int64_t column, float* to, std::int64_t row) {
  using V = Vec<float>;
  V sums[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < C; ++j) sums[r][j] = V(0.0f);
  for (std::int64_t x = 0; x < walk.count[0]; ++x)
    for (std::int64_t y = 0; y < walk.count[1]; ++y)
      for (std::int64_t z = 0; z < walk.count[2]; ++z) {
        const float* p = a + x * walk.weights[0] + y * walk.weights[1] + z * walk.weights[2];
        const float* q = b + x * walk.patch[0] + y * walk.patch[1] + z * walk.patch[2];
        for (std::int64_t k = 0; k < walk.run; ++k, p += R, q += V::width) {
          V seen[C];
#pragma GCC unroll 2
          for (int j = 0; j < C; ++j) seen[j] = V::load(q + j * column);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) {
            const V factor(p[r]);
#pragma GCC unroll 2
            for (int j = 0; j < C; ++j) sums[r][j] = fma(factor, seen[j], sums[r][j]);
          }
        }
      }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < C; ++j) sums[r][j].store(to + r * row + j * V::width);
}

constexpr Tile kTiles[kMostRows][kColumns] = {{tile<1, 1>, tile<1, 2>}, {tile<2, 1>, tile<2, 2>},
                                              {tile<3, 1>, tile<3, 2>}, {tile<4, 1>, tile<4, 2>},
                                              {tile<5, 1>, tile<5, 2>}, {tile<6, 1>, tile<6, 2>}};

// An axis whose taps are counted in the order of the source: tap u of column c meets low + c · step + u · tap_step.
struct Ascending {
  std::int64_t source, step, low, taps, tap_step;
  bool reversed;

  Ascending() = default;
  explicit Ascending(const Axis& a)
      : source(a.source),
        step(a.step),
        low(a.low()),
        taps(a.taps),
        tap_step(a.tap_step < 0 ? -a.tap_step : a.tap_step),
        reversed(a.tap_step < 0) {}

  std::int64_t tap(std::int64_t u) const { return reversed ? taps - 1 - u : u; }

  // Those of `count` columns from `first` on that tile together: taps [begin, end) hit the image for one of them.
  struct Hits {
    std::int64_t begin, end;
  };
  Hits hits(std::int64_t first, std::int64_t count) const {
    const std::int64_t at = first * step + low, behind = -(at + (count - 1) * step), room = source - at;
    const auto up = [&](std::int64_t n) { return n <= 0 ? 0 : tap_step == 1 ? n : ceil_div(n, tap_step); };
    const std::int64_t begin = least(taps, up(behind));
    return {begin, most(begin, least(taps, up(room)))};
  }
  // What `count` columns from `first` on see of the source, and `slack` places of zeros on either side of it.
  Sight sight(std::int64_t first, std::int64_t count, std::int64_t slack) const {
    const std::int64_t from = most(first * step + low, -slack);
    const std::int64_t end = least((first + count - 1) * step + low + (taps - 1) * tap_step + 1, source + slack);
    return {from, taps == 0 ? 0 : most(0, end - from)};
  }
};

class Interleaved {
 public:
  explicit Interleaved(const Gather<float>& g)
      : g_(g),
        depth_(g.channels * g.grid.taps()),
        panels_(ceil_div(g.rows, kMostRows)),
        rows_(g.rows, panels_),
        blocks_(ceil_div(g.batch, kImages)),
        boxes_(g.grid, 1, g.grid.columns(), g.pooling.unit()) {
    for (int d = 0; d < kConvDims; ++d) axis_[d] = Ascending(g.grid.axis[d]);
    for (std::int64_t wanted = g.grid.columns(); wanted > 1; wanted /= 2) {
      boxes_ = Boxes(g.grid, 1, wanted, g.pooling.unit());
      if (patch_elements() <= kPatchElements && (pieces() >= kFewestPieces || wanted <= g.grid.axis[2].count)) break;
    }
  }

  [[gnu::noinline]] void run() {
    if (g_.grid.columns() == 0) return;
    const double flops = 2.0 * static_cast<double>(g_.batch * g_.groups * g_.rows) *
                         static_cast<double>(g_.grid.columns()) * static_cast<double>(depth_);
    const int team = team_for(flops, pieces());
    const std::int64_t a_size = round(g_.groups * g_.rows * depth_), patch_size = round(patch_elements()),
                       line_size = round(kMostRows * line_pitch() * g_.pooling.unit());
    float* const memory =
        static_cast<float*>(scratch(Scratch::conv, (a_size + (patch_size + line_size) * team) * sizeof(float)));
    pack_weights(memory);
    share_out(team, pieces(), [&](int thread, std::int64_t i) {
      float* const patch = memory + a_size + (patch_size + line_size) * thread;
      piece(i, memory, patch, patch + patch_size);
    });
  }

 private:
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }
  std::int64_t pieces() const { return blocks_ * g_.groups * boxes_.total(); }
  // Whole squares of them are turned, be the line shorter.
  std::int64_t line_pitch() const { return (most(boxes_.size[2] + 1, kImages)) * kImages; }
  std::int64_t slack(int d) const { return d == kConvDims - 1 ? (kColumns - 1) * axis_[d].step : 0; }
  std::int64_t patch_elements() const {
    std::int64_t places = 1;
    for (int d = 0; d < kConvDims; ++d)
      places *= least((boxes_.size[d] - 1) * axis_[d].step + g_.grid.axis[d].span(), axis_[d].source + 2 * slack(d));
    return places * g_.channels * kImages + kImages;
  }

  // to[panel][tap, in the order of the source][channel][row of the panel], for every group.
  void pack_weights(float* to) const {
    parallel_for(g_.groups * panels_, 1 + (1 << 12) / (depth_ + 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t group = i / panels_, row = rows_.begin(i % panels_),
                           rows = rows_.begin(i % panels_ + 1) - row;
        const float* const from = g_.weight + group * g_.layout.group + row * g_.layout.row;
        float* out = to + (group * g_.rows + row) * depth_;
        for (std::int64_t x = 0; x < axis_[0].taps; ++x)
          for (std::int64_t y = 0; y < axis_[1].taps; ++y)
            for (std::int64_t z = 0; z < axis_[2].taps; ++z) {
              const float* const w = from + g_.layout.tap(g_.grid, axis_[0].tap(x), axis_[1].tap(y), axis_[2].tap(z));
              for (std::int64_t c = 0; c < g_.channels; ++c)
                for (std::int64_t r = 0; r < rows; ++r) *out++ = w[c * g_.layout.channel + r * g_.layout.row];
            }
      }
    });
  }

  void piece(std::int64_t index, const float* weights, float* patch, float* line) const {
    const Box box = boxes_.at(index % boxes_.total());
    if (box.columns() == 0) return;
    const std::int64_t group = index / boxes_.total() % g_.groups, first = index / boxes_.total() / g_.groups * kImages;
    const int images = static_cast<int>(least(kImages, g_.batch - first));
    Sight sight[kConvDims];
    std::int64_t size[kConvDims];
    for (int d = 0; d < kConvDims; ++d) {
      sight[d] = axis_[d].sight(box.first[d], box.count[d], slack(d));
      size[d] = axis_[d].source;
    }
    const std::int64_t source_image = g_.groups * g_.channels * g_.grid.source();
    interleave(patch, g_.source + first * source_image + group * g_.channels * g_.grid.source(), size, sight,
               g_.channels, source_image, images);
    weights += group * g_.rows * depth_;
    for (std::int64_t panel = 0; panel < panels_; ++panel)
      for (std::int64_t x = 0; x < box.count[0]; ++x)
        for (std::int64_t y = 0; y < box.count[1]; ++y) {
          sum_line(box, sight, x, y, panel, weights, patch, line);
          if (!g_.pooling.on) {
            put_line(box, x, y, first, images, group, panel, line);
            continue;
          }
          float* const lower = line + kMostRows * line_pitch();
          sum_line(box, sight, x, ++y, panel, weights, patch, lower);
          g_.pooling.positions ? put_pooled<true>(box, y / 2, first, images, group, panel, line, lower)
                               : put_pooled<false>(box, y / 2, first, images, group, panel, line, lower);
        }
  }

  // line[row of the panel][column][image]
  [[gnu::noinline]] void sum_line(const Box& box, const Sight (&sight)[kConvDims], std::int64_t x, std::int64_t y,
                                  std::int64_t panel, const float* weights, const float* patch, float* line) const {
    const std::int64_t row = rows_.begin(panel), rows = rows_.begin(panel + 1) - row, place = g_.channels * kImages;
    const std::int64_t taps = axis_[2].taps, step = g_.channels * rows;  // of the weights, from tap to tap
    const std::int64_t weight_steps[] = {axis_[1].taps * taps * step, taps * step, step};
    const std::int64_t patch_steps[] = {sight[1].size * sight[2].size * place, sight[2].size * place, place};
    const bool dense = axis_[2].tap_step == 1;  // taps of a line lie side by side
    const std::int64_t at[] = {box.first[0] + x, box.first[1] + y};
    Walk walk;
    const float *a0 = weights + row * depth_, *b0 = patch;
    for (int d = 0; d < kConvDims; ++d) {
      walk.weights[d] = weight_steps[d];
      walk.patch[d] = patch_steps[d] * axis_[d].tap_step;
      if (d + 1 == kConvDims) break;
      const Ascending::Hits hits = axis_[d].hits(at[d], 1);
      walk.count[d] = hits.end - hits.begin;
      a0 += hits.begin * weight_steps[d];
      b0 += (at[d] * axis_[d].step + axis_[d].low + hits.begin * axis_[d].tap_step - sight[d].first) * patch_steps[d];
    }
    for (std::int64_t z = 0; z < box.count[2]; z += kColumns) {
      const std::int64_t columns = least(kColumns, box.count[2] - z), column = box.first[2] + z;
      const Ascending::Hits hits = axis_[2].hits(column, columns);
      const std::int64_t n = hits.end - hits.begin;
      walk.count[2] = dense ? least(n, 1) : n;
      walk.run = dense ? n * g_.channels : g_.channels;
      const float* const b =
          b0 + (column * axis_[2].step + axis_[2].low + hits.begin * axis_[2].tap_step - sight[2].first) * place;
      kTiles[rows - 1][columns - 1](walk, a0 + hits.begin * step, b, axis_[2].step * place, line + z * kImages,
                                    line_pitch());
    }
  }

  void put_line(const Box& box, std::int64_t x, std::int64_t y, std::int64_t first, int images, std::int64_t group,
                std::int64_t panel, const float* line) const {
    constexpr int W = Vec<float>::width;
    const Finish<float> finish = g_.finish;  // of its own, for no store to the result can change it
    float* const result = g_.result;
    const Axis &a = g_.grid.axis[0], &b = g_.grid.axis[1], &c = g_.grid.axis[2];
    const std::int64_t plane = g_.grid.result(), image = g_.groups * g_.rows * plane, n = box.count[2];
    const std::int64_t start =
        ((a.out_first + (box.first[0] + x) * a.out_step) * b.result + b.out_first + (box.first[1] + y) * b.out_step) *
            c.result +
        c.out_first + box.first[2] * c.out_step;
    for (std::int64_t row = rows_.begin(panel); row < rows_.begin(panel + 1); ++row, line += line_pitch()) {
      const std::int64_t channel = group * g_.rows + row, to = first * image + channel * plane + start;
      if (c.out_step != 1) {
        for (int i = 0; i < images; ++i)
          for (std::int64_t z = 0; z < n; ++z) result[to + i * image + z * c.out_step] = line[z * kImages + i];
        continue;
      }
      const Vec<float> shift = finish.shift_of(channel);
      for (std::int64_t z = 0; z < n; z += W) {
        const std::int64_t at = n < W ? 0 : least(z, n - W);
        Vec<float> columns[W];
        load_transposed(line + at * kImages, kImages, columns);
        if (n >= W)
          for (int i = 0; i < images; ++i) finish.put(result, columns[i], shift, to + i * image + at, W);
        else
          for (int i = 0; i < images; ++i)
            finish.put(result, columns[i], shift, to + i * image + at, static_cast<int>(n));
      }
      if (finish.activation)
        for (int i = 0; i < images; ++i) finish.activate(result + to + i * image, n);
    }
  }

  // Of two lines what is left, line `row` of the box's share of the result. Overwrites them.
  template <bool kept>
  void put_pooled(const Box& box, std::int64_t row, std::int64_t first, int images, std::int64_t group,
                  std::int64_t panel, float* upper, float* lower) const {
    using V = Vec<float>;
    constexpr int W = V::width;
    const Finish<float> finish = g_.finish;
    const std::int64_t width = g_.pooling.columns(g_.grid), plane = g_.pooling.plane(g_.grid),
                       image = g_.groups * g_.rows * plane, n = box.count[2] / 2;
    const int lanes = static_cast<int>(least(W, n));
    for (std::int64_t r = rows_.begin(panel); r < rows_.begin(panel + 1); ++r) {
      const std::int64_t channel = group * g_.rows + r;
      const V shift = finish.shift_of(channel);
      for (std::int64_t z = 0; z < n; ++z) {
        const float *const a = upper + 2 * z * kImages, *const b = lower + 2 * z * kImages;
        const Largest<float> best =
            largest_finished<kept>(finish, shift, V::load(a), V::load(a + kImages), V::load(b), V::load(b + kImages));
        best.value.store(upper + z * kImages);
        if constexpr (kept) best.position.store(lower + z * kImages);
      }
      const std::int64_t to = first * image + channel * plane + (box.first[1] / 2 + row) * width + box.first[2] / 2;
      for (std::int64_t z = 0; z < n; z += W) {
        const std::int64_t at = n < W ? 0 : least(z, n - W);
        V columns[W];
        load_transposed(upper + at * kImages, kImages, columns);
        for (int i = 0; i < images; ++i) store(columns[i], g_.result + to + i * image + at, lanes);
        if constexpr (!kept) continue;
        load_transposed(lower + at * kImages, kImages, columns);
        for (int i = 0; i < images; ++i) to_bytes(columns[i], g_.pooling.positions + to + i * image + at, lanes);
      }
      upper += line_pitch();
      lower += line_pitch();
    }
  }

  const Gather<float>& g_;
  const std::int64_t depth_, panels_;
  const Cut rows_;
  const std::int64_t blocks_;  // of images
  Boxes boxes_;
  Ascending axis_[kConvDims];
};

struct SideBySide {
  template <class T>
  static void run(const Gather<T>* g, int grids) {
    for (int i = 0; i < grids; ++i) Interleaved(g[i]).run();
  }
};

}  // namespace

void fill_conv_interleaved(ConvTable& t) {
  constexpr int i = static_cast<int>(ConvAlgorithm::interleaved);
  t.forward[i] = [](ConvForward f) { forward_as<SideBySide, float>(f); };
  t.forward_pooled[i] = [](ConvPooledForward f) { forward_as<SideBySide, float>(f.conv, {true, f.positions}); };
  t.data_gradient[i] = [](ConvDataGradient g) { gradient_as<SideBySide, float>(g); };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
