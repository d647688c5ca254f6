// Matrix products by blocks and register tiles: the five loops around the micro-kernel.
//
// Every element of C is summed in one order only (blocks of k, and within a block k upwards), whatever is packed,
// however the work is cut and how many threads share it: the bits depend on the shape alone.
#pragma once
#include <cstdint>

#include "core/barrier.h"
#include "core/parallel.h"
#include "cpu/gemm_micro.h"
#include "cpu/gemm_output.h"
#include "cpu/gemm_pack.h"
#include "cpu/team.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Blocks are sized in bytes for the caches of a core: a panel of B [kBlockDepth, tile columns] stays in the first level
// (or streams well from the second), a block of A [kBlockRows, kBlockDepth] in the second, a block of B in the third.
template <class T>
constexpr std::int64_t kBlockDepth = 1536 / sizeof(T);
constexpr std::int64_t kBlockRows = 20 * kTileRows;
constexpr std::int64_t kBlockCols = 3072;

// k is cut by its length alone, in multiples of a vector so that transposing packs whole blocks.
template <class T>
struct DepthCut {
  std::int64_t k, step;
  explicit DepthCut(std::int64_t k) : k(k) {
    constexpr int W = Vec<T>::width;
    const std::int64_t blocks = most(1, ceil_div(k, kBlockDepth<T>));
    step = blocks == 1 ? most(1, k) : ceil_div(ceil_div(k, blocks), W) * W;
  }
  std::int64_t blocks() const { return k <= step ? 1 : ceil_div(k, step); }
  std::int64_t begin(std::int64_t i) const { return least(i * step, k); }
  std::int64_t longest() const { return least(step, k); }
};

template <class T>
struct Product {
  std::int64_t m, n, k;
  Matrix<const T> a, b;
  Output<T> out;
  const T* packed_b;  // null: not packed beforehand
};

template <class T>
double flops(const Product<T>& p) {
  return 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
}

// Packed B: for every block of k, panels of tile-width columns, each [depth][width]; the last panel is as many vectors
// wide as it needs.
template <class T>
constexpr std::int64_t padded_cols(std::int64_t n) {
  return ceil_div(n, Vec<T>::width) * Vec<T>::width;
}
template <class T>
int panel_width(std::int64_t n, std::int64_t panel) {
  return static_cast<int>(least(kTileCols<T>, padded_cols<T>(n) - panel * kTileCols<T>));
}

// Steps [from, to) of the panels [first, end), for the block of k that begins at k0 and is `depth` long. `packed` is
// where panel `origin` of the block begins.
template <class T, class From>
void pack_b_panels(T* packed, std::int64_t origin, Matrix<const From> b, std::int64_t n, std::int64_t first,
                   std::int64_t end, std::int64_t k0, std::int64_t depth, std::int64_t from, std::int64_t to) {
  const auto place = [&](std::int64_t panel) {
    const std::int64_t col = panel * kTileCols<T>;
    const int width = panel_width<T>(n, panel);
    return PanelPlace<T>{packed + (panel - origin) * kTileCols<T> * depth + from * width, width, col,
                         static_cast<int>(least(width, n - col))};
  };
  pack_panels<T>(first, end, place, b.at(k0 + from, 0), b.col, b.row, n, to - from);
}

// Rows of A as far apart as pages meet in the same few places of the first-level cache and push each other out.
template <class T>
bool rows_collide(const Matrix<const T>& a) {
  constexpr std::int64_t kPage = 4096, kLine = 64;
  const std::int64_t bytes = a.row * static_cast<std::int64_t>(sizeof(T)), beyond = bytes & (kPage - 1);
  return bytes != 0 && (beyond < kLine || beyond > kPage - kLine);
}

