// What all drivers of recurrent sequences share: weights packed in panels of units or columns, and the work of a team.
#pragma once
#include "core/barrier.h"
#include "core/parallel.h"
#include "cpu/gemm_micro.h"
#include "cpu/gemm_pack.h"
#include "kernels/rnn_program.h"
#include "simd/pair.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kRegisters = kTarget == Target::avx512 || kTarget == Target::neon ? 32 : 16;
constexpr double kRecurrentFlopsWorthAThread = 6e4;  // in one step
constexpr int kBatchBlock = 48;                      // sequences whose sums are kept beside a panel of weights
constexpr std::int64_t kPanelBytes = 16 * 1024;      // of a panel that stay in the first-level cache meanwhile

// As tile() of a product, for wide tiles: R elements of A stay in registers while the V vectors of a row of B pass, not
// the other way round. That fits a third row of four vectors into 16 registers: two would give too few sums to hide the
// latency of a multiplication, and would read B oftener than the load units can.
template <class T, int R, int V>
void wide_tile(std::int64_t k, const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride, T* c,
               std::int64_t c_stride, bool accumulate) {
  constexpr int W = Vec<T>::width;
  Vec<T> sums[R][V];
  clear(sums);
  for (std::int64_t i = 0; i < k; ++i, ++a, b += b_stride) {
    Vec<T> x[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) x[r] = Vec<T>(a[r * a_stride]);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const Vec<T> row = Vec<T>::load(b + v * W);
      if (v * W * sizeof(T) % 64 == 0) __builtin_prefetch(b + kPrefetchSteps * b_stride + v * W);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) sums[r][v] = fma(x[r], row, sums[r][v]);
    }
  }
  write_tile(sums, c, c_stride, accumulate);
}

// Tiles of 1 … kMost rows of V vectors.
template <class T, int V>
struct RowTiles {
  static constexpr int kHoldingB = (kRegisters - 1 - V) / V, kHoldingA = (kRegisters - 1) / (V + 1);
  static constexpr int kMost = kHoldingA > kHoldingB ? kHoldingA : kHoldingB > 1 ? kHoldingB : 1;
  TileKernel<T> at[kMost];
  template <int R = kMost>
  static constexpr void fill(RowTiles& tiles) {
    if constexpr (kHoldingA > kHoldingB)
      tiles.at[R - 1] = wide_tile<T, R, V>;
    else
      tiles.at[R - 1] = tile<T, R, V, WalkA::rows>;
    if constexpr (R > 1) fill<R - 1>(tiles);
  }
  static constexpr RowTiles make() {
    RowTiles tiles{};
    fill(tiles);
    return tiles;
  }
};

// One row: too few sums for the processor's pipelines, so k is dealt out to several of them in turn. The row's `parts`
// pieces of k elements each lie wherever a says, B's one behind the other.
template <class T, int V>
void single_row(std::int64_t k, int parts, const T* const* a, const T* b, T* sums, bool accumulate) {
  constexpr int W = Vec<T>::width, kTurns = V >= 8 ? 1 : 8 / V;
  Vec<T> part[kTurns][V];
  for (auto& turn : part)
    for (Vec<T>& v : turn) v = Vec<T>(T(0));
  for (int p = 0; p < parts; ++p, b += k * V * W) {
    const T* const from = a[p];
    const auto add = [&](Vec<T>* to, std::int64_t i) {
      const Vec<T> x(from[i]);
      for (int v = 0; v < V; ++v) to[v] = fma(x, Vec<T>::load(b + (i * V + v) * W), to[v]);
    };
    std::int64_t i = 0;
    for (; i + kTurns <= k; i += kTurns)
#pragma GCC unroll 8
      for (int t = 0; t < kTurns; ++t) add(part[t], i + t);
    for (; i < k; ++i) add(part[0], i);
  }
  for (int v = 0; v < V; ++v) {
    Vec<T> total = part[0][v];
    for (int t = 1; t < kTurns; ++t) total = total + part[t][v];
    (accumulate ? Vec<T>::load(sums + v * W) + total : total).store(sums + v * W);
  }
}

// Asks for n elements ahead of their use. What another thread has written lies in its cache, and rows that a step
// visits lie far apart: the hardware foresees neither.
template <bool to_write, class T>
LAMINA_INLINE void fetch(const T* p, std::int64_t n) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  for (std::int64_t i = 0; i < n; i += kLine) __builtin_prefetch(p + i, to_write, to_write ? 3 : 2);
}

struct Share {
  std::int64_t begin, end;
  Share(std::int64_t panels, int thread, int team) : begin(panels * thread / team), end(panels * (thread + 1) / team) {}
};

// body(first, count) for rows cut into as few tiles as can be, of even height: low ones hide no latency.
template <class Body>
LAMINA_INLINE void for_each_tile(int rows, int most, Body body) {
  const int tiles = (rows + most - 1) / most;
  for (int t = 0, row = 0; t < tiles; ++t) {
    const int end = rows * (t + 1) / tiles;
    body(row, end - row);
    row = end;
  }
}

