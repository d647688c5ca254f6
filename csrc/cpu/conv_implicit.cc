// Forward and data gradient as matrix products whose right-hand panels are packed straight from the image: rows are
// channels of the result, columns those of a grid (conv_grid.h), k runs over (source channel, tap).
//
// One thread computes a piece, a box of columns and a group of rows, all by itself. Every element is summed in one
// order: by blocks of whole channels, and within them k upwards; how the columns are cut does not matter to its bits.
#include "core/scratch.h"
#include "cpu/conv_gather.h"
#include "cpu/gemm_micro.h"
#include "cpu/gemm_pack.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kDepth = 384;        // of a block of k: a panel of B stays in the first-level cache
constexpr std::int64_t kBoxColumns = 128;   // a block of B in the second
constexpr std::int64_t kFewestPieces = 16;  // rows are cut too where there are fewer boxes
constexpr std::int64_t kFewestRows = 8;     // of such a cut, in tiles
constexpr std::int64_t kReadInPlace = 512;  // up to so many columns packing the weights does not pay

template <class T>
struct Plan {
  const Gather<T>& g;
  std::int64_t taps, k, blocks, block_channels;
  Boxes boxes;
  Patch patch;
  std::int64_t row_panels, row_groups;
  Cut rows;
  bool pack_a, direct_b;
  std::int64_t pitch;                                        // of a row of sums
  std::int64_t patch_size, b_size, sums_size, offsets_size;  // elements of a thread's memory

  explicit Plan(const Gather<T>& gather)
      : g(gather), taps(g.grid.taps()), k(g.channels * taps), boxes(g.grid, g.batch, kBoxColumns) {
    block_channels = most(1, least(g.channels, kDepth / most(1, taps)));
    blocks = ceil_div(g.channels, block_channels);
    block_channels = ceil_div(g.channels, blocks);
    patch = Patch(g.grid, boxes.size);
    row_panels = ceil_div(g.rows, kTileRows);
    rows = Cut(g.rows, row_panels);
    const std::int64_t pieces = boxes.total() * g.groups;
    row_groups = most(1, least(row_panels / kFewestRows, ceil_div(kFewestPieces, pieces)));
    pack_a = !g.weights_lie_in_order || g.batch * g.grid.columns() > kReadInPlace;
    direct_b = g.grid.pointwise() && boxes.images == 1;
    pitch = ceil_div(boxes.most_columns(), kTileCols<T>) * kTileCols<T>;
    patch_size = direct_b ? 0 : round(block_channels * boxes.images * patch.size + kTileCols<T>);
    b_size = round(block_channels * taps * (direct_b ? kTileCols<T> : pitch));
    sums_size = round(most(1, ceil_div(row_panels, row_groups)) * kTileRows * pitch);
    offsets_size = round((2 * pitch + block_channels * taps) * ceil_div(sizeof(std::int64_t), sizeof(T)));
  }
  static std::int64_t round(std::int64_t n) { return ceil_div(n, 64) * 64; }
  std::int64_t a_size() const { return pack_a ? round(g.groups * g.rows * k) : 0; }
  std::int64_t thread_size() const { return patch_size + b_size + sums_size + offsets_size; }
  std::int64_t pieces() const { return boxes.total() * g.groups * row_groups; }
};

// Lanes of one vector of columns: to[k · pitch] = from[offsets[k] + columns[lane]] for all lanes.
template <class T>
void pack_vector(T* to, std::int64_t pitch, const T* from, const std::int64_t* offsets, std::int64_t depth,
                 const std::int64_t* columns) {
  constexpr int W = Vec<T>::width;
  int first = 1;  // lanes of the first run
  while (first < W && columns[first] == columns[first - 1] + 1) ++first;
  const T* const base = from + columns[0];
  if (first == W) {
    for (std::int64_t k = 0; k < depth; ++k) Vec<T>::load(base + offsets[k]).store(to + k * pitch);
    return;
  }
  int second = first + 1;
  while (second < W && columns[second] == columns[second - 1] + 1) ++second;
  if (second == W && columns[first] >= columns[0] + first) {
    // Memory of the second run lies behind that of the first, so both loads stay within what is there.
    const T* const other = from + columns[first] - first;
    const Mask<T> mask = first_lanes<T>(first);
    for (std::int64_t k = 0; k < depth; ++k)
      select(mask, Vec<T>::load(base + offsets[k]), Vec<T>::load(other + offsets[k])).store(to + k * pitch);
    return;
  }
  for (std::int64_t k = 0; k < depth; ++k)
    for (int i = 0; i < W; ++i) to[k * pitch + i] = from[offsets[k] + columns[i]];
}