// Who packs what and how the work is cut; a matter of speed, never of bits.
template <class T>
struct Plan {
  enum class B { direct, pack, packed } b;
  bool few_rows;  // A stays near: whoever takes a piece packs what it meets of B
  bool pack_a;
  WalkA walk;                           // of an A that is read in place
  std::int64_t row_panels;              // tiles along m
  Cut rows;                             // m cut into them
  std::int64_t row_blocks;              // groups of these
  std::int64_t block_cols;              // columns of B packed at a time, a multiple of the tile's
  std::int64_t col_groups;              // pieces of such a block
  std::int64_t panels_at_once;          // with few rows: panels of B packed before they are met
  std::int64_t a_size = 0, b_size = 0;  // elements of working memory: for each thread, for all together
};

constexpr std::int64_t kFewCols = 160;        // up to here an A in place is not reread often enough to be worth packing
constexpr std::int64_t kNearBytes = 1 << 18;  // of A, read again for every panel of B: a part of the second-level cache

// The gradient of a weight: split along its rows, as optimisers and the next product split them, it stays in the caches
// of those who read it.
template <class T>
bool split_by_rows(const Product<T>& p, int team) {
  return p.a.row == 1 && p.a.col != 1 && p.m >= p.k && p.m >= 2 * team * kTileRows;
}

template <class T>
Plan<T> make_plan(const Product<T>& p, int team) {
  using B = typename Plan<T>::B;
  Plan<T> plan;
  const DepthCut<T> depth(p.k);
  const bool small = (p.m * p.k + p.k * p.n) * sizeof(T) <= 128 * 1024;
  if (p.packed_b)
    plan.b = B::packed;
  else if (p.b.col == 1 && (small || p.m <= 3 * kTileRows))
    plan.b = B::direct;
  else
    plan.b = B::pack;
  plan.walk = p.a.row == 1 ? WalkA::columns : WalkA::rows;
  if (p.a.col == 1)
    plan.pack_a = !small && rows_collide(p.a) && p.m > kTileRows / 2;
  else
    plan.pack_a = p.a.row != 1 || !(small || p.n <= kFewCols);

  const std::int64_t panels_of_b = ceil_div(p.n, kTileCols<T>);
  plan.few_rows = p.m * depth.longest() * static_cast<std::int64_t>(sizeof(T)) <= kNearBytes && panels_of_b >= team;
  plan.panels_at_once = plan.b == B::pack && p.b.col == 1 ? 4 : 1;  // rows of B are read in long runs
  plan.block_cols = least(panels_of_b * kTileCols<T>, kBlockCols / kTileCols<T> * kTileCols<T>);
  plan.row_panels = ceil_div(p.m, kTileRows);
  plan.row_blocks = ceil_div(plan.row_panels, kBlockRows / kTileRows);
  plan.col_groups = 1;
  // Several pieces a thread, so that one that was interrupted does not hold up the others, unless they become too
  // small.
  const std::int64_t pieces = team == 1 ? 1 : (flops(p) > 2e6 * team ? 4 : 1) * team;
  if (plan.few_rows) {
    const bool by_rows = split_by_rows(p, team);
    plan.row_blocks = by_rows ? least(pieces, 2 * team) : 1;
    plan.col_groups = by_rows ? 1 : least(plan.pack_a ? team : pieces, panels_of_b);
  } else if (team > 1) {
    const std::int64_t fewest_panels = plan.pack_a ? 4 : 1;
    if (plan.row_blocks < pieces) {
      plan.row_blocks = most(plan.row_blocks, least(pieces, plan.row_panels / fewest_panels));
      plan.col_groups = least(plan.block_cols / kTileCols<T>, ceil_div(pieces, plan.row_blocks));
    }
    if (plan.row_blocks > team) plan.row_blocks = ceil_div(plan.row_blocks, team) * team;
    plan.row_panels = most(plan.row_panels, plan.row_blocks);
  }
  plan.rows = Cut(p.m, plan.row_panels);
  if (plan.pack_a) {
    const std::int64_t rows = ceil_div(plan.row_panels, plan.row_blocks) * kTileRows;
    plan.a_size = ceil_div(rows * depth.longest(), 64) * 64;
  }
  const bool packs_last = plan.b == B::direct && p.n % kTileCols<T>;
  if (plan.few_rows)
    plan.b_size = plan.b == B::pack || packs_last ? team * plan.panels_at_once * kTileCols<T> * depth.longest() : 0;
  else
    plan.b_size = 2 * depth.longest() *
                  (plan.b == B::pack ? least(plan.block_cols, padded_cols<T>(p.n))
                   : packs_last      ? kTileCols<T>
                                     : 0);
  return plan;
}

