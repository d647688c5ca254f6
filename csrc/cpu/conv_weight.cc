// The weight gradient as a matrix product: dweight[o, (t, c)] = Σ dy[o, p] · x[c, p through t], summed over pixels p of
// all images. The block of x that a box of outputs sees is laid out with its channels innermost, so that for every tap
// the columns of one pixel lie side by side and nothing is copied tap by tap; taps of one row of the kernel even follow
// each other without a gap. dy is packed in panels of a tile's rows.
//
// A piece is a block of rows and of channels, and a segment of the boxes; segments are summed in order.
#include "core/scratch.h"
#include "cpu/conv_grid.h"
#include "cpu/gemm_micro.h"
#include "cpu/gemm_pack.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kBoxPixels = 256;
constexpr std::int64_t kBlockChannels = 32;
constexpr std::int64_t kBlockRows = 128;
constexpr std::int64_t kFewestPieces = 16;

// Where the V vectors of a tile lie, in rows of B and of C. They need not be neighbours: what is left over of one run
// of columns goes together with the beginning of the next.
struct Places {
  std::int64_t b[kTileVecs], c[kTileVecs];
};

// C[R, V vectors] += A[lines · pixels, R]ᵀ B[lines · pixels, V vectors]; the rows of B are `step` apart, and `line`
// from one line of pixels to the next.
template <class T>
using PixelTile = void (*)(std::int64_t lines, std::int64_t pixels, const T* a, const T* b, std::int64_t step,
                           std::int64_t line, T* c, std::int64_t c_stride, const Places& at);

