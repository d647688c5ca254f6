// Runs a cell (kernels/rnn_formulas.h) over sequences, forward and backward.
//
// The units are cut into panels; a thread owns the same panels at every step, keeps their recurrent weights packed in
// its cache and meets the others once a step (twice for cells of two stages). All gates of a panel's units are summed
// in one register tile, so that the cell follows while the sums are still in the first-level cache.
#pragma once
#include "core/barrier.h"
#include "core/parallel.h"
#include "cpu/gemm_micro.h"
#include "cpu/gemm_pack.h"
#include "kernels/rnn_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kRegisters = kTarget == Target::avx512 || kTarget == Target::neon ? 32 : 16;
constexpr double kRecurrentFlopsWorthAThread = 1e5;  // in one step
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
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sums[r][v] = Vec<T>(T(0));
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
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      T* to = c + r * c_stride + v * W;
      (accumulate ? Vec<T>::load(to) + sums[r][v] : sums[r][v]).store(to);
    }
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

// One row: too few sums for the processor's pipelines, so k is dealt out to several of them in turn.
template <class T, int V>
void single_row(std::int64_t k, const T* a, const T* b, T* sums, bool accumulate) {
  constexpr int W = Vec<T>::width, kTurns = V >= 8 ? 1 : 8 / V;
  Vec<T> part[kTurns][V];
  for (auto& turn : part)
    for (Vec<T>& v : turn) v = Vec<T>(T(0));
  const auto add = [&](Vec<T>* to, std::int64_t i) {
    const Vec<T> x(a[i]);
    for (int v = 0; v < V; ++v) to[v] = fma(x, Vec<T>::load(b + (i * V + v) * W), to[v]);
  };
  std::int64_t i = 0;
  for (; i + kTurns <= k; i += kTurns)
#pragma GCC unroll 8
    for (int t = 0; t < kTurns; ++t) add(part[t], i + t);
  for (; i < k; ++i) add(part[0], i);
  for (int v = 0; v < V; ++v) {
    Vec<T> total = part[0][v];
    for (int t = 1; t < kTurns; ++t) total = total + part[t][v];
    (accumulate ? Vec<T>::load(sums + v * W) + total : total).store(sums + v * W);
  }
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

// The recurrent product of `gates` gates for panels of units.
template <class T, int gates>
struct GatePanels {
  static constexpr int kWidth = Vec<T>::width;
  static constexpr int kVecs = gates == 1 ? kGemmTileVecs : 1;  // vectors of units in a panel
  static constexpr int kUnits = kVecs * kWidth, kCols = gates * kUnits;
  static constexpr RowTiles<T, gates* kVecs> kTiles = RowTiles<T, gates * kVecs>::make();
  static constexpr int kRows = RowTiles<T, gates * kVecs>::kMost;

  T* packed;  // [panels][depth][gates][kUnits]
  std::int64_t units, depth;

  static std::int64_t panels(std::int64_t units) { return (units + kUnits - 1) / kUnits; }
  std::int64_t packed_size() const { return panels(units) * depth * kCols; }

  // `weight`: [gates · units, depth]
  void pack_panel(const T* weight, std::int64_t panel) const {
    const std::int64_t first = panel * kUnits, left = units - first;
    for (int g = 0; g < gates; ++g)
      pack(packed + panel * depth * kCols + g * kUnits, kCols, weight + (g * units + first) * depth, depth, 1,
           static_cast<int>(left < kUnits ? left : kUnits), left, depth);
  }
  // sums[rows][gates][kUnits] = a[rows, depth] · the panel, a part of k at a time that stays close for all rows.
  void multiply(std::int64_t panel, const T* a, int rows, T* sums) const {
    constexpr std::int64_t kPart = kPanelBytes / (kCols * sizeof(T));
    for (std::int64_t k = 0; k < depth; k += kPart) {
      const std::int64_t part = depth - k < kPart ? depth - k : kPart;
      const T* const b = packed + (panel * depth + k) * kCols;
      if (rows == 1) {
        single_row<T, gates * kVecs>(part, a + k, b, sums, k > 0);
        continue;
      }
      for_each_tile(rows, kRows, [&](int row, int count) {
        kTiles.at[count - 1](part, a + row * depth + k, depth, b, kCols, sums + row * kCols, kCols, k > 0);
      });
    }
  }
};

// The way back: [rows, columns] += d[rows, gate] · weight[gate], for panels of the sum's columns.
template <class T>
struct ReturnPanels {
  T* packed;  // [panels][gates][units][kTileCols]
  std::int64_t columns, units;
  int gates;

  static std::int64_t panels(std::int64_t columns) { return (columns + kTileCols<T> - 1) / kTileCols<T>; }
  std::int64_t packed_size() const { return panels(columns) * gates * units * kTileCols<T>; }

  T* at(std::int64_t panel, int gate) const { return packed + (panel * gates + gate) * units * kTileCols<T>; }
  void pack_panel(const T* weight, std::int64_t panel) const {
    const std::int64_t first = panel * kTileCols<T>, left = columns - first;
    const int lanes = static_cast<int>(left < kTileCols<T> ? left : kTileCols<T>);
    for (int g = 0; g < gates; ++g)
      pack(at(panel, g), kTileCols<T>, weight + g * units * columns + first, 1, columns, lanes, left, units);
  }
  // sums[rows][kTileCols] = Σ over gates of d[rows, blocks[gate] · units …] · weight
  void multiply(std::int64_t panel, const T* d, std::int64_t d_row, const int* blocks, int rows, T* sums) const {
    constexpr std::int64_t kDepth = kPanelBytes / (kTileCols<T> * sizeof(T));
    for (int g = 0; g < gates; ++g)
      for (std::int64_t k = 0; k < units; k += kDepth) {
        const std::int64_t depth = units - k < kDepth ? units - k : kDepth;
        const T *const from = d + blocks[g] * units + k, *const b = at(panel, g) + k * kTileCols<T>;
        const bool accumulate = g > 0 || k > 0;
        if (rows == 1) {
          single_row<T, kTileVecs>(depth, from, b, sums, accumulate);
          continue;
        }
        for_each_tile(rows, kTileRows, [&](int row, int count) {
          tile_kernel<T>(WalkA::rows, count, kTileVecs)(depth, from + row * d_row, d_row, b, kTileCols<T>,
                                                        sums + row * kTileCols<T>, kTileCols<T>, accumulate);
        });
      }
  }
};

// `n` lanes at p; all of them as one plain load.
template <bool whole, class T>
LAMINA_INLINE Vec<T> load_units(const T* p, int n) {
  if constexpr (whole) return Vec<T>::load(p);
  return Vec<T>::load(p, n);
}
template <bool whole, class T>
LAMINA_INLINE void store_units(Vec<T> v, T* p, int n) {
  if constexpr (whole)
    v.store(p);
  else
    v.store(p, n);
}

// Where things lie in the memory of a run.
template <class T, class Cell>
struct RunView {
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  using V = Vec<T>;
  const RnnRun& run;

  std::int64_t time(std::int64_t step) const { return run.reverse ? run.steps - 1 - step : step; }
  std::int64_t state_size() const { return run.batch * run.units; }
  std::int64_t slot(std::int64_t time, bool after) const { return time + (run.reverse != after ? 1 : 0); }
  T* state(void* states, std::int64_t time, bool after) const {
    return states ? static_cast<T*>(states) + slot(time, after) * state_size() : nullptr;
  }
  // What the gates see of a state.
  T* seen(std::int64_t time, bool after) const {
    return static_cast<T*>(run.seen ? run.seen : run.h) + slot(time, after) * state_size() * kLayout.seen;
  }
  T* gates(void* all, std::int64_t time) const { return static_cast<T*>(all) + time * state_size() * kLayout.stored; }
  T* masked(std::int64_t time) const { return static_cast<T*>(run.masked) + time * state_size(); }
  const T* unit(int which, std::int64_t u) const { return static_cast<const T*>(run.unit) + which * run.units + u; }
  bool active(std::int64_t row, std::int64_t time) const { return !run.lengths || time < run.lengths[row]; }
  // What the input gives a gate, which lies at `gates`.
  template <bool whole>
  LAMINA_INLINE V from_input(const T* gates, int gate, std::int64_t u, int n) const {
    const std::int64_t at = gate * run.units + u;
    const V x = load_units<whole>(gates + at, n);
    return run.bias ? x + load_units<whole>(static_cast<const T*>(run.bias) + at, n) : x;
  }
  // h as the gates see it, or the gradient on its way back through the same mask.
  template <bool whole>
  LAMINA_INLINE V through_mask(V h, std::int64_t row, std::int64_t u, int n) const {
    return run.mask ? h * load_units<whole>(static_cast<const T*>(run.mask) + row * run.units + u, n) : h;
  }
};

// How far a state moves to what the cell gives, for one row of one step.
template <class T>
struct Movement {
  using V = Vec<T>;
  T rate;
  const T* factors;  // null: 1

  Movement(double rate, const void* moves, std::int64_t at)
      : rate(static_cast<T>(rate)), factors(moves ? static_cast<const T*>(moves) + at : nullptr) {}

  bool all_the_way() const { return rate == T(1) && !factors; }
  template <bool whole>
  LAMINA_INLINE V part(std::int64_t u, int n) const {
    return factors ? V(rate) * load_units<whole>(factors + u, n) : V(rate);
  }
  template <bool whole>
  LAMINA_INLINE V moved(V before, V fresh, std::int64_t u, int n) const {
    return all_the_way() ? fresh : fma(part<whole>(u, n), fresh - before, before);
  }
};

// body(first unit, lanes, offset in the panel, std::true_type-like tag: are all lanes there?) for each vector of a
// panel.
template <int width>
struct Lanes {
  template <class Body>
  static LAMINA_INLINE void each(std::int64_t first, std::int64_t units, int panel, Body body) {
    for (int v = 0; v < panel && first + v < units; v += width) {
      const std::int64_t left = units - first - v;
      if (left >= width)
        body.template operator()<true>(first + v, width, v);
      else
        body.template operator()<false>(first + v, static_cast<int>(left), v);
    }
  }
};

template <class T, class Cell>
class Forward {
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr bool kTwoStages = kLayout.second > 0;
  static constexpr int kEarly = kTwoStages ? 2 : 0;  // gates that the first of two stages settles
  using V = Vec<T>;
  using FirstPanels = GatePanels<T, kLayout.first>;
  using SecondPanels = GatePanels<T, kTwoStages ? kLayout.second : 1>;

 public:
  explicit Forward(const RnnRun& run)
      : run_(run),
        view_{run_},
        first_{static_cast<T*>(run.packed), run.units, run.units * kLayout.seen},
        second_{static_cast<T*>(run.packed) + first_.packed_size(), run.units, run.units} {}

  void work(int thread, int team) {
    const Share mine(FirstPanels::panels(run_.units), thread, team);
    const Share then(kTwoStages ? SecondPanels::panels(run_.units) : 0, thread, team);
    for (std::int64_t p = mine.begin; p < mine.end; ++p) first_.pack_panel(static_cast<const T*>(run_.weight), p);
    for (std::int64_t p = then.begin; p < then.end; ++p) second_.pack_panel(static_cast<const T*>(run_.second), p);
    for (std::int64_t step = 0; step < run_.steps; ++step) {
      const std::int64_t time = view_.time(step);
      for (std::int64_t p = mine.begin; p < mine.end; ++p)
        panel(first_, p, view_.seen(time, false), [&](std::int64_t row, const T* sums) {
          if constexpr (kTwoStages)
            mask(time, p, row, sums);
          else
            finish<FirstPanels>(time, p, row, sums);
        });
      barrier_wait(barrier_, team);
      if constexpr (kTwoStages) {
        for (std::int64_t p = then.begin; p < then.end; ++p)
          panel(second_, p, view_.masked(time),
                [&](std::int64_t row, const T* sums) { finish<SecondPanels>(time, p, row, sums); });
        barrier_wait(barrier_, team);
      }
    }
  }

 private:
  template <class Panels, class Body>
  void panel(const Panels& panels, std::int64_t p, const T* a, Body body) {
    alignas(64) T sums[kBatchBlock * Panels::kCols];
    for (std::int64_t row = 0; row < run_.batch; row += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - row < kBatchBlock ? run_.batch - row : kBatchBlock);
      panels.multiply(p, a + row * panels.depth, rows, sums);
      for (int r = 0; r < rows; ++r) body(row + r, sums + r * Panels::kCols);
    }
  }

  // The first of two stages, for one row of a panel.
  void mask(std::int64_t time, std::int64_t p, std::int64_t row, const T* sums) {
    const std::int64_t H = run_.units, at = row * H;
    T* const gates = view_.gates(run_.gates, time) + at * kLayout.stored;
    const T* const seen = view_.seen(time, false) + at * kLayout.seen;
    T* const masked = view_.masked(time) + at;
    Lanes<V::width>::each(p * FirstPanels::kUnits, H, FirstPanels::kUnits,
                          [&]<bool whole>(std::int64_t u, int n, int v) {
                            V x[kEarly], r[kLayout.first], stored[kEarly];
                            for (int g = 0; g < kEarly; ++g) x[g] = view_.template from_input<whole>(gates, g, u, n);
                            for (int g = 0; g < kLayout.first; ++g) r[g] = V::load(sums + g * FirstPanels::kUnits + v);
                            const V product = Cell::mask(x, r, load_units<whole>(seen + u, n), stored);
                            for (int g = 0; g < kEarly; ++g) store_units<whole>(stored[g], gates + g * H + u, n);
                            store_units<whole>(product, masked + u, n);
                          });
  }

  // The cell of one row of a panel; `sums` holds the recurrent gates of the last stage.
  template <class Panels>
  void finish(std::int64_t time, std::int64_t p, std::int64_t row, const T* sums) {
    constexpr int gates_here = kTwoStages ? kLayout.second : kLayout.first;
    const std::int64_t H = run_.units, at = row * H;
    T* const gates = view_.gates(run_.gates, time) + at * kLayout.stored;
    const T* const h_before = view_.state(run_.h, time, false) + at;
    T* const h_after = view_.state(run_.h, time, true) + at;
    const T* const c_before = kLayout.cell ? view_.state(run_.c, time, false) + at : nullptr;
    T* const c_after = kLayout.cell ? view_.state(run_.c, time, true) + at : nullptr;
    const std::int64_t at_time = time * view_.state_size() + at;
    const Movement<T> h_moves(run_.h_rate, run_.h_moves, at_time), c_moves(run_.c_rate, run_.c_moves, at_time);
    const bool active = view_.active(row, time);
    Lanes<V::width>::each(p * Panels::kUnits, H, Panels::kUnits, [&]<bool whole>(std::int64_t u, int n, int v) {
      const V h = load_units<whole>(h_before + u, n);
      const V c = kLayout.cell ? load_units<whole>(c_before + u, n) : V(0);
      if (!active) {
        store_units<whole>(h, h_after + u, n);
        if constexpr (kLayout.cell) store_units<whole>(c, c_after + u, n);
        if (run_.seen)
          for (int k = 0; k < kLayout.seen; ++k) {
            const std::int64_t there = at * kLayout.seen + k * H + u;
            store_units<whole>(load_units<whole>(view_.seen(time, false) + there, n), view_.seen(time, true) + there,
                               n);
          }
        return;
      }
      V x[kLayout.inputs], r[gates_here], unit[kLayout.unit + 1], stored[kLayout.stored];
      for (int g = 0; g < kEarly; ++g) x[g] = stored[g] = load_units<whole>(gates + g * H + u, n);
      for (int g = kEarly; g < kLayout.inputs; ++g) x[g] = view_.template from_input<whole>(gates, g, u, n);
      for (int g = 0; g < gates_here; ++g) r[g] = V::load(sums + g * Panels::kUnits + v);
      for (int k = 0; k < kLayout.unit; ++k) unit[k] = run_.unit ? load_units<whole>(view_.unit(k, u), n) : V(0);
      V fresh_c = c;
      const V fresh = Cell::step(x, r, h, fresh_c, unit, run_.options, stored);
      const V h_now = h_moves.template moved<whole>(h, fresh, u, n);
      store_units<whole>(h_now, h_after + u, n);
      if constexpr (kLayout.cell) store_units<whole>(c_moves.template moved<whole>(c, fresh_c, u, n), c_after + u, n);
      for (int g = 0; g < kLayout.stored; ++g) store_units<whole>(stored[g], gates + g * H + u, n);
      if (run_.seen) {
        V seen[kLayout.seen];
        seen[0] = view_.template through_mask<whole>(h_now, row, u, n);
        if constexpr (kLayout.seen > 1) Cell::show(stored, seen);
        for (int k = 0; k < kLayout.seen; ++k)
          store_units<whole>(seen[k], view_.seen(time, true) + at * kLayout.seen + k * H + u, n);
      }
    });
  }

  const RnnRun& run_;
  const RunView<T, Cell> view_;
  const FirstPanels first_;
  const SecondPanels second_;
  Barrier barrier_;
};

