// Runs a cell (kernels/rnn_formulas.h) over sequences, forward and backward.
//
// The units are cut into panels; a thread owns the same panels at every step, keeps their recurrent weights packed in
// its cache and meets the others once a step (twice for cells of two stages and projected states). All gates of a
// panel's units are summed in one register tile, so that the cell follows while the sums are still in the first-level
// cache.
#pragma once
#include "cpu/rnn_panels.h"
#include "kernels/rnn_formulas.h"
#include "kernels/rnn_places.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T, class Cell>
struct RunView : RunPlaces<T, Cell> {
  using RunPlaces<T, Cell>::run;
  // What the input gives a gate, of a row of `shares`.
  template <int vecs>
  LAMINA_INLINE Units<T, vecs> from_input(const T* shares, int gate, std::int64_t u, int n) const {
    const std::int64_t at = gate * run.units + u;
    const Units<T, vecs> x = load_units<vecs>(shares + at, n);
    return run.bias ? x + load_units<vecs>(static_cast<const T*>(run.bias) + at, n) : x;
  }
  // h as the gates see it, or the gradient on its way back through the same mask.
  template <int vecs>
  LAMINA_INLINE Units<T, vecs> through_mask(Units<T, vecs> h, std::int64_t row, std::int64_t u, int n) const {
    return run.mask ? h * load_units<vecs>(static_cast<const T*>(run.mask) + row * run.units + u, n) : h;
  }
};

// What callers and the gates of the next step get of h [B, H]; a sequence that has ended keeps what it had. Rows of
// `before` and `after` are `depth` apart. It knows no cell, so that all share its code.
template <class T>
[[gnu::noinline]] void project(const RnnRun& run, const GatePanels<T, 1>& panels, const Share& share, std::int64_t time,
                               const T* h, const T* before, T* after, std::int64_t depth) {
  using Panels = GatePanels<T, 1>;
  static_assert(Panels::kGroup == 1);
  alignas(64) T sums[kBatchBlock * Panels::kCols];
  for (std::int64_t p = share.begin; p < share.end; ++p)
    for (std::int64_t first = 0; first < run.batch; first += kBatchBlock) {
      const int rows = static_cast<int>(run.batch - first < kBatchBlock ? run.batch - first : kBatchBlock);
      panels.multiply(p, h + first * run.units, rows, sums);
      for (int r = 0; r < rows; ++r) {
        const std::int64_t row = first + r;
        const bool active = !run.lengths || run.first_time + time < run.lengths[row];
        Lanes<Vec<T>::width>::each(
            p * Panels::kUnits, run.projected, Panels::kUnits, [&]<int vecs>(std::int64_t u, int n, int v) {
              store_units<vecs>(
                  active ? Vec<T>::load(sums + r * Panels::kCols + v) : load_units<vecs>(before + row * depth + u, n),
                  after + row * depth + u, n);
            });
      }
    }
}

template <class T, class Cell>
class Forward {
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr bool kTwoStages = kLayout.second > 0;
  static constexpr bool kMayProject = kLayout.cell;
  static constexpr int kEarly = kTwoStages ? 2 : 0;  // gates that the first of two stages settles
  using UnitLanes = Lanes<Vec<T>::width, kUnitsAtOnce<T>>;
  using FirstPanels = GatePanels<T, kLayout.first>;
  using SecondPanels = GatePanels<T, kTwoStages ? kLayout.second : 1>;

 public:
  explicit Forward(const RnnRun& run)
      : run_(run),
        view_{{run_}},
        first_{static_cast<T*>(run.packed), run.units, view_.depth()},
        second_{static_cast<T*>(run.packed) + first_.packed_size(), kTwoStages ? run.units : run.projected, run.units} {
  }

  void pack_all() { pack(first_share(0, 1), second_share(0, 1)); }