template <class T, int R, int V>
void pixel_tile(std::int64_t lines, std::int64_t pixels, const T* a, const T* b, std::int64_t step, std::int64_t line,
                T* c, std::int64_t c_stride, const Places& at) {
  Vec<T> sums[R][V];
  clear(sums);
  for (std::int64_t y = 0; y < lines; ++y, b += line) {
    const T* p = b;
    for (std::int64_t x = 0; x < pixels; ++x, p += step, a += R) {
      Vec<T> row[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) row[v] = Vec<T>::load(p + at.b[v]);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec<T> factor(a[r]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) sums[r][v] = fma(factor, row[v], sums[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      T* const to = c + r * c_stride + at.c[v];
      (Vec<T>::load(to) + sums[r][v]).store(to);
    }
}

template <class T>
struct PixelTiles {
  PixelTile<T> at[kTileRows][kTileVecs];
};
template <class T, int R = kTileRows, int V = kTileVecs>
constexpr void list_tiles(PixelTiles<T>& list) {
  list.at[R - 1][V - 1] = pixel_tile<T, R, V>;
  if constexpr (V > 1)
    list_tiles<T, R, V - 1>(list);
  else if constexpr (R > 1)
    list_tiles<T, R - 1, kTileVecs>(list);
}
template <class T>
constexpr PixelTiles<T> all_tiles() {
  PixelTiles<T> list{};
  list_tiles(list);
  return list;
}
template <class T>
constexpr PixelTiles<T> kPixelTiles = all_tiles<T>();

// What a box of outputs sees along an axis: `size` elements `unit` apart; columns begin `column` elements apart.
struct Sight {
  std::int64_t unit, size, column;
  Sight() = default;
  Sight(const Axis& a, std::int64_t columns)
      : unit(a.span() == 1 ? a.step : 1),
        size(a.span() == 1 ? columns : (columns - 1) * a.step + a.span()),
        column(a.span() == 1 ? 1 : a.step) {}
};

template <class T>
struct Plan {
  const ConvShape& s;
  Grid grid;
  Boxes boxes;
  Sight sight[kConvDims];
  std::int64_t block_channels, channel_blocks, block_rows, row_blocks, segments;
  std::int64_t ranges, range_taps, pitch;  // runs of columns side by side, taps in each; elements from run to run
  std::int64_t patch_size, a_size, sums_size;

  explicit Plan(const ConvShape& shape) : s(shape), grid(forward_grid(shape)), boxes(grid, s.batch, kBoxPixels) {
    for (int d = 0; d < kConvDims; ++d) sight[d] = Sight(grid.axis[d], boxes.size[d]);
    channel_blocks = ceil_div(s.group_in(), most(kBlockChannels, kTileCols<T>));
    block_channels = ceil_div(s.group_in(), channel_blocks);
    row_blocks = ceil_div(s.group_out(), kBlockRows);
    block_rows = ceil_div(s.group_out(), row_blocks);
    segments = most(1, least(boxes.total(), kFewestPieces / blocks()));
    range_taps = s.dilation[2] == 1 ? s.kernel[2] : 1;
    ranges = s.taps() / range_taps;
    pitch = ceil_div(range_taps * block_channels, Vec<T>::width) * Vec<T>::width;
    patch_size = round(sight[0].size * sight[1].size * sight[2].size * block_channels + kTileCols<T>);
    a_size = round(boxes.size[0] * boxes.size[1] * boxes.size[2] * block_rows);
    sums_size = round(block_rows * ranges * pitch);
  }
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }
  std::int64_t blocks() const { return s.groups * row_blocks * channel_blocks; }
  std::int64_t thread_size() const { return patch_size + a_size + (segments == 1 ? sums_size : 0); }
};

// A block of dweight.
struct Block {
  std::int64_t group, row, rows, channel, channels;
};

template <class T>
Block block_at(const Plan<T>& plan, std::int64_t i) {
  const std::int64_t channel = i % plan.channel_blocks * plan.block_channels, rest = i / plan.channel_blocks;
  const std::int64_t row = rest % plan.row_blocks * plan.block_rows;
  return {rest / plan.row_blocks, row, most(0, least(plan.block_rows, plan.s.group_out() - row)), channel,
          most(0, least(plan.block_channels, plan.s.group_in() - channel))};
}

// [place][channel], zeros around the image included.
template <class T>
void fill_channels_last(const Plan<T>& plan, const T* x, const std::int64_t (&first)[kConvDims], std::int64_t channels,
                        T* to) {
  const Axis(&axis)[kConvDims] = plan.grid.axis;
  const Sight(&sight)[kConvDims] = plan.sight;
  const std::int64_t plane = plan.s.in_size(), row = sight[2].size * channels;
  const std::int64_t z = first[2] * axis[2].step + axis[2].origin;
  const std::int64_t unit = sight[2].unit;
  const Inside in(z, unit, sight[2].size, axis[2].source);
  for (std::int64_t i = 0; i < sight[0].size; ++i)
    for (std::int64_t j = 0; j < sight[1].size; ++j, to += row) {
      const std::int64_t a = first[0] * axis[0].step + axis[0].origin + i * sight[0].unit;
      const std::int64_t b = first[1] * axis[1].step + axis[1].origin + j * sight[1].unit;
      if (a < 0 || a >= axis[0].source || b < 0 || b >= axis[1].source) {
        zero_spilling(to, row);
        continue;
      }
      const T* const from = x + (a * axis[1].source + b) * axis[2].source + z + in.begin * unit;
      zero_spilling(to, in.begin * channels);
      if (channels == 1)
        copy(to + in.begin, from, unit, in.end - in.begin);
      else if (in.end > in.begin)
        pack(to + in.begin * channels, static_cast<int>(channels), from, plane, unit, static_cast<int>(channels),
             channels, in.end - in.begin);
      zero_spilling(to + in.end * channels, row - in.end * channels);
    }
}

template <class T>
class Worker {
 public:
  Worker(const Plan<T>& plan, const ConvWeightGradient& f, T* memory)
      : plan_(plan),
        s_(plan.s),
        x_(static_cast<const T*>(f.x)),
        dy_(static_cast<const T*>(f.dy)),
        patch_(memory),
        a_(memory + plan.patch_size) {}

  // sums = those of one block over one segment of the boxes.
  void run(std::int64_t block, std::int64_t segment, T* sums) {
    block_ = block_at(plan_, block);
    zero_spilling(sums, plan_.sums_size);
    if (block_.rows == 0 || block_.channels == 0) return;
    rows_ = Cut(block_.rows, ceil_div(block_.rows, kTileRows));
    const Cut cut(plan_.boxes.total(), plan_.segments);
    for (std::int64_t i = cut.begin(segment); i < cut.begin(segment + 1); ++i) {
      const Box box = plan_.boxes.at(i);
      if (box.columns() == 0) continue;
      for (std::int64_t n = 0; n < box.images; ++n) add_image(box, box.image + n, sums);
    }
  }

 private:
  static constexpr int W = Vec<T>::width;

  void add_image(const Box& box, std::int64_t image, T* sums) {
    const std::int64_t pixels = box.columns(), panels = ceil_div(block_.rows, kTileRows), outputs = s_.out_size();
    const std::int64_t in = (image * s_.groups + block_.group) * s_.group_in() + block_.channel;
    const std::int64_t out = (image * s_.groups + block_.group) * s_.group_out() + block_.row;
    fill_channels_last(plan_, x_ + in * s_.in_size(), box.first, block_.channels, patch_);
    const T* const dy = dy_ + out * outputs + (box.first[0] * s_.out[1] + box.first[1]) * s_.out[2] + box.first[2];
    const auto place = [&](std::int64_t i) {
      const int rows = static_cast<int>(rows_.begin(i + 1) - rows_.begin(i));
      return PanelPlace<T>{a_ + rows_.begin(i) * pixels, rows, rows_.begin(i), rows};
    };
    pack_panels<T>(0, panels, place, dy, outputs, 1, block_.rows, pixels);

    const std::int64_t channels = block_.channels, row = plan_.sight[2].size, width = plan_.range_taps * channels;
    const std::int64_t step = plan_.sight[2].column * channels, line = plan_.sight[1].column * row * channels;
    const std::int64_t layer = plan_.sight[0].column * plan_.sight[1].size * row * channels;
    const Axis(&axis)[kConvDims] = plan_.grid.axis;
    const std::int64_t of_range = ceil_div(width, W), all = plan_.ranges * of_range;
    for (std::int64_t first_vector = 0; first_vector < all; first_vector += kTileVecs) {
      const int vectors = static_cast<int>(least(kTileVecs, all - first_vector));
      Places at;
      for (int v = 0; v < vectors; ++v) {
        const std::int64_t range = (first_vector + v) / of_range, col = (first_vector + v) % of_range * W;
        const std::int64_t tap = range * plan_.range_taps, k = tap % s_.kernel[2],
                           j = tap / s_.kernel[2] % s_.kernel[1], i = tap / s_.kernel[2] / s_.kernel[1];
        const std::int64_t place =
            (i * axis[0].tap_step * plan_.sight[1].size + j * axis[1].tap_step) * row + k * axis[2].tap_step;
        at.b[v] = place * channels + col;
        at.c[v] = range * plan_.pitch + col;
      }
      for (std::int64_t panel = 0; panel < panels; ++panel) {
        const std::int64_t first = rows_.begin(panel), rows = rows_.begin(panel + 1) - first;
        const PixelTile<T> tile = kPixelTiles<T>.at[rows - 1][vectors - 1];
        for (std::int64_t z = 0; z < box.count[0]; ++z)
          tile(box.count[1], box.count[2], a_ + (first * pixels) + z * box.count[1] * box.count[2] * rows,
               patch_ + z * layer, step, line, sums + first * plan_.ranges * plan_.pitch, plan_.ranges * plan_.pitch,
               at);
      }
    }
  }

  const Plan<T>& plan_;
  const ConvShape& s_;
  const T *const x_, *const dy_;
  T *const patch_, *const a_;
  Block block_ = {};
  Cut rows_;
};

// From [row][range][tap of the range][channel] to dweight's order.
template <class T>
void put_block(const Plan<T>& plan, std::int64_t index, const T* sums, T* dweight) {
  const Block b = block_at(plan, index);
  const std::int64_t taps = plan.s.taps(), depth = plan.s.group_in() * taps;
  for (std::int64_t row = 0; row < b.rows; ++row) {
    T* const to = dweight + (b.group * plan.s.group_out() + b.row + row) * depth + b.channel * taps;
    for (std::int64_t range = 0; range < plan.ranges; ++range) {
      const T* const from = sums + (row * plan.ranges + range) * plan.pitch;
      for (std::int64_t t = 0; t < plan.range_taps; ++t)
        for (std::int64_t c = 0; c < b.channels; ++c)
          to[c * taps + range * plan.range_taps + t] = from[t * b.channels + c];
    }
  }
}

template <class T>
void weight_gradient(const ConvWeightGradient& f) {
  const Plan<T> plan(f.shape);
  const std::int64_t blocks = plan.blocks(), pieces = blocks * plan.segments;
  const double flops = 2.0 * static_cast<double>(f.shape.batch * f.shape.out_channels * f.shape.out_size()) *
                       static_cast<double>(f.shape.group_in() * f.shape.taps());
  const int team = team_for(flops, pieces);
  const std::int64_t partials = plan.segments == 1 ? 0 : pieces * plan.sums_size;
  T* const memory = static_cast<T*>(scratch(Scratch::conv, (partials + plan.thread_size() * team) * sizeof(T)));
  T* const dweight = static_cast<T*>(f.dweight);
  share_out(team, pieces, [&](int thread, std::int64_t piece) {
    T* const own = memory + partials + thread * plan.thread_size();
    T* const sums = partials ? memory + piece * plan.sums_size : own + plan.patch_size + plan.a_size;
    Worker<T>(plan, f, own).run(piece / plan.segments, piece % plan.segments, sums);
    if (!partials) put_block(plan, piece, sums, dweight);
  });
  if (!partials) return;
  constexpr int W = Vec<T>::width;
  parallel_for(blocks, 1 + (1 << 15) / (plan.segments * plan.sums_size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t block = begin; block < end; ++block) {
      T* const total = memory + block * plan.segments * plan.sums_size;
      for (std::int64_t i = 1; i < plan.segments; ++i)
        for (std::int64_t j = 0; j < plan.sums_size; j += W)
          (Vec<T>::load(total + j) + Vec<T>::load(total + i * plan.sums_size + j)).store(total + j);
      put_block(plan, block, total, dweight);
    }
  });
}

}  // namespace

void fill_conv_weight(ConvTable& t) {
  t.weight_gradient[static_cast<int>(ConvAlgorithm::implicit)] = [](ConvWeightGradient f) {
    f.shape.dtype == DType::f64 ? weight_gradient<double>(f) : weight_gradient<float>(f);
  };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