// Pieces that were taken of a thread's own stretch of them, for the step in hand, the one before and the next. Each
// thread begins with its own, so that the columns and rows it writes are those it reads in other kernels, then helps
// the others.
constexpr int kMostStretches = 16;
struct alignas(64) Taken {
  std::int64_t pieces[3];
};

// One product in the making, shared by the threads that make it.
template <class T>
struct Work {
  const Product<T>& p;
  const Plan<T>& plan;
  T* a_buffers;  // plan.a_size for every thread
  T* b_buffer;   // plan.b_size: two halves, packed in turn; with few rows a panel for every thread
  Barrier barrier = {};
  Taken taken[kMostStretches];  // those of the team

  Work(const Product<T>& p, const Plan<T>& plan, T* memory, int team)
      : p(p), plan(plan), a_buffers(memory), b_buffer(memory + plan.a_size * team) {
    for (int i = 0; i < team && i < kMostStretches; ++i) taken[i] = {};
  }
};

template <class T>
class Worker {
 public:
  Worker(Work<T>& work, int thread, int team)
      : work_(work),
        p_(work.p),
        plan_(work.plan),
        thread_(thread),
        team_(team),
        a_buffer_(work.a_buffers + thread * work.plan.a_size) {}

  void run() {
    if (plan_.few_rows) return run_few_rows();
    const DepthCut<T> depth(p_.k);
    for (col0_ = 0; col0_ < p_.n; col0_ += plan_.block_cols) {
      cols_ = least(plan_.block_cols, p_.n - col0_);
      for (std::int64_t i = 0; i < depth.blocks(); ++i, ++step_) {
        begin_depth(depth, i);
        provide_b();
        multiply_pieces();
      }
    }
  }

 private:
  using B = typename Plan<T>::B;

  // A panel of B as a tile reads it, and where the columns of C under it begin.
  struct Panel {
    const T* b;
    std::int64_t stride, col;
    int cols, width;
  };

  void begin_depth(const DepthCut<T>& depth, std::int64_t i) {
    k0_ = depth.begin(i);
    depth_ = depth.begin(i + 1) - k0_;
    first_ = i == 0;
    last_ = i + 1 == depth.blocks();
  }

  // One of [0, pieces), or `pieces` when there are none left.
  std::int64_t take_piece(std::int64_t pieces) {
    const int stretches = team_ < kMostStretches ? team_ : kMostStretches;
    const Cut cut(pieces, stretches);
    for (; helped_ < stretches; ++helped_) {
      const int s = (thread_ + helped_) % stretches;
      std::int64_t& taken = work_.taken[s].pieces[step_ % 3];
      const std::int64_t piece =
          cut.begin(s) + (team_ == 1 ? taken++ : __atomic_fetch_add(&taken, 1, __ATOMIC_RELAXED));
      if (piece < cut.begin(s + 1)) return piece;
    }
    return pieces;
  }