template <class T, class Cell>
class Backward {
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr bool kTwoStages = kLayout.second > 0;
  static constexpr bool kShowsMore = kLayout.seen > 1;  // than h
  static constexpr int kPanel = kTileCols<T>;
  using V = Vec<T>;
  using Panels = ReturnPanels<T>;

 public:
  explicit Backward(const RnnGradRun& run)
      : grad_(run),
        run_(run.forward),
        view_{run_},
        first_{static_cast<T*>(run_.packed), run_.units * kLayout.seen, run_.units, kLayout.first},
        second_{static_cast<T*>(run_.packed) + first_.packed_size(), run_.units, run_.units, kLayout.second} {}

  void work(int thread, int team) {
    const Share mine(Panels::panels(run_.units), thread, team);
    const Share columns(Panels::panels(first_.columns), thread, team);  // mine, but for cells that show more than h
    for (std::int64_t p = columns.begin; p < columns.end; ++p) first_.pack_panel(static_cast<const T*>(run_.weight), p);
    if constexpr (kTwoStages)
      for (std::int64_t p = mine.begin; p < mine.end; ++p) second_.pack_panel(static_cast<const T*>(run_.second), p);
    for (std::int64_t step = run_.steps; step-- > 0;) {
      const std::int64_t time = view_.time(step);
      for (std::int64_t row = 0; row < run_.batch; ++row)
        for (std::int64_t p = mine.begin; p < mine.end; ++p) gates_of(time, p, row);
      barrier_wait(barrier_, team);
      if constexpr (kTwoStages) {
        for (std::int64_t p = mine.begin; p < mine.end; ++p)
          panel(second_, p, time, kLayout.columns + kLayout.first,
                [&](std::int64_t row, const T* sums) { second_stage(time, p, row, sums); });
        barrier_wait(barrier_, team);
      }
      for (std::int64_t p = columns.begin; p < columns.end; ++p)
        panel(first_, p, time, kLayout.columns, [&](std::int64_t row, const T* sums) { first_stage(p, row, sums); });
      if constexpr (kShowsMore) barrier_wait(barrier_, team);
    }
    if constexpr (kShowsMore)
      for (std::int64_t row = 0; row < run_.batch; ++row)
        for (std::int64_t p = mine.begin; p < mine.end; ++p) reach_first_state(p, row);
  }

