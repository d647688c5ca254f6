// Forward and data gradient for few channels of the result, depthwise convolutions among them: panels of columns are
// read where a block of the image lies, through a list of offsets, one for each (source channel, tap). Nothing is
// copied tap by tap, which for few rows would cost as much as the arithmetic.
#include "core/scratch.h"
#include "cpu/conv_depthwise_strided.h"
#include "cpu/conv_direct_channels.h"
#include "cpu/conv_gather.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kPatchElements = 1 << 15;  // of a piece: half of the second-level cache, or less
constexpr double kFlopsAtOnce = 1e5;              // pieces that one thread takes together

// sums[r][l][v] = Σ a[k][r] · b[offsets[k] + l · line + v-th vector]: R rows, L lines, V vectors.
template <class T, int R, int L, int V>
LAMINA_INLINE void gather_sums(std::int64_t depth, const T* a, const T* b, const std::int64_t* offsets,
                               std::int64_t line, Vec<T> (&sums)[R][L][V]) {
  constexpr int W = Vec<T>::width;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][l][v] = Vec<T>(T(0));
  for (std::int64_t k = 0; k < depth; ++k, a += R) {
    const T* const p = b + offsets[k];
    if constexpr (R > 4) {  // many rows: the vectors stay in registers while factors pass by
      Vec<T> x[L][V];
#pragma GCC unroll 4
      for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) x[l][v] = Vec<T>::load(p + l * line + v * W);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec<T> factor(a[r]);
#pragma GCC unroll 4
        for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
          for (int v = 0; v < V; ++v) sums[r][l][v] = fma(factor, x[l][v], sums[r][l][v]);
      }
      continue;
    }
    // Few rows: the other way round.
    Vec<T> factor[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) factor[r] = Vec<T>(a[r]);
#pragma GCC unroll 4
    for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        const Vec<T> x = Vec<T>::load(p + l * line + v * W);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sums[r][l][v] = fma(factor[r], x, sums[r][l][v]);
      }
  }
}

// Where the sums of a tile go: row r, line l begin at `to` + r · row + l · line, n columns `step` apart.
struct Landing {
  std::int64_t channel, to, row, line, step, n;
};

// tile[r][l][width]: the sums of `rows` rows and `lines` lines.
template <class T>
[[gnu::noinline]] void land(const T* tile, int rows, int lines, int width, const Gather<T>& g, const Landing& at) {
  constexpr int W = Vec<T>::width;
  const Finish<T> finish = g.finish;  // of its own, for no store to the result can change it
  T* const result = g.result;
  for (int r = 0; r < rows; ++r)
    for (int l = 0; l < lines; ++l, tile += width) {
      const std::int64_t offset = at.to + r * at.row + l * at.line;
      T* const to = result + offset;
      if (at.step == 1) {
        const Vec<T> shift = finish.shift_of(at.channel + r);
        std::int64_t i = 0;
        for (; i + W <= at.n; i += W) finish.put(result, Vec<T>::load(tile + i), shift, offset + i, W);
        if (i < at.n) finish.put(result, Vec<T>::load(tile + i), shift, offset + i, static_cast<int>(at.n - i));
        if (finish.activation) finish.activate(to, at.n);
      } else {
        for (std::int64_t i = 0; i < at.n; ++i) to[i * at.step] = tile[i];
      }
    }
}

// Its sums as tile[r][l][width].
template <class T>
using DirectTile = void (*)(std::int64_t depth, const T* a, const T* b, const std::int64_t* offsets, std::int64_t line,
                            T* tile);

template <class T, int R, int L, int V>
void direct_tile(std::int64_t depth, const T* a, const T* b, const std::int64_t* offsets, std::int64_t line, T* tile) {
  constexpr int W = Vec<T>::width;
  Vec<T> sums[R][L][V];
  gather_sums<T, R, L, V>(depth, a, b, offsets, line, sums);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int l = 0; l < L; ++l)
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sums[r][l][v].store(tile + ((r * L + l) * V + v) * W);
}

// The same for what is left of two lines of so many columns: at.to, at.row and at.n are those of the pooled result.
template <bool kept, class T>
[[gnu::noinline]] void land_pooled(const T* upper, const T* lower, int rows, int width, const Gather<T>& g,
                                   const Landing& at) {
  using V = Vec<T>;
  const Finish<T> finish = g.finish;
  for (int r = 0; r < rows; ++r, upper += width, lower += width) {
    const V shift = finish.shift_of(at.channel + r);
    const std::int64_t to = at.to + r * at.row;
    for_vectors<V::width>(at.n, [&](std::int64_t i, int lanes) {
      V a, b, c, d;
      load_pairs(upper + 2 * i, lanes, a, b);
      load_pairs(lower + 2 * i, lanes, c, d);
      const Largest<T> best = largest_finished<kept>(finish, shift, a, b, c, d);
      store(best.value, g.result + to + i, lanes);
      if constexpr (kept) to_bytes(best.position, g.pooling.positions + to + i, lanes);
    });
  }
}