  void work(int thread, int team) {
    const Share mine = first_share(thread, team), then = second_share(thread, team);
    if (!run_.is_packed) pack(mine, then);
    for (std::int64_t step = 0; step < run_.steps; ++step) {
      const std::int64_t time = view_.time(step);
      if (team > 1) fetch<false>(view_.seen(time, false), run_.batch * first_.depth);
      for (std::int64_t g = mine.begin; g < mine.end; ++g) {
        if (step + 1 < run_.steps) fetch_ahead(view_.time(step + 1), mine, g);
        multiply(first_, g, view_.seen(time, false), [&](std::int64_t row, const T* sums) {
          if constexpr (kTwoStages)
            mask(time, g, row, sums);
          else
            finish<FirstPanels>(time, g, row, sums);
        });
      }
      barrier_wait(barrier_, team);
      if constexpr (kTwoStages) {
        for (std::int64_t g = then.begin; g < then.end; ++g)
          multiply(second_, g, view_.masked(time),
                   [&](std::int64_t row, const T* sums) { finish<SecondPanels>(time, g, row, sums); });
        barrier_wait(barrier_, team);
      }
      if constexpr (kMayProject) {
        if (run_.projected) {
          project(run_, second_, then, time, view_.state(run_.h, time, true), view_.seen(time, false),
                  view_.seen(time, true), view_.depth());
          barrier_wait(barrier_, team);
        }
      }
    }
  }

 private:
  // Of groups of panels.
  Share first_share(int thread, int team) const { return {FirstPanels::groups(run_.units), thread, team}; }
  Share second_share(int thread, int team) const { return {SecondPanels::groups(second_.units), thread, team}; }
  [[gnu::noinline]] void pack(const Share& first, const Share& second) const {
    const auto pack_groups = [](const auto& panels, const void* weight, const Share& share) {
      for (std::int64_t p = panels.first_panel(share.begin); p < panels.first_panel(share.end); ++p)
        panels.pack_panel(static_cast<const T*>(weight), p);
    };
    pack_groups(first_, run_.weight, first);
    if constexpr (kTwoStages || kMayProject) pack_groups(second_, run_.second, second);
  }