// The recurrent product of `gates` gates for panels of units. Threads get them in groups, whose units fill whole lines
// of memory.
template <class T, int gates>
struct GatePanels {
  static constexpr int kWidth = Vec<T>::width;
  static constexpr int kVecs = gates == 1 ? kGemmTileVecs : 1;  // vectors of units in a panel
  static constexpr int kUnits = kVecs * kWidth, kCols = gates * kUnits;
  static constexpr int kGroup = gates == 1 ? 1 : 2;  // panels
  static constexpr int kGroupUnits = kGroup * kUnits, kGroupCols = kGroup * kCols;
  static constexpr RowTiles<T, gates* kVecs> kTiles = RowTiles<T, gates * kVecs>::make();
  static constexpr int kRows = RowTiles<T, gates * kVecs>::kMost;

  T* packed;  // [panels][depth][gates][kUnits]
  std::int64_t units, depth;

  static std::int64_t panels(std::int64_t units) { return (units + kUnits - 1) / kUnits; }
  static std::int64_t groups(std::int64_t units) { return (units + kGroupUnits - 1) / kGroupUnits; }
  std::int64_t packed_size() const { return panels(units) * depth * kCols; }
  std::int64_t first_panel(std::int64_t group) const {
    const std::int64_t all = panels(units);
    return group * kGroup < all ? group * kGroup : all;
  }

  // `weight`: [gates · units, depth]
  [[gnu::noinline]] void pack_panel(const T* weight, std::int64_t panel) const {
    const std::int64_t first = panel * kUnits, left = units - first;
    for (int g = 0; g < gates; ++g)
      pack(packed + panel * depth * kCols + g * kUnits, kCols, weight + (g * units + first) * depth, depth, 1,
           static_cast<int>(left < kUnits ? left : kUnits), left, depth);
  }
  // sums[rows][kGroup][gates][kUnits] = a[rows, depth] · the panels of a group.
  void multiply(std::int64_t group, const T* a, int rows, T* sums) const {
    const std::int64_t first = first_panel(group), end = first_panel(group + 1);
    for (std::int64_t p = first; p < end; ++p) multiply_panel(p, a, rows, sums + (p - first) * kCols);
  }
  // Where the sums of a gate begin for the vector of units at `unit` of a group.
  static constexpr int sum_at(int gate, int unit) { return gates == 1 ? unit : unit / kUnits * kCols + gate * kUnits; }

 private:
  // A part of k at a time that stays close for all rows.
  void multiply_panel(std::int64_t panel, const T* a, int rows, T* sums) const {
    const std::int64_t most = rows == 1 ? depth : kPanelBytes / static_cast<std::int64_t>(kCols * sizeof(T));
    for (std::int64_t k = 0; k < depth; k += most) {
      const std::int64_t part = depth - k < most ? depth - k : most;
      const T* const b = packed + (panel * depth + k) * kCols;
      if (rows == 1) {
        single_row<T, gates * kVecs>(part, 1, &a, b, sums, false);
        continue;
      }
      for_each_tile(rows, kRows, [&](int row, int count) {
        kTiles.at[count - 1](part, a + row * depth + k, depth, b, kCols, sums + row * kGroupCols, kGroupCols, k > 0);
      });
    }
  }
};

// The way back: what the gates' gradients give to each column of what the gates saw, d[rows, gates · units] · weight,
// for panels of these columns. It comes in two sums, over the first half of the units and over the second: two threads
// then have only sums to tell each other, a few for each row, and not all gradients.
template <class T>
struct ReturnPanels {
  static constexpr int kHalves = 2, kPanel = kTileCols<T>;
  T* packed;  // [panels][halves][gates][units of the half][kPanel]
  std::int64_t columns, units;
  int gates;

  static std::int64_t panels(std::int64_t columns) { return (columns + kPanel - 1) / kPanel; }
  static std::int64_t padded(std::int64_t columns) { return panels(columns) * kPanel; }
  std::int64_t packed_size() const { return gates * units * padded(columns); }
  // The halves are whole panels of units, so that a thread of two that owns half of these owns a half.
  static std::int64_t first_unit(std::int64_t units, int half) {
    const std::int64_t unit = panels(units) * half / kHalves * kPanel;
    return unit < units ? unit : units;
  }