// So many vectors, and lines where these alone leave accumulators idle, go with R rows into the registers.
constexpr int kMostRows = 6;
constexpr int most_vectors(int rows) { return rows <= 3 ? 4 : rows <= 4 ? 3 : 2; }
constexpr int lines_together(int rows, int vectors) { return rows > 1 ? 1 : vectors > 2 ? 2 : 4; }

constexpr int kTileVectors = 12;  // of any tile, at most

template <class T>
struct DirectTiles {
  DirectTile<T> at[kMostRows][4][2];  // [1]: several lines
};
template <class T, int R = kMostRows, int V = most_vectors(kMostRows)>
constexpr void list_tiles(DirectTiles<T>& list) {
  static_assert(R * V * lines_together(R, V) <= kTileVectors);
  list.at[R - 1][V - 1][0] = direct_tile<T, R, 1, V>;
  if constexpr (lines_together(R, V) > 1) list.at[R - 1][V - 1][1] = direct_tile<T, R, lines_together(R, V), V>;
  if constexpr (V > 1)
    list_tiles<T, R, V - 1>(list);
  else if constexpr (R > 1)
    list_tiles<T, R - 1, most_vectors(R - 1)>(list);
}
template <class T>
constexpr DirectTiles<T> all_tiles() {
  DirectTiles<T> list{};
  list_tiles(list);
  return list;
}
template <class T>
constexpr DirectTiles<T> kDirectTiles = all_tiles<T>();

// All grids in one: the axes of what any of them sees, tap by tap of the source.
template <class T>
Grid frame_of(const Gather<T>* g, int grids) {
  Grid frame = g[0].grid;
  for (int d = 0; d < kConvDims; ++d) {
    Axis& a = frame.axis[d];
    std::int64_t low = a.low(), end = low + a.span();
    for (int i = 1; i < grids; ++i) {
      const Axis& other = g[i].grid.axis[d];
      low = least(low, other.low());
      end = most(end, other.low() + other.span());
      a.count = most(a.count, other.count);
    }
    a.origin = low;
    a.taps = end - low;
    a.tap_step = 1;
  }
  return frame;
}

// The grids of one call differ in nothing but their axes. A piece is a box of columns of all of them.
template <class T>
class Direct {
 public:
  Direct(const Gather<T>* g, int grids)
      : g_(g),
        grids_(grids),
        frame_(frame_of(g, grids)),
        boxes_(frame_, 1, 1),
        row_panels_(ceil_div(g->rows, kMostRows)),
        rows_(g->rows, row_panels_) {
    // One image at a time, cut into boxes whose source stays near.
    std::int64_t wanted = most(1, kPatchElements / g->channels);
    for (;; wanted /= 2) {
      boxes_ = Boxes(frame_, 1, wanted, g->pooling.unit());
      patch_ = Patch(frame_, boxes_.size);
      if (wanted == 1 || patch_.size * g->channels <= 2 * kPatchElements) break;
    }
    for (int i = 0; i < grids; ++i) all_taps_ += g[i].grid.taps();
  }

  void run() {
    constexpr std::int64_t kSlack = 4 * Vec<T>::width;
    const std::int64_t pieces = g_->batch * g_->groups * boxes_.total(), depth = g_->channels * all_taps_;
    const double flops = 2.0 * static_cast<double>(boxes_.most_columns() * g_->rows * depth) + 1;
    const std::int64_t together = most(1, least(pieces / 64, static_cast<std::int64_t>(kFlopsAtOnce / flops)));
    const int team = team_for(flops * static_cast<double>(pieces), ceil_div(pieces, together));
    const std::int64_t weights_size = round(g_->groups * g_->rows * depth),
                       offsets_size = round(depth * ceil_div(sizeof(std::int64_t), sizeof(T))),
                       patch_size = round(g_->channels * patch_.size + kSlack);
    T* const memory =
        static_cast<T*>(scratch(Scratch::conv, (weights_size + offsets_size + patch_size * team) * sizeof(T)));
    prepare(memory, reinterpret_cast<std::int64_t*>(memory + weights_size));
    if (framed()) zero_spilling(memory + weights_size + offsets_size, patch_size * team);
    share_out(team, ceil_div(pieces, together), [&](int thread, std::int64_t i) {
      T* const patch = memory + weights_size + offsets_size + thread * patch_size;
      for (std::int64_t j = i * together; j < least((i + 1) * together, pieces); ++j) piece(j, patch);
    });
  }