  // While the g-th group of a share is multiplied, its part of the rows of the next step is on its way.
  void fetch_ahead(std::int64_t time, const Share& mine, std::int64_t g) const {
    const std::int64_t H = run_.units, unit = mine.begin * FirstPanels::kGroupUnits;
    const std::int64_t end = mine.end * FirstPanels::kGroupUnits, units = (end < H ? end : H) - unit;
    const Share rows(run_.batch, static_cast<int>(g - mine.begin), static_cast<int>(mine.end - mine.begin));
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::int64_t at = row * H + unit;
      const T* const shares = view_.shares(time, row) + unit;
      for (int k = 0; k < kLayout.inputs; ++k) fetch<false>(shares + k * H, units);
      T* const gates = view_.gates(time) + row * H * kLayout.inputs + unit;
      for (int k = 0; k < kLayout.inputs && run_.shares && run_.keeps_gates; ++k) fetch<true>(gates + k * H, units);
      fetch<true>(view_.state(run_.h, time, true) + at, units);
      if (kLayout.cell) fetch<true>(view_.state(run_.c, time, true) + at, units);
    }
  }

  template <class Panels, class Body>
  void multiply(const Panels& panels, std::int64_t group, const T* a, Body body) {
    alignas(64) T sums[kBatchBlock * Panels::kGroupCols];
    for (std::int64_t row = 0; row < run_.batch; row += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - row < kBatchBlock ? run_.batch - row : kBatchBlock);
      panels.multiply(group, a + row * panels.depth, rows, sums);
      for (int r = 0; r < rows; ++r) body(row + r, sums + r * Panels::kGroupCols);
    }
  }

  // The first of two stages, for one row of a panel.
  void mask(std::int64_t time, std::int64_t group, std::int64_t row, const T* sums) {
    const std::int64_t H = run_.units, at = row * H;
    T* const gates = view_.gates(time) + at * kLayout.inputs;
    const T* const shares = view_.shares(time, row);
    const T* const seen = view_.seen(time, false) + row * view_.depth();
    T* const masked = view_.masked(time) + at;
    UnitLanes::each(group * FirstPanels::kGroupUnits, H, FirstPanels::kGroupUnits,
                    [&]<int vecs>(std::int64_t u, int n, int at_unit) {
                      using V = Units<T, vecs>;
                      V x[kEarly], r[kLayout.first], stored[kEarly];
                      for (int g = 0; g < kEarly; ++g) x[g] = view_.template from_input<vecs>(shares, g, u, n);
                      for (int g = 0; g < kLayout.first; ++g) r[g] = recurrent<FirstPanels, vecs>(sums, g, at_unit);
                      const V product = Cell::mask(x, r, load_units<vecs>(seen + u, n), stored);
                      for (int g = 0; g < kEarly; ++g) store_units<vecs>(stored[g], gates + g * H + u, n);
                      store_units<vecs>(product, masked + u, n);
                    });
  }

  // A gate's sums for the units at `unit` of a group.
  template <class Panels, int vecs>
  static LAMINA_INLINE Units<T, vecs> recurrent(const T* sums, int gate, int unit) {
    const T* const from = sums + Panels::sum_at(gate, unit);
    if constexpr (vecs == 2)
      return {Vec<T>::load(from), Vec<T>::load(sums + Panels::sum_at(gate, unit + Vec<T>::width))};
    else
      return Vec<T>::load(from);
  }

  // The cell of one row of a group; `sums` holds the recurrent gates of the last stage.
  template <class Panels>
  void finish(std::int64_t time, std::int64_t group, std::int64_t row, const T* sums) {
    constexpr int gates_here = kTwoStages ? kLayout.second : kLayout.first;
    const std::int64_t H = run_.units, at = row * H;
    T* const gates = view_.gates(time) + at * kLayout.inputs;
    const T* const shares = view_.shares(time, row);
    const T* const h_before = view_.state(run_.h, time, false) + at;
    T* const h_after = view_.state(run_.h, time, true) + at;
    const T* const c_before = kLayout.cell ? view_.state(run_.c, time, false) + at : nullptr;
    T* const c_after = kLayout.cell ? view_.state(run_.c, time, true) + at : nullptr;
    const std::int64_t at_time = time * view_.state_size() + at;
    const Movement<T> h_moves(run_.h_rate, run_.h_moves, at_time), c_moves(run_.c_rate, run_.c_moves, at_time);
    const bool active = view_.active(row, time);
    UnitLanes::each(group * Panels::kGroupUnits, H, Panels::kGroupUnits, [&]<int vecs>(std::int64_t u, int n, int v) {
      using V = Units<T, vecs>;
      const V h = load_units<vecs>(h_before + u, n);
      const V c = kLayout.cell ? load_units<vecs>(c_before + u, n) : V(0);
      if (!active) {
        store_units<vecs>(h, h_after + u, n);
        if constexpr (kLayout.cell) store_units<vecs>(c, c_after + u, n);
        if (run_.seen)
          for (int k = first_shown(); k < kLayout.seen; ++k) {
            const std::int64_t there = row * view_.depth() + view_.seen_at(k) + u;
            store_units<vecs>(load_units<vecs>(view_.seen(time, false) + there, n), view_.seen(time, true) + there, n);
          }
        return;
      }
      V x[kLayout.inputs], r[gates_here], unit[kLayout.unit + 1], stored[kLayout.inputs];
      for (int g = 0; g < kEarly; ++g) x[g] = stored[g] = load_units<vecs>(gates + g * H + u, n);
      for (int g = kEarly; g < kLayout.inputs; ++g) x[g] = view_.template from_input<vecs>(shares, g, u, n);
      for (int g = 0; g < gates_here; ++g) r[g] = recurrent<Panels, vecs>(sums, g, v);
      for (int k = 0; k < kLayout.unit; ++k) unit[k] = run_.unit ? load_units<vecs>(view_.unit(k, u), n) : V(0);
      V fresh_c = c;
      const V fresh = Cell::step(x, r, h, fresh_c, unit, run_.options, stored);
      const V h_now = h_moves.template moved<vecs>(h, fresh, u, n);
      store_units<vecs>(h_now, h_after + u, n);
      if constexpr (kLayout.cell) store_units<vecs>(c_moves.template moved<vecs>(c, fresh_c, u, n), c_after + u, n);
      if (run_.keeps_gates)
        for (int g = 0; g < kLayout.inputs; ++g) store_units<vecs>(stored[g], gates + g * H + u, n);
      if (run_.seen) {
        V seen[kLayout.seen];
        seen[0] = view_.template through_mask<vecs>(h_now, row, u, n);
        if constexpr (kLayout.seen > 1) Cell::show(stored, seen);
        for (int k = first_shown(); k < kLayout.seen; ++k)
          store_units<vecs>(seen[k], view_.seen(time, true) + row * view_.depth() + view_.seen_at(k) + u, n);
      }
    });
  }
  // Of the blocks that the gates see, the cell writes these; a projection of h is made when all of it is there.
  LAMINA_INLINE int first_shown() const { return kMayProject && run_.projected ? 1 : 0; }

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
  static constexpr bool kMayProject = kLayout.cell;
  static constexpr int kPanel = kTileCols<T>;
  // Backward has one function to wait for, tanh of c; without it two vectors at once would only crowd the registers.
  using UnitLanes = Lanes<Vec<T>::width, kLayout.cell ? kUnitsAtOnce<T> : 1>;
  using Panels = ReturnPanels<T>;

 public:
  explicit Backward(const RnnGradRun& run)
      : grad_(run),
        run_(run.forward),
        view_{{run_}},
        first_{static_cast<T*>(run_.packed), view_.depth(), run_.units, kLayout.first},
        second_{static_cast<T*>(run_.packed) + first_.packed_size(), run_.units,
                kTwoStages ? run_.units : run_.projected, kTwoStages ? kLayout.second : 1} {}

  void work(int thread, int team) {
    const Share mine(Panels::panels(run_.units), thread, team), state(Panels::panels(run_.features()), thread, team);
    const Share first = products(first_, thread, team), second = products(second_, thread, team);
    if (!run_.is_packed) {
      pack(first_, run_.weight, first);
      if (second_.units) pack(second_, run_.second, second);
    }
    for (std::int64_t step = run_.steps; step-- > 0;) {
      const std::int64_t time = view_.time(step);
      if (kMayProject && run_.projected) {
        for (std::int64_t row = 0; row < run_.batch; ++row)
          for (std::int64_t p = state.begin; p < state.end; ++p) projection_of(step, p, row);
        barrier_wait(barrier_, team);
        for (std::int64_t p = mine.begin; p < mine.end; ++p) reach_units(time, p);
      }
      for (std::int64_t row = 0; row < run_.batch; ++row)
        for (std::int64_t p = mine.begin; p < mine.end; ++p) gates_of(step, p, row);
      if constexpr (kTwoStages) {
        meet_if_shared(team);
        for (std::int64_t i = second.begin; i < second.end; ++i)
          multiply(second_, i, time, kLayout.columns + kLayout.first, kSecondSlot);
        barrier_wait(barrier_, team);
        for (std::int64_t row = 0; row < run_.batch; ++row)
          for (std::int64_t p = mine.begin; p < mine.end; ++p) second_stage(time, p, row);
      }
      meet_if_shared(team);
      for (std::int64_t i = first.begin; i < first.end; ++i) {
        if (step > 0) fetch_ahead(view_.time(step - 1), mine, first, i);
        multiply(first_, i, time, kLayout.columns, slot_of(step));
      }
      barrier_wait(barrier_, team);
      if (team > 1) fetch_returned(slot_of(step), state);
    }
    for (std::int64_t row = 0; row < run_.batch; ++row)
      for (std::int64_t p = state.begin; p < state.end; ++p) reach_first_state(p, row);
  }

 private:
  // Each product is that of a panel and a half, all panels of the first half first: of two threads each gets what needs
  // the gates of its own units only.
  static Share products(const Panels& panels, int thread, int team) {
    return {panels.units ? Panels::kHalves * Panels::panels(panels.columns) : 0, thread, team};
  }
  void meet_if_shared(int team) {
    if (team > Panels::kHalves) barrier_wait(barrier_, team);
  }
  static void pack(const Panels& panels, const void* weight, const Share& share) {
    const std::int64_t each = Panels::panels(panels.columns);
    for (std::int64_t i = share.begin; i < share.end; ++i)
      panels.pack_panel(static_cast<const T*>(weight), i % each, static_cast<int>(i / each));
  }

  // While the i-th of `products` runs, its part of the rows of the next step is on its way.
  void fetch_ahead(std::int64_t time, const Share& mine, const Share& products, std::int64_t i) const {
    const std::int64_t H = run_.units, unit = mine.begin * kPanel;
    const std::int64_t end = mine.end * kPanel, units = (end < H ? end : H) - unit;
    const Share rows(run_.batch, static_cast<int>(i - products.begin), static_cast<int>(products.end - products.begin));
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      const std::int64_t at = row * H + unit;
      const T* const gates = view_.gates(time) + row * H * kLayout.inputs + unit;
      const T* const d = view_.gradients(grad_.dgates, time) + row * H * kLayout.gradients + unit;
      for (int k = 0; k < kLayout.inputs; ++k) fetch<false>(gates + k * H, units);
      for (int k = 0; k < kLayout.gradients; ++k) fetch<true>(d + k * H, units);
      fetch<false>(view_.state(kLayout.cell ? run_.c : run_.h, time, false) + at, units);
      if (grad_.dy && !run_.projected)
        fetch<false>(static_cast<const T*>(grad_.dy) + time * grad_.dy_step + row * grad_.dy_row + unit, units);
    }
  }
  void fetch_returned(int slot, const Share& mine) const {
    for (int half = 0; half < Panels::kHalves; ++half)
      for (std::int64_t row = 0; row < run_.batch; ++row)
        fetch<false>(returned(slot, half, row) + mine.begin * kPanel, (mine.end - mine.begin) * kPanel);
  }

  // The sums that came back lie in slots, [slots][halves][B][padded columns]. A step reads those of the step after it
  // while others may be at its own products already, so there are two slots for the states and one for what comes
  // through the second weight.
  static constexpr int kSecondSlot = 2;
  static int slot_of(std::int64_t step) { return step & 1; }
  T* returned(int slot, int half, std::int64_t row) const {
    return static_cast<T*>(grad_.returned) + ((slot * Panels::kHalves + half) * run_.batch + row) * returned_row();
  }
  std::int64_t returned_row() const { return Panels::padded(kLayout.seen * run_.units); }
  template <int vecs>
  LAMINA_INLINE Units<T, vecs> sum_of_halves(int slot, std::int64_t row, std::int64_t column, int n) const {
    return load_units<vecs>(returned(slot, 0, row) + column, n) + load_units<vecs>(returned(slot, 1, row) + column, n);
  }

  void multiply(const Panels& panels, std::int64_t product, std::int64_t time, const int* blocks, int slot) const {
    const std::int64_t each = Panels::panels(panels.columns), panel = product % each;
    const int half = static_cast<int>(product / each);
    panels.multiply(panel, half, view_.gradients(grad_.dgates, time), kLayout.gradients * run_.units, blocks,
                    run_.batch, returned(slot, half, 0) + panel * kPanel, returned_row(), false);
  }

  T* dh(std::int64_t row) const { return static_cast<T*>(grad_.dh) + row * run_.features(); }
  const T* dy(std::int64_t time, std::int64_t row) const {
    return grad_.dy ? static_cast<const T*>(grad_.dy) + time * grad_.dy_step + row * grad_.dy_row : nullptr;
  }
  T* dprojected(std::int64_t time, std::int64_t row) const {
    return static_cast<T*>(grad_.dprojected) + (time * run_.batch + row) * run_.projected;
  }

  // What reaches a projected state. All of it is the projection's; where a sequence has ended it goes on to the state
  // before.
  [[gnu::noinline]] void projection_of(std::int64_t step, std::int64_t p, std::int64_t row) {
    const std::int64_t time = view_.time(step);
    const bool active = view_.active(row, time), last = step + 1 == run_.steps;
    const T* const dy_row = active ? dy(time, row) : nullptr;
    T *const goes_on = dh(row), *const ends = dprojected(time, row);
    Lanes<Vec<T>::width>::each(p * kPanel, run_.projected, kPanel, [&]<int vecs>(std::int64_t u, int n, int) {
      Vec<T> total = load_units<vecs>(goes_on + u, n);
      if (!last) total = total + sum_of_halves<vecs>(slot_of(step + 1), row, u, n);
      if (dy_row) total = total + load_units<vecs>(dy_row + u, n);
      store_units<vecs>(active ? total : Vec<T>(T(0)), ends + u, n);
      store_units<vecs>(active ? Vec<T>(T(0)) : total, goes_on + u, n);
    });
  }
  // Through the projection to a panel of units; both halves by the thread that owns them.
  void reach_units(std::int64_t time, std::int64_t p) const {
    constexpr int block = 0;
    for (int half = 0; half < Panels::kHalves; ++half)
      second_.multiply(p, half, dprojected(time, 0), run_.projected, &block, run_.batch,
                       returned(kSecondSlot, half, 0) + p * kPanel, returned_row(), false);
  }

  // What reaches h from the step after `step`, which saw it, and into `from_later` what reaches all that the cell
  // showed.
  template <int vecs>
  LAMINA_INLINE Units<T, vecs> seen_grad(std::int64_t step, std::int64_t row, const T* seen, std::int64_t u, int n,
                                         Units<T, vecs>* from_later) const {
    for (int k = 0; k < kLayout.seen; ++k)
      from_later[k] = sum_of_halves<vecs>(slot_of(step + 1), row, view_.seen_at(k) + u, n);
    if constexpr (kLayout.seen == 1) {
      return view_.template through_mask<vecs>(from_later[0], row, u, n);
    } else {
      Units<T, vecs> shown[kLayout.seen];
      for (int k = 0; k < kLayout.seen; ++k) shown[k] = load_units<vecs>(seen + view_.seen_at(k) + u, n);
      return view_.template through_mask<vecs>(Cell::show_grad(from_later, shown), row, u, n);
    }
  }

  void gates_of(std::int64_t step, std::int64_t p, std::int64_t row) {
    const std::int64_t time = view_.time(step), H = run_.units, at = row * H;
    T* const d = view_.gradients(grad_.dgates, time) + at * kLayout.gradients;
    const T* const gates = view_.gates(time) + at * kLayout.inputs;
    const T* const h_before = view_.state(run_.h, time, false) + at;
    const T* const c_before = kLayout.cell ? view_.state(run_.c, time, false) + at : nullptr;
    const T* const seen = view_.seen(time, true) + row * view_.depth();
    const bool projected = kMayProject && run_.projected;  // then what reaches h has been summed
    const T* const dy_row = projected ? nullptr : dy(time, row);
    T* const every = grad_.every ? static_cast<T*>(grad_.every) + time * view_.state_size() + at : nullptr;
    T* const dh_row = dh(row);
    T* const dc_row = kLayout.cell ? static_cast<T*>(grad_.dc) + at : nullptr;
    const std::int64_t at_time = time * view_.state_size() + at;
    const Movement<T> h_moves(run_.h_rate, run_.h_moves, at_time), c_moves(run_.c_rate, run_.c_moves, at_time);
    const bool active = view_.active(row, time), last = step + 1 == run_.steps;
    UnitLanes::each(p * kPanel, H, kPanel, [&]<int vecs>(std::int64_t u, int n, int) {
      using V = Units<T, vecs>;
      V gate_gradients[kLayout.gradients], from_later[kLayout.seen];
      for (V& g : gate_gradients) g = V(0);
      for (V& g : from_later) g = V(0);
      V total = projected ? sum_of_halves<vecs>(kSecondSlot, row, u, n) : load_units<vecs>(dh_row + u, n);
      if (!last && (!projected || kLayout.seen > 1)) {
        const V back = seen_grad<vecs>(step, row, seen, u, n, from_later);
        if (!projected) total = total + back;
      }
      if (active) {
        if (dy_row) total = total + load_units<vecs>(dy_row + u, n);
        if (every) store_units<vecs>(total, every + u, n);
        V through = total;
        if (!h_moves.all_the_way()) through = h_moves.template part<vecs>(u, n) * total;
        V stays = total - through;
        const V dc_total = kLayout.cell ? load_units<vecs>(dc_row + u, n) : V(0);
        V dc = dc_total;
        if (kLayout.cell && !c_moves.all_the_way()) dc = c_moves.template part<vecs>(u, n) * dc_total;
        const V c_stays = dc_total - dc;
        V stored[kLayout.gradients], unit[kLayout.unit + 1];
        for (int g = 0; g < kLayout.inputs; ++g) stored[g] = load_units<vecs>(gates + g * H + u, n);
        for (int g = kLayout.inputs; g < kLayout.gradients; ++g) stored[g] = load_units<vecs>(d + g * H + u, n);
        for (int k = 0; k < kLayout.unit; ++k) unit[k] = run_.unit ? load_units<vecs>(view_.unit(k, u), n) : V(0);
        Cell::step_grad(through, dc, load_units<vecs>(h_before + u, n),
                        kLayout.cell ? load_units<vecs>(c_before + u, n) : V(0), unit, run_.options, stored, from_later,
                        gate_gradients);
        total = h_moves.all_the_way() ? through : through + stays;
        if constexpr (kLayout.cell) store_units<vecs>(c_moves.all_the_way() ? dc : dc + c_stays, dc_row + u, n);
      }
      if (!active && every) store_units<vecs>(V(0), every + u, n);
      if (!projected) store_units<vecs>(total, dh_row + u, n);
      for (int g = 0; g < kLayout.gradients; ++g) store_units<vecs>(gate_gradients[g], d + g * H + u, n);
    });
  }

  void second_stage(std::int64_t time, std::int64_t p, std::int64_t row) {
    if constexpr (kTwoStages) {
      if (!view_.active(row, time)) return;
      const std::int64_t H = run_.units, at = row * H;
      T* const d = view_.gradients(grad_.dgates, time) + at * kLayout.gradients;
      const T* const gates = view_.gates(time) + at * kLayout.inputs;
      const T* const seen = view_.seen(time, false) + row * view_.depth();
      T* const dh_row = dh(row);
      UnitLanes::each(p * kPanel, H, kPanel, [&]<int vecs>(std::int64_t u, int n, int) {
        using V = Units<T, vecs>;
        V stored[1], gate_gradients[1];
        stored[0] = load_units<vecs>(gates + u, n);
        const V back = Cell::mask_grad(sum_of_halves<vecs>(kSecondSlot, row, u, n), load_units<vecs>(seen + u, n),
                                       stored, gate_gradients);
        store_units<vecs>(load_units<vecs>(dh_row + u, n) + view_.template through_mask<vecs>(back, row, u, n),
                          dh_row + u, n);
        store_units<vecs>(gate_gradients[0], d + u, n);
      });
    }
  }

  void reach_first_state(std::int64_t p, std::int64_t row) {
    const T* const seen = view_.seen(view_.time(0), false) + row * first_.columns;
    T* const to = dh(row);
    UnitLanes::each(p * kPanel, run_.features(), kPanel, [&]<int vecs>(std::int64_t u, int n, int) {
      Units<T, vecs> from_later[kLayout.seen];
      const auto back = seen_grad<vecs>(-1, row, seen, u, n, from_later);
      store_units<vecs>(load_units<vecs>(to + u, n) + back, to + u, n);
    });
  }

  const RnnGradRun& grad_;
  const RnnRun& run_;
  const RunView<T, Cell> view_;
  const Panels first_, second_;
  Barrier barrier_;
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