 private:
  template <class Body>
  void panel(const Panels& panels, std::int64_t p, std::int64_t time, const int* blocks, Body body) {
    alignas(64) T sums[kBatchBlock * kPanel];
    const std::int64_t d_row = kLayout.stored * run_.units;
    for (std::int64_t row = 0; row < run_.batch; row += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - row < kBatchBlock ? run_.batch - row : kBatchBlock);
      panels.multiply(p, view_.gates(grad_.dgates, time) + row * d_row, d_row, blocks, rows, sums);
      for (int r = 0; r < rows; ++r) body(row + r, sums + r * kPanel);
    }
  }

  T* dh(std::int64_t row) const { return static_cast<T*>(grad_.dh) + row * run_.units; }
  T* dseen(std::int64_t row) const { return static_cast<T*>(grad_.dseen) + row * first_.columns; }

  // What reaches h from the step that saw it, and into `from_later` what reaches all that the cell showed.
  template <bool whole>
  LAMINA_INLINE V seen_grad(std::int64_t row, const T* seen, std::int64_t u, int n, V* from_later) const {
    V shown[kLayout.seen];
    for (int k = 0; k < kLayout.seen; ++k) {
      from_later[k] = load_units<whole>(dseen(row) + k * run_.units + u, n);
      shown[k] = load_units<whole>(seen + k * run_.units + u, n);
    }
    return view_.template through_mask<whole>(Cell::show_grad(from_later, shown), row, u, n);
  }

  void gates_of(std::int64_t time, std::int64_t p, std::int64_t row) {
    const std::int64_t H = run_.units, at = row * H;
    T* const d = view_.gates(grad_.dgates, time) + at * kLayout.stored;
    const T* const gates = view_.gates(run_.gates, time) + at * kLayout.stored;
    const T* const h_before = view_.state(run_.h, time, false) + at;
    const T* const c_before = kLayout.cell ? view_.state(run_.c, time, false) + at : nullptr;
    const T* const seen = view_.seen(time, true) + at * kLayout.seen;
    const T* const dy =
        grad_.dy ? static_cast<const T*>(grad_.dy) + time * grad_.dy_step + row * grad_.dy_row : nullptr;
    T* const dh_row = dh(row);
    T* const dc_row = kLayout.cell ? static_cast<T*>(grad_.dc) + at : nullptr;
    const std::int64_t at_time = time * view_.state_size() + at;
    const Movement<T> h_moves(run_.h_rate, run_.h_moves, at_time), c_moves(run_.c_rate, run_.c_moves, at_time);
    const bool active = view_.active(row, time);
    Lanes<V::width>::each(p * kPanel, H, kPanel, [&]<bool whole>(std::int64_t u, int n, int) {
      V gate_gradients[kLayout.stored], from_later[kLayout.seen];
      for (V& g : gate_gradients) g = V(0);
      V total = load_units<whole>(dh_row + u, n);
      if constexpr (kShowsMore) total = total + seen_grad<whole>(row, seen, u, n, from_later);
      if (active) {
        if (dy) total = total + load_units<whole>(dy + u, n);
        V through = total;
        if (!h_moves.all_the_way()) through = h_moves.template part<whole>(u, n) * total;
        V stays = total - through;
        const V dc_total = kLayout.cell ? load_units<whole>(dc_row + u, n) : V(0);
        V dc = dc_total;
        if (kLayout.cell && !c_moves.all_the_way()) dc = c_moves.template part<whole>(u, n) * dc_total;
        const V c_stays = dc_total - dc;
        V stored[kLayout.stored], unit[kLayout.unit + 1];
        for (int g = 0; g < kLayout.stored; ++g) stored[g] = load_units<whole>(gates + g * H + u, n);
        for (int k = 0; k < kLayout.unit; ++k) unit[k] = run_.unit ? load_units<whole>(view_.unit(k, u), n) : V(0);
        Cell::step_grad(through, dc, load_units<whole>(h_before + u, n),
                        kLayout.cell ? load_units<whole>(c_before + u, n) : V(0), unit, run_.options, stored,
                        from_later, gate_gradients);
        total = h_moves.all_the_way() ? through : through + stays;
        if constexpr (kLayout.cell) store_units<whole>(c_moves.all_the_way() ? dc : dc + c_stays, dc_row + u, n);
      }
      store_units<whole>(total, dh_row + u, n);
      for (int g = 0; g < kLayout.stored; ++g) store_units<whole>(gate_gradients[g], d + g * H + u, n);
    });
  }

  void second_stage(std::int64_t time, std::int64_t p, std::int64_t row, const T* sums) {
    if constexpr (kTwoStages) {
      if (!view_.active(row, time)) return;
      const std::int64_t H = run_.units, at = row * H;
      T* const d = view_.gates(grad_.dgates, time) + at * kLayout.stored;
      const T* const gates = view_.gates(run_.gates, time) + at * kLayout.stored;
      const T* const seen = view_.seen(time, false) + at * kLayout.seen;
      T* const dh_row = dh(row);
      Lanes<V::width>::each(p * kPanel, H, kPanel, [&]<bool whole>(std::int64_t u, int n, int v) {
        V stored[1], gate_gradients[1];
        stored[0] = load_units<whole>(gates + u, n);
        const V back = Cell::mask_grad(V::load(sums + v), load_units<whole>(seen + u, n), stored, gate_gradients);
        store_units<whole>(load_units<whole>(dh_row + u, n) + view_.template through_mask<whole>(back, row, u, n),
                           dh_row + u, n);
        store_units<whole>(gate_gradients[0], d + u, n);
      });
    }
  }

  // Sums of the gradients of what the first gates saw.
  void first_stage(std::int64_t p, std::int64_t row, const T* sums) {
    if constexpr (kShowsMore) {
      Lanes<V::width>::each(p * kPanel, first_.columns, kPanel, [&]<bool whole>(std::int64_t u, int n, int v) {
        store_units<whole>(V::load(sums + v), dseen(row) + u, n);
      });
    } else {
      T* const to = dh(row);
      Lanes<V::width>::each(p * kPanel, run_.units, kPanel, [&]<bool whole>(std::int64_t u, int n, int v) {
        const V back = view_.template through_mask<whole>(V::load(sums + v), row, u, n);
        store_units<whole>(load_units<whole>(to + u, n) + back, to + u, n);
      });
    }
  }

  void reach_first_state(std::int64_t p, std::int64_t row) {
    const T* const seen = view_.seen(view_.time(0), false) + row * first_.columns;
    T* const to = dh(row);
    Lanes<V::width>::each(p * kPanel, run_.units, kPanel, [&]<bool whole>(std::int64_t u, int n, int) {
      V from_later[kLayout.seen];
      const V back = seen_grad<whole>(row, seen, u, n, from_later);
      store_units<whole>(load_units<whole>(to + u, n) + back, to + u, n);
    });
  }

  const RnnGradRun& grad_;
  const RnnRun& run_;
  const RunView<T, Cell> view_;
  const Panels first_, second_;
  Barrier barrier_;
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