template <class T>
class Worker {
 public:
  Worker(const Plan<T>& plan, const T* packed_a, T* memory)
      : plan_(plan),
        g_(plan.g),
        packed_a_(packed_a),
        patch_(memory),
        b_(patch_ + plan.patch_size),
        sums_(b_ + plan.b_size),
        from_(reinterpret_cast<std::int64_t*>(sums_ + plan.sums_size)),
        to_(from_ + plan.pitch),
        offsets_(to_ + plan.pitch) {}

  void run(std::int64_t piece) {
    const std::int64_t boxes = plan_.boxes.total(), row_group = piece / boxes % plan_.row_groups;
    group_ = piece / boxes / plan_.row_groups;
    box_ = plan_.boxes.at(piece % boxes);
    columns_ = box_.images * box_.columns();
    if (columns_ == 0) return;
    const Cut cut(plan_.row_panels, plan_.row_groups);
    first_panel_ = cut.begin(row_group);
    end_panel_ = cut.begin(row_group + 1);
    row0_ = plan_.rows.begin(first_panel_);
    place_columns();
    for (std::int64_t block = 0; block < plan_.blocks; ++block) {
      channel_ = block * plan_.block_channels;
      depth_ = least(plan_.block_channels, g_.channels - channel_) * plan_.taps;
      first_ = block == 0;
      last_ = block + 1 == plan_.blocks;
      if (!plan_.direct_b) pack_b();
      for (std::int64_t col = 0; col < columns_; col += kTileCols<T>) multiply_panel(col);
    }
    if (depth_ == 0) zero_spilling(sums_, plan_.sums_size);
    write_sums();
  }

 private:
  static constexpr int W = Vec<T>::width;

  // from_: the columns' offsets in the patch; to_: in the result, from this group's first channel of image 0.
  void place_columns() {
    std::int64_t j = 0;
    const Axis &a = g_.grid.axis[0], &b = g_.grid.axis[1], &c = g_.grid.axis[2];
    for (std::int64_t n = 0; n < box_.images; ++n)
      for (std::int64_t x = 0; x < box_.count[0]; ++x)
        for (std::int64_t y = 0; y < box_.count[1]; ++y) {
          const std::int64_t begin[] = {x, y, 0};
          const std::int64_t from = n * plan_.patch.size + plan_.patch.column(begin);
          const std::int64_t row = ((a.out_first + (box_.first[0] + x) * a.out_step) * b.result + b.out_first +
                                    (box_.first[1] + y) * b.out_step) *
                                   c.result;
          const std::int64_t to = (box_.image + n) * g_.groups * g_.rows * g_.grid.result() + row + c.out_first;
          for (std::int64_t z = 0; z < box_.count[2]; ++z, ++j) {
            from_[j] = from + z;
            to_[j] = to + (box_.first[2] + z) * c.out_step;
          }
        }
    // The last panel reads on behind the patch, where there is room; what comes of it is nobody's.
    for (; j < plan_.pitch; ++j) from_[j] = from_[j - 1] + 1;
  }