  T* at(std::int64_t panel, int half) const {
    return packed + (panel * units + first_unit(units, half)) * gates * kPanel;
  }
  [[gnu::noinline]] void pack_panel(const T* weight, std::int64_t panel, int half) const {
    const std::int64_t column = panel * kPanel, left = columns - column;
    const std::int64_t first = first_unit(units, half), count = first_unit(units, half + 1) - first;
    const int lanes = static_cast<int>(left < kPanel ? left : kPanel);
    for (int g = 0; g < gates; ++g)
      pack(at(panel, half) + g * count * kPanel, kPanel, weight + (g * units + first) * columns + column, 1, columns,
           lanes, left, count);
  }
  // sums[rows][…, kPanel] = or += Σ over gates and the half's units of d[rows, blocks[gate] · units …] · weight
  [[gnu::noinline]] void multiply(std::int64_t panel, int half, const T* d, std::int64_t d_row, const int* blocks,
                                  std::int64_t rows, T* sums, std::int64_t sums_row, bool accumulate) const {
    const std::int64_t first = first_unit(units, half), count = first_unit(units, half + 1) - first;
    const T* b = at(panel, half);
    if (rows == 1) {
      const T* from[kProgramGates];
      for (int g = 0; g < gates; ++g) from[g] = d + blocks[g] * units + first;
      return single_row<T, kTileVecs>(count, gates, from, b, sums, accumulate);
    }
    const std::int64_t most = kPanelBytes / static_cast<std::int64_t>(kPanel * sizeof(T));
    for (int g = 0; g < gates; ++g)
      for (std::int64_t k = 0; k < count || (k == 0 && g == 0); k += most) {
        const std::int64_t depth = count - k < most ? count - k : most;
        const T* const from = d + blocks[g] * units + first + k;
        for (std::int64_t row = 0; row < rows; row += kBatchBlock) {
          const int many = static_cast<int>(rows - row < kBatchBlock ? rows - row : kBatchBlock);
          for_each_tile(many, kTileRows, [&](int r, int high) {
            tile_kernel<T>(WalkA::rows, high, kTileVecs)(depth, from + (row + r) * d_row, d_row, b, kPanel,
                                                         sums + (row + r) * sums_row, sums_row,
                                                         accumulate || g > 0 || k > 0);
          });
        }
        b += depth * kPanel;
      }
  }
};

// Units held at once: `n` lanes of a vector (0), a vector (1), or two (2).
template <class T, int vecs>
struct HeldUnits {
  using type = Vec<T>;
};
template <class T>
struct HeldUnits<T, 2> {
  using type = Pair<Vec<T>>;
};
template <class T, int vecs>
using Units = typename HeldUnits<T, vecs>::type;
template <class T>
constexpr int kUnitsAtOnce = sizeof(T) == 4 && kTarget != Target::scalar ? 2 : 1;  // else functions go lane by lane

template <int vecs, class T>
LAMINA_INLINE Units<T, vecs> load_units(const T* p, int n) {
  if constexpr (vecs == 2)
    return {Vec<T>::load(p), Vec<T>::load(p + Vec<T>::width)};
  else if constexpr (vecs == 1)
    return Vec<T>::load(p);
  else
    return Vec<T>::load(p, n);
}
template <int vecs, class T>
LAMINA_INLINE void store_units(Units<T, vecs> v, T* p, int n) {
  if constexpr (vecs == 2) {
    v.a.store(p);
    v.b.store(p + Vec<T>::width);
  } else if constexpr (vecs == 1) {
    v.store(p);
  } else {
    v.store(p, n);
  }
}

// body<vecs>(first unit, lanes, offset in the panel) for the vectors of a panel, `most` at once where so many are left.
template <int width, int most = 1>
struct Lanes {
  template <class Body>
  static LAMINA_INLINE void each(std::int64_t first, std::int64_t units, int panel, Body body) {
    for (int v = 0; v < panel && first + v < units;) {
      const std::int64_t left = units - first - v;
      if (left >= most * width && panel - v >= most * width) {
        body.template operator()<most>(first + v, width, v);
        v += most * width;
      } else {
        body.template operator()<0>(first + v, static_cast<int>(left < width ? left : width), v);
        v += width;
      }
    }
  }
};

// How far a state moves to what the cell gives, for one row of one step.
template <class T>
struct Movement {
  T rate;
  const T* factors;  // null: 1

  Movement(double rate, const void* moves, std::int64_t at)
      : rate(static_cast<T>(rate)), factors(moves ? static_cast<const T*>(moves) + at : nullptr) {}

  bool all_the_way() const { return rate == T(1) && !factors; }
  template <int vecs>
  LAMINA_INLINE Units<T, vecs> part(std::int64_t u, int n) const {
    const Units<T, vecs> all(rate);
    return factors ? all * load_units<vecs>(factors + u, n) : all;
  }
  template <int vecs>
  LAMINA_INLINE Units<T, vecs> moved(Units<T, vecs> before, Units<T, vecs> fresh, std::int64_t u, int n) const {
    return all_the_way() ? fresh : fma(part<vecs>(u, n), fresh - before, before);
  }
};

// All threads whose share of a step is worth one.
template <class Driver, class Run>
void drive(const Run& run, std::int64_t batch, std::int64_t units, int gates) {
  Driver driver(run);
  const double flops = 2.0 * static_cast<double>(batch * gates) * static_cast<double>(units * units);
  parallel_team(
      flops < kRecurrentFlopsWorthAThread ? 1 : thread_count(),
      [](void* d, int thread, int team) { static_cast<Driver*>(d)->work(thread, team); }, &driver);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