  // Every piece, a group of columns or of rows, goes through the whole of k, by one thread that waits for nobody.
  void run_few_rows() {
    const DepthCut<T> depth(p_.k);
    const Cut blocks(plan_.row_panels, plan_.row_blocks), groups(ceil_div(p_.n, kTileCols<T>), plan_.col_groups);
    const std::int64_t pieces = plan_.row_blocks * plan_.col_groups;
    T* const buffer = work_.b_buffer + thread_ * (plan_.b_size / team_);
    for (std::int64_t piece; (piece = take_piece(pieces)) < pieces;) {
      const std::int64_t block = plan_.col_groups == 1 ? piece : 0, group = piece - block;
      const std::int64_t first_row = blocks.begin(block), end_row = blocks.begin(block + 1), row0 = row_of(first_row);
      for (std::int64_t i = 0; i < depth.blocks(); ++i) {
        begin_depth(depth, i);
        if (plan_.pack_a) pack_a(first_row, end_row);
        const std::int64_t end = groups.begin(group + 1);
        for (std::int64_t j = groups.begin(group), next; j < end; j = next) {
          next = least(j + plan_.panels_at_once, end);
          const T* packed = buffer;
          if (plan_.b == B::packed)
            packed = p_.packed_b + k0_ * padded_cols<T>(p_.n) + j * kTileCols<T> * depth_;
          else if (plan_.b == B::pack)
            pack_b_panels(buffer, j, p_.b, p_.n, j, next, k0_, depth_, 0, depth_);
          else if (!lies_ready(next - 1))
            pack_b_panels(buffer, next - 1, p_.b, p_.n, next - 1, next, k0_, depth_, 0, depth_);
          for (std::int64_t i = j; i < next; ++i) {
            const std::int64_t before = plan_.b == B::direct ? 0 : (i - j) * kTileCols<T> * depth_;
            multiply_tiles(panel_at(i, packed + before), first_row, end_row, row0);
          }
        }
      }
    }
  }

  bool lies_ready(std::int64_t panel) const { return plan_.b == B::direct && (panel + 1) * kTileCols<T> <= p_.n; }

  Panel panel_at(std::int64_t panel, const T* packed) const {
    const std::int64_t col = panel * kTileCols<T>;
    const int width = panel_width<T>(p_.n, panel), cols = static_cast<int>(least(width, p_.n - col));
    if (lies_ready(panel)) return {p_.b.at(k0_, col), p_.b.row, col, cols, width};
    return {packed, width, col, cols, width};
  }

  // The halves of the buffer alternate: a thread may pack for the next step while others still read for this one, and
  // cannot be two steps ahead.
  void provide_b() {
    if (plan_.b_size) {
      b_packed_ = work_.b_buffer + step_ % 2 * (plan_.b_size / 2);
      const std::int64_t first = col0_ / kTileCols<T>, panels = ceil_div(cols_, kTileCols<T>);
      const bool by_panels = panels >= team_;
      const Cut cut(by_panels ? panels : depth_, team_);
      const std::int64_t begin = cut.begin(thread_), end = cut.begin(thread_ + 1);
      if (plan_.b == B::direct) {
        if (thread_ == 0 && cols_ % kTileCols<T>) pack_b(last_panel(), last_panel(), last_panel() + 1, 0, depth_);
      } else if (by_panels) {
        pack_b(first, first + begin, first + end, 0, depth_);
      } else {
        pack_b(first, first, first + panels, begin, end);
      }
    } else if (plan_.b == B::packed) {
      b_packed_ = const_cast<T*>(p_.packed_b) + k0_ * padded_cols<T>(p_.n) + col0_ * depth_;
    }
    // One step and nothing packed: there is nobody to wait for.
    if (plan_.b_size || p_.k > kBlockDepth<T> || p_.n > plan_.block_cols) barrier_wait(work_.barrier, team_);
    if (thread_ < kMostStretches) work_.taken[thread_].pieces[(step_ + 1) % 3] = 0;  // read after the next barrier only
  }

  void pack_b(std::int64_t origin, std::int64_t first, std::int64_t end, std::int64_t from, std::int64_t to) {
    pack_b_panels(b_packed_, origin, p_.b, p_.n, first, end, k0_, depth_, from, to);
  }

  std::int64_t last_panel() const { return (p_.n - 1) / kTileCols<T>; }