 private:
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }
  bool framed() const { return boxes_.total() == 1; }  // all patches are of whole images, with zeros in the same places

  void prepare(T* weights, std::int64_t* offsets) {
    for (int i = 0; i < grids_; ++i) {
      const Gather<T>& g = g_[i];
      const std::int64_t taps = g.grid.taps();
      weights_[i] = weights;
      offsets_[i] = offsets;
      weights += g.groups * g.rows * g.channels * taps;
      patch_.put_taps(g.grid, frame_, g.channels, patch_.size, offsets);
      offsets += g.channels * taps;
      pack_weights(g, rows_, row_panels_, weights_[i]);
    }
  }

  void piece(std::int64_t index, T* patch) const {
    const Box whole = boxes_.at(index % boxes_.total());
    const std::int64_t image = index / boxes_.total();  // of one group
    if (whole.columns() == 0) return;
    for (std::int64_t c = 0; c < g_->channels && all_taps_ > 0; ++c)
      fill_patch(patch + c * patch_.size, g_->source + (image * g_->channels + c) * frame_.source(), frame_, patch_,
                 whole.first, framed());
    for (int i = 0; i < grids_; ++i) {
      Box box = whole;
      for (int d = 0; d < kConvDims; ++d)
        box.count[d] = most(0, least(box.count[d], g_[i].grid.axis[d].count - box.first[d]));
      for (std::int64_t panel = 0; panel < row_panels_; ++panel)
        for (std::int64_t x = 0; x < box.count[0]; ++x) layer(i, box, x, image, panel, patch + x * patch_.stride[0]);
    }
  }

  // The lines of one box and layer, for one panel of rows.
  void layer(int grid, const Box& box, std::int64_t x, std::int64_t image, std::int64_t panel, const T* patch) const {
    constexpr int W = Vec<T>::width;
    const Gather<T>& g = g_[grid];
    const Axis &a = g.grid.axis[0], &b = g.grid.axis[1], &c = g.grid.axis[2];
    const std::int64_t row = rows_.begin(panel), result = g.pooling.plane(g.grid), depth = g.channels * g.grid.taps();
    const int rows = static_cast<int>(rows_.begin(panel + 1) - row);
    const std::int64_t first_row = image % g.groups * g.rows + row;
    const T* const weights = weights_[grid] + first_row * depth;
    const std::int64_t layer = a.out_first + (box.first[0] + x) * a.out_step, line = c.result * b.out_step;
    alignas(64) T tile[2][kTileVectors * W];
    for (std::int64_t z = 0; z < box.count[2];) {
      int vectors = static_cast<int>(least(most_vectors(rows), ceil_div(box.count[2] - z, W)));
      if (W == 1 && g.pooling.on) vectors -= vectors % 2;  // no window is cut
      const int lines = lines_together(rows, vectors);
      const DirectTile<T>(&tiles)[2] = kDirectTiles<T>.at[rows - 1][vectors - 1];
      Landing at{first_row, 0, result, line, c.out_step, least(vectors * W, box.count[2] - z)};
      for (std::int64_t y = 0; y < box.count[1];) {
        const T* const seen = patch + y * patch_.stride[1] + z;
        if (g.pooling.on) {
          for (int i = 0; i < 2; ++i)
            tiles[0](depth, weights, seen + i * patch_.stride[1], offsets_[grid], patch_.stride[1], tile[i]);
          at.n = least(vectors * W, box.count[2] - z) / 2;
          at.to = (image * g.rows + row) * result + (box.first[1] + y) / 2 * g.pooling.columns(g.grid) +
                  (box.first[2] + z) / 2;
          (g.pooling.positions ? land_pooled<true, T> : land_pooled<false, T>)(tile[0], tile[1], rows, vectors * W, g,
                                                                               at);
          y += 2;
          continue;
        }
        const bool several = lines > 1 && box.count[1] - y >= lines;
        at.to = (image * g.rows + row) * result +
                (layer * b.result + b.out_first + box.first[1] * b.out_step) * c.result + y * line + c.out_first +
                (box.first[2] + z) * c.out_step;
        tiles[several](depth, weights, seen, offsets_[grid], patch_.stride[1], tile[0]);
        land(tile[0], rows, several ? lines : 1, vectors * W, g, at);
        y += several ? lines : 1;
      }
      z += vectors * W;
    }
  }

  const Gather<T>* const g_;
  const int grids_;
  const Grid frame_;
  Boxes boxes_;
  Patch patch_;
  const std::int64_t row_panels_;
  const Cut rows_;
  std::int64_t all_taps_ = 0;
  T* weights_[kGridsTogether] = {};
  std::int64_t* offsets_[kGridsTogether] = {};
};

struct InPlace {
  template <class T>
  static void run(const Gather<T>* g, int grids) {
    if constexpr (sizeof(T) == sizeof(float))
      if (grids == 1 && convolved_by_channels(g[0])) return;
    Direct<T>(g, grids).run();
  }
};

}  // namespace

void fill_conv_direct(ConvTable& t) {
  constexpr int direct = static_cast<int>(ConvAlgorithm::direct),
                depthwise = static_cast<int>(ConvAlgorithm::depthwise);
  t.forward[direct] = t.forward[depthwise] = gather_forward<InPlace>;
  t.forward_pooled[direct] = t.forward_pooled[depthwise] = gather_pooled<InPlace>;
  t.data_gradient[direct] = gather_gradient<InPlace>;
  t.data_gradient[depthwise] = [](ConvDataGradient f) {
    if (!StridedDepthwiseGradient<float>::takes(f.shape)) return gather_gradient<InPlace>(f);
    f.shape.dtype == DType::f64 ? StridedDepthwiseGradient<double>(f).run() : StridedDepthwiseGradient<float>(f).run();
  };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