  void pack_b() {
    const std::int64_t channels = depth_ / most(1, plan_.taps), plane = plan_.patch.size;
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t n = 0; n < box_.images; ++n) {
        const std::int64_t channel = ((box_.image + n) * g_.groups + group_) * g_.channels + channel_ + c;
        fill_patch(patch_ + (c * box_.images + n) * plane, g_.source + channel * g_.grid.source(), g_.grid, plan_.patch,
                   box_.first, false);
      }
    plan_.patch.put_taps(g_.grid, g_.grid, channels, box_.images * plane, offsets_);
    for (std::int64_t col = 0; col < columns_; col += kTileCols<T>)
      for (int v = 0; v < vectors_at(col); ++v)
        pack_vector(b_ + col * depth_ + v * W, vectors_at(col) * W, patch_, offsets_, depth_, from_ + col + v * W);
  }

  int vectors_at(std::int64_t col) const { return static_cast<int>(ceil_div(least(kTileCols<T>, columns_ - col), W)); }
  bool contiguous(std::int64_t col) const {
    if (columns_ - col < kTileCols<T>) return false;
    for (int i = 1; i < kTileCols<T>; ++i)
      if (to_[col + i] != to_[col] + i) return false;
    return true;
  }

  void multiply_panel(std::int64_t col) {
    if (depth_ == 0) return;
    const int vectors = vectors_at(col);
    const std::int64_t result = g_.grid.result();
    const bool straight = g_.grid.axis[2].out_step == 1 && contiguous(col);
    const T* b = b_ + col * depth_;
    std::int64_t b_stride = vectors * W;
    if (plan_.direct_b) {
      b_stride = g_.grid.source();
      const T* const channel = g_.source + ((box_.image * g_.groups + group_) * g_.channels + channel_) * b_stride;
      b = channel + first_source() + col;
      if (columns_ - col < kTileCols<T>) {  // the panel would reach over the end
        for (std::int64_t k = 0; k < depth_; ++k)
          for (int i = 0; i < vectors * W; ++i)
            b_[k * vectors * W + i] = b[k * b_stride + least(i, columns_ - col - 1)];
        b = b_;
        b_stride = vectors * W;
      }
    }
    for (std::int64_t i = first_panel_; i < end_panel_; ++i) {
      const std::int64_t row = plan_.rows.begin(i), k0 = channel_ * plan_.taps;
      const int rows = static_cast<int>(plan_.rows.begin(i + 1) - row);
      const T* const a = plan_.pack_a ? packed_a_ + (group_ * g_.rows + row) * plan_.k + k0 * rows
                                      : g_.weight + group_ * g_.layout.group + row * g_.layout.row + k0;
      const TileKernel<T> kernel = tile_kernel<T>(plan_.pack_a ? WalkA::columns : WalkA::rows, rows, vectors);
      T* const c = straight ? g_.result + (group_ * g_.rows + row) * result + to_[col]
                            : sums_ + (row - row0_) * plan_.pitch + col;
      kernel(depth_, a, plan_.pack_a ? rows : plan_.k, b, b_stride, c, straight ? result : plan_.pitch, !first_);
      if (straight && last_ && !g_.finish_apart)
        for (int r = 0; r < rows; ++r) {
          const std::int64_t channel = group_ * g_.rows + row + r;
          g_.finish.run(g_.result, channel, channel * result + to_[col], kTileCols<T>);
        }
    }
  }

  std::int64_t first_source() const {
    const Axis &b = g_.grid.axis[1], &c = g_.grid.axis[2];
    return (box_.first[0] * b.source + box_.first[1]) * c.source + box_.first[2];
  }

  // What did not lie side by side in the result.
  void write_sums() {
    if (g_.grid.axis[2].out_step != 1) return scatter_sums();
    for (std::int64_t col = 0; col < columns_; col += kTileCols<T>) {
      if (depth_ > 0 && contiguous(col)) continue;
      const std::int64_t end = least(col + kTileCols<T>, columns_);
      for (std::int64_t row = row0_; row < plan_.rows.begin(end_panel_); ++row) {
        const std::int64_t channel = group_ * g_.rows + row;
        T* const to = g_.result + channel * g_.grid.result();
        const T* const sums = sums_ + (row - row0_) * plan_.pitch;
        for (std::int64_t j = col; j < end;) {
          std::int64_t n = 0;
          do {
            to[to_[j + n]] = sums[j + n];
            ++n;
          } while (j + n < end && to_[j + n] == to_[j] + n);
          if (!g_.finish_apart) g_.finish.run(g_.result, channel, channel * g_.grid.result() + to_[j], n);
          j += n;
        }
      }
    }
  }
  void scatter_sums() {
    const std::int64_t step = g_.grid.axis[2].out_step, line = box_.count[2];
    for (std::int64_t row = row0_; row < plan_.rows.begin(end_panel_); ++row) {
      T* const to = g_.result + (group_ * g_.rows + row) * g_.grid.result();
      const T* const sums = sums_ + (row - row0_) * plan_.pitch;
      for (std::int64_t j = 0; j < columns_; j += line) {
        T* const p = to + to_[j];
        for (std::int64_t i = 0; i < line; ++i) p[i * step] = sums[j + i];
      }
    }
  }

  const Plan<T>& plan_;
  const Gather<T>& g_;
  const T* const packed_a_;
  T *const patch_, *const b_, *const sums_;
  std::int64_t *const from_, *const to_, *const offsets_;
  Box box_ = {};
  std::int64_t group_ = 0, columns_ = 0, first_panel_ = 0, end_panel_ = 0, row0_ = 0, channel_ = 0, depth_ = 0;
  bool first_ = false, last_ = false;
};

template <class T>
void gather(const Gather<T>& g) {
  const Plan<T> plan(g);
  const double flops = 2.0 * static_cast<double>(g.batch * g.groups * g.rows) * static_cast<double>(g.grid.columns()) *
                       static_cast<double>(plan.k);
  const int team = team_for(flops, plan.pieces());
  T* const memory = static_cast<T*>(scratch(Scratch::conv, (plan.a_size() + plan.thread_size() * team) * sizeof(T)));
  if (plan.pack_a) pack_weights(g, plan.rows, plan.row_panels, memory);
  share_out(team, plan.pieces(), [&](int thread, std::int64_t piece) {
    Worker<T>(plan, memory, memory + plan.a_size() + thread * plan.thread_size()).run(piece);
  });
}

struct Implicit {
  template <class T>
  static void run(const Gather<T>* g, int grids) {
    for (int i = 0; i < grids; ++i) gather(g[i]);
  }
};

}  // namespace

void fill_conv_implicit(ConvTable& t) {
  constexpr int i = static_cast<int>(ConvAlgorithm::implicit);
  t.forward[i] = gather_forward<Implicit>;
  t.data_gradient[i] = gather_gradient<Implicit>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