  void multiply_pieces() {
    const std::int64_t pieces = plan_.row_blocks * plan_.col_groups;
    const Cut blocks(plan_.row_panels, plan_.row_blocks), groups(ceil_div(cols_, kTileCols<T>), plan_.col_groups);
    std::int64_t packed_block = -1;
    helped_ = 0;
    for (;;) {
      const std::int64_t piece = take_piece(pieces);
      if (piece == pieces) return;
      const std::int64_t group = plan_.col_groups == 1 ? 0 : piece / plan_.row_blocks;
      const std::int64_t block = piece - group * plan_.row_blocks;
      const std::int64_t first = blocks.begin(block), end = blocks.begin(block + 1);
      if (plan_.pack_a && packed_block != block) {
        pack_a(first, end);
        packed_block = block;
      }
      multiply_piece(first, end, groups.begin(group), groups.begin(group + 1));
    }
  }

  std::int64_t row_of(std::int64_t panel) const { return plan_.rows.begin(panel); }

  void pack_a(std::int64_t first, std::int64_t end) {
    const std::int64_t row0 = row_of(first);
    const auto place = [&](std::int64_t i) {
      const int rows = static_cast<int>(row_of(i + 1) - row_of(i));
      return PanelPlace<T>{a_buffer_ + (row_of(i) - row0) * depth_, rows, row_of(i), rows};
    };
    pack_panels<T>(first, end, place, p_.a.at(0, k0_), p_.a.row, p_.a.col, p_.m, depth_);
  }

  void multiply_piece(std::int64_t first_row, std::int64_t end_row, std::int64_t first_col, std::int64_t end_col) {
    const std::int64_t row0 = row_of(first_row), panel0 = col0_ / kTileCols<T>;
    const auto panel = [&](std::int64_t j) {
      return panel_at(panel0 + j, b_packed_ + (plan_.b == B::direct ? 0 : j * kTileCols<T> * depth_));
    };
    if (cols_ > kFewCols) {
      // A panel of B stays close while the block of A streams by.
      for (std::int64_t j = first_col; j < end_col; ++j) multiply_tiles(panel(j), first_row, end_row, row0);
    } else {
      for (std::int64_t i = first_row; i < end_row; ++i)
        for (std::int64_t j = first_col; j < end_col; ++j) multiply_tiles(panel(j), i, i + 1, row0);
    }
  }

  // Row panels [first, end) of A, packed ones beginning with row0, meet a panel of B.
  void multiply_tiles(const Panel& panel, std::int64_t first, std::int64_t end, std::int64_t row0) {
    const Output<T>& out = p_.out;
    const WalkA walk = plan_.pack_a ? WalkA::columns : plan_.walk;
    const bool straight =
        out.c.col == 1 && panel.cols == panel.width && out.alpha == T(1) && (!last_ || out.in_place());
    std::int64_t row = row_of(first);
    for (std::int64_t i = first; i < end; ++i) {
      const int rows = static_cast<int>(plan_.rows.length + (i < plan_.rows.longer));
      if (rows == 0) return;
      const T* a = plan_.pack_a ? a_buffer_ + (row - row0) * depth_ : p_.a.at(row, k0_);
      const std::int64_t a_stride = plan_.pack_a ? rows : walk == WalkA::rows ? p_.a.row : p_.a.col;
      const TileKernel<T> kernel = tile_kernel<T>(walk, rows, panel.width / Vec<T>::width);
      if (straight) {
        kernel(depth_, a, a_stride, panel.b, panel.stride, out.c.at(row, panel.col), out.c.row,
               !first_ || out.accumulate);
        if (last_) finish(out, Place{row, panel.col, rows, panel.cols, first_, last_});
      } else {
        alignas(64) T tile[kTileRows * kTileCols<T>];
        kernel(depth_, a, a_stride, panel.b, panel.stride, tile, panel.width, false);
        put(out, tile, panel.width, Place{row, panel.col, rows, panel.cols, first_, last_});
      }
      row += rows;
    }
  }

  Work<T>& work_;
  const Product<T>& p_;
  const Plan<T>& plan_;
  const int thread_, team_;
  int helped_ = 0;  // threads whose stretch was found empty, the own one first
  T* const a_buffer_;
  T* b_packed_ = nullptr;
  std::int64_t step_ = 0, col0_ = 0, cols_ = 0, k0_ = 0, depth_ = 0;
  bool first_ = false, last_ = false;
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
