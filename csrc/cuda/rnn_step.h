// One step of a cell (kernels/rnn_formulas.h): the recurrent product, and the cell where its sums are. Cells of two
// stages take two. Each as a kernel of its own; rnn_resident.h has them as phases of one.
#pragma once
#include "cuda/rnn_product.h"
#include "kernels/rnn_formulas.h"
#include "kernels/rnn_places.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

const char* name_of_cell(RnnCell cell) {
  constexpr const char* names[kRnnCells] = {"rnn_tanh", "rnn_relu",         "lstm", "lstm_variant", "lstm_full",
                                            "gru",      "gru_reset_before", "mut1", "mut2",         "mut3"};
  return names[static_cast<int>(cell)];
}

constexpr std::int64_t kMostStepRows = std::int64_t{kStepRows} * 65535;  // of a grid

// What both directions read.
template <class T, class Cell>
struct CellView : RunPlaces<T, Cell> {
  using V = Vec<T>;
  using RunPlaces<T, Cell>::run;

  LAMINA_INLINE V from_input(const T* shares, int gate, std::int64_t u) const {
    const std::int64_t at = gate * run.units + u;
    return run.bias ? V(shares[at]) + V(static_cast<const T*>(run.bias)[at]) : V(shares[at]);
  }
  // h as the gates see it, or the gradient on its way back through the same mask.
  LAMINA_INLINE V through_mask(V h, std::int64_t row, std::int64_t u) const {
    return run.mask ? h * V(static_cast<const T*>(run.mask)[row * run.units + u]) : h;
  }
  template <int count>
  LAMINA_INLINE void load_unit(V (&to)[count], std::int64_t u) const {
    for (int k = 0; k + 1 < count; ++k) to[k] = run.unit ? V(*this->unit(k, u)) : V(0);
  }
};

enum class Stage { whole, early, late };  // late: of two

// A stage of a step forward: its product, and what is made of the sums.
template <class T, class Cell, Stage stage, bool tf32>
struct ForwardStage {
  using V = Vec<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr int kGates = stage == Stage::late ? kLayout.second : kLayout.first;
  static constexpr int kEarly = stage == Stage::whole ? 0 : 2;  // gates that the first of two stages settles
  static constexpr int kUnits = units_of_block(kGates);
  using Product = GateProduct<T, kGates, tf32>;
  const RnnRun& run;

  LAMINA_KERNEL static bool multiplies(std::int64_t) { return true; }
  LAMINA_DEVICE static std::int64_t depth(const RnnRun& run) {
    return stage == Stage::late ? run.units : run.units * kLayout.seen;
  }
  LAMINA_KERNEL Product product(std::int64_t time) const {
    const CellView<T, Cell> view{{run}};
    constexpr bool late = stage == Stage::late;
    return {late ? view.masked(time) : view.seen(time, false), static_cast<const T*>(late ? run.second : run.weight),
            run.batch, run.units, depth(run)};
  }
  LAMINA_KERNEL void finish(const Thread& t, std::int64_t time, std::int64_t first_unit, std::int64_t first_row,
                            StepSums<T, tf32>& sums) const {
    const CellView<T, Cell> view{{run}};
    sums.finish(t);
    for_units<kUnits>(t, first_unit, first_row, run.batch, run.units,
                      [&](std::int64_t row, std::int64_t u, int r, int c) {
                        V recurrent[kGates];
#pragma unroll
                        for (int g = 0; g < kGates; ++g) recurrent[g] = V(sums.sum(r, g * kUnits + c));
                        if constexpr (stage == Stage::early)
                          mask(view, time, row, u, recurrent);
                        else
                          step(view, time, row, u, recurrent);
                      });
  }

 private:
  LAMINA_KERNEL void mask(const CellView<T, Cell>& view, std::int64_t time, std::int64_t row, std::int64_t u,
                          const V* recurrent) const {
    const std::int64_t H = run.units, at = row * H + u;
    T* const gates = view.gates(time) + row * H * kLayout.inputs;
    const T* const shares = view.shares(time, row);
    V x[kEarly], stored[kEarly];
    for (int g = 0; g < kEarly; ++g) x[g] = view.from_input(shares, g, u);
    const V seen(view.seen(time, false)[row * H * kLayout.seen + u]);
    view.masked(time)[at] = Cell::mask(x, recurrent, seen, stored).v;
    for (int g = 0; g < kEarly; ++g) gates[g * H + u] = stored[g].v;
  }

  LAMINA_KERNEL void step(const CellView<T, Cell>& view, std::int64_t time, std::int64_t row, std::int64_t u,
                          const V* recurrent) const {
    const std::int64_t H = run.units, at = row * H + u, at_time = time * view.state_size() + at;
    T* const gates = view.gates(time) + row * H * kLayout.inputs;
    T* const seen_after = view.seen(time, true) + row * H * kLayout.seen;
    const V h(view.state(run.h, time, false)[at]), c = kLayout.cell ? V(view.state(run.c, time, false)[at]) : V(0);
    if (!view.active(row, time)) {
      view.state(run.h, time, true)[at] = h.v;
      if (kLayout.cell) view.state(run.c, time, true)[at] = c.v;
      const T* const seen_before = view.seen(time, false) + row * H * kLayout.seen;
      for (int k = 0; k < kLayout.seen && run.seen; ++k) seen_after[k * H + u] = seen_before[k * H + u];
      return;
    }
    const T* const shares = view.shares(time, row);
    V x[kLayout.inputs], unit[kLayout.unit + 1], stored[kLayout.inputs];
    for (int g = 0; g < kEarly; ++g) x[g] = stored[g] = V(gates[g * H + u]);
    for (int g = kEarly; g < kLayout.inputs; ++g) x[g] = view.from_input(shares, g, u);
    view.load_unit(unit, u);
    V fresh_c = c;
    const V fresh = Cell::step(x, recurrent, h, fresh_c, unit, run.options, stored);
    const V h_now = Movement<T>(run.h_rate, run.h_moves, at_time).moved(h, fresh);
    view.state(run.h, time, true)[at] = h_now.v;
    if constexpr (kLayout.cell)
      view.state(run.c, time, true)[at] = Movement<T>(run.c_rate, run.c_moves, at_time).moved(c, fresh_c).v;
    if (run.keeps_gates)
      for (int g = 0; g < kLayout.inputs; ++g) gates[g * H + u] = stored[g].v;
    if (!run.seen) return;
    V seen[kLayout.seen];
    seen[0] = view.through_mask(h_now, row, u);
    if constexpr (kLayout.seen > 1) Cell::show(stored, seen);
    for (int k = 0; k < kLayout.seen; ++k) seen_after[k * H + u] = seen[k].v;
  }
};

template <class T, class Cell, Stage stage, bool tf32>
struct StepForward {
  static constexpr int kThreads = kStepThreads, kMinBlocks = kStepBlocks<T>;
  static constexpr bool kCollective = true;
  using Shared = StepShared<T>;
  using Work = ForwardStage<T, Cell, stage, tf32>;
  RnnRun run;
  std::int64_t time;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Work work{run};
    Shared& shared = t.shared<StepForward>();
    StepSums<T, tf32> sums(shared.sums);
    const std::int64_t first_unit = std::int64_t{t.block()} * Work::kUnits,
                       first_row = std::int64_t{t.template block<1>()} * kStepRows;
    work.product(time).run(t, first_unit, first_row, shared, sums);
    work.finish(t, time, first_unit, first_row, sums);
  }
};

// Backward. The product that returns the gradients of a step's gates to what they saw is made by the step before it,
// which needs it; step -1 gives it to the first state.
template <class T, class Cell, bool tf32>
struct BackwardStage {
  using V = Vec<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  using Product = ReturnProduct<T, kLayout.first, kLayout.seen, tf32>;
  static constexpr int kUnits = Product::kUnits;
  const RnnGradRun& grad;
  const GateColumns& columns;  // of the first gates

  LAMINA_KERNEL bool multiplies(std::int64_t step) const { return step + 1 < grad.forward.steps; }
  LAMINA_KERNEL Product product(std::int64_t step) const {
    const RnnRun& run = grad.forward;
    const CellView<T, Cell> view{{run}};
    return {!multiplies(step) ? nullptr : view.gradients(grad.dgates, view.time(step + 1)),
            static_cast<const T*>(run.weight),
            run.batch,
            run.units,
            run.units * kLayout.seen,
            columns};
  }
  LAMINA_KERNEL void finish(const Thread& t, std::int64_t step, std::int64_t first_unit, std::int64_t first_row,
                            StepSums<T, tf32>& sums) const {
    const RnnRun& run = grad.forward;
    const CellView<T, Cell> view{{run}};
    sums.finish(t);
    for_units<kUnits>(t, first_unit, first_row, run.batch, run.units,
                      [&](std::int64_t row, std::int64_t u, int r, int c) {
                        V from_later[kLayout.seen];
#pragma unroll
                        for (int k = 0; k < kLayout.seen; ++k) from_later[k] = V(Product::sum(sums, r, k * kUnits + c));
                        T& dh = static_cast<T*>(grad.dh)[row * run.units + u];
                        V total(dh);
                        if (multiplies(step)) total = total + seen_grad(view, step, row, u, from_later);
                        if (step < 0)
                          dh = total.v;
                        else
                          gates_of(view, step, row, u, total, from_later, dh);
                      });
  }

 private:
  // What reaches h from the step after this one, which saw it.
  LAMINA_KERNEL V seen_grad(const CellView<T, Cell>& view, std::int64_t step, std::int64_t row, std::int64_t u,
                            const V* from_later) const {
    if constexpr (kLayout.seen == 1) {
      return view.through_mask(from_later[0], row, u);
    } else {
      const RnnRun& run = grad.forward;
      const T* const seen = (step < 0 ? view.seen(view.time(0), false) : view.seen(view.time(step), true)) +
                            row * run.units * kLayout.seen;
      V shown[kLayout.seen];
      for (int k = 0; k < kLayout.seen; ++k) shown[k] = V(seen[k * run.units + u]);
      return view.through_mask(Cell::show_grad(from_later, shown), row, u);
    }
  }

  LAMINA_KERNEL void gates_of(const CellView<T, Cell>& view, std::int64_t step, std::int64_t row, std::int64_t u,
                              V total, const V* from_later, T& dh) const {
    const RnnRun& run = grad.forward;
    const std::int64_t time = view.time(step), H = run.units, at = row * H + u, at_time = time * view.state_size() + at;
    T* const d = view.gradients(grad.dgates, time) + row * H * kLayout.gradients;
    T* const every = grad.every ? static_cast<T*>(grad.every) + at_time : nullptr;
    V gate_gradients[kLayout.gradients];
    for (V& g : gate_gradients) g = V(0);
    if (view.active(row, time)) {
      if (grad.dy) total = total + V(static_cast<const T*>(grad.dy)[time * grad.dy_step + row * grad.dy_row + u]);
      if (every) *every = total.v;
      const Movement<T> h_moves(run.h_rate, run.h_moves, at_time), c_moves(run.c_rate, run.c_moves, at_time);
      V through = h_moves.all_the_way ? total : V(h_moves.part) * total;
      const V stays = total - through;
      T* const dc_there = kLayout.cell ? static_cast<T*>(grad.dc) + at : nullptr;
      const V dc_total = kLayout.cell ? V(*dc_there) : V(0);
      V dc = c_moves.all_the_way ? dc_total : V(c_moves.part) * dc_total;
      const V c_stays = dc_total - dc;
      const T* const gates = view.gates(time) + row * H * kLayout.inputs;
      V stored[kLayout.gradients], unit[kLayout.unit + 1];
      for (int g = 0; g < kLayout.inputs; ++g) stored[g] = V(gates[g * H + u]);
      for (int g = kLayout.inputs; g < kLayout.gradients; ++g) stored[g] = V(d[g * H + u]);
      view.load_unit(unit, u);
      Cell::step_grad(through, dc, V(view.state(run.h, time, false)[at]),
                      kLayout.cell ? V(view.state(run.c, time, false)[at]) : V(0), unit, run.options, stored,
                      from_later, gate_gradients);
      total = h_moves.all_the_way ? through : through + stays;
      if constexpr (kLayout.cell) *dc_there = (c_moves.all_the_way ? dc : dc + c_stays).v;
    } else if (every) {
      *every = 0;
    }
    dh = total.v;
    for (int g = 0; g < kLayout.gradients; ++g) d[g * H + u] = gate_gradients[g].v;
  }
};

// Back through the mask of cells with two stages.
template <class T, class Cell, bool tf32>
struct MaskStage {
  using V = Vec<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  using Product = ReturnProduct<T, 1, 1, tf32>;
  static constexpr int kUnits = Product::kUnits;
  static_assert(kLayout.second <= 1);
  const RnnGradRun& grad;
  const GateColumns& columns;  // of the second gate

  LAMINA_KERNEL static bool multiplies(std::int64_t) { return true; }
  LAMINA_KERNEL Product product(std::int64_t time) const {
    const RnnRun& run = grad.forward;
    const CellView<T, Cell> view{{run}};
    return {
        view.gradients(grad.dgates, time), static_cast<const T*>(run.second), run.batch, run.units, run.units, columns};
  }
  LAMINA_KERNEL void finish(const Thread& t, std::int64_t time, std::int64_t first_unit, std::int64_t first_row,
                            StepSums<T, tf32>& sums) const {
    const RnnRun& run = grad.forward;
    const CellView<T, Cell> view{{run}};
    sums.finish(t);
    for_units<kUnits>(t, first_unit, first_row, run.batch, run.units,
                      [&](std::int64_t row, std::int64_t u, int r, int c) {
                        if (!view.active(row, time)) return;
                        const std::int64_t H = run.units;
                        const V stored[1] = {V((view.gates(time) + row * H * kLayout.inputs)[u])};
                        V gate_gradients[1];
                        const V seen((view.seen(time, false) + row * H * kLayout.seen)[u]),
                            back = Cell::mask_grad(V(sums.sum(r, c)), seen, stored, gate_gradients);
                        T& dh = static_cast<T*>(grad.dh)[row * H + u];
                        dh = (V(dh) + view.through_mask(back, row, u)).v;
                        (view.gradients(grad.dgates, time) + row * H * kLayout.gradients)[u] = gate_gradients[0].v;
                      });
  }
};

// A stage of a step backward as a kernel.
template <class T, class Work, bool tf32>
struct StepBackward {
  static constexpr int kThreads = kStepThreads;
  static constexpr bool kCollective = true;
  using Shared = RowsShared<T>;
  RnnGradRun grad;
  std::int64_t at;
  GateColumns columns;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Work work{grad, columns};
    Shared& shared = t.shared<StepBackward>();
    StepSums<T, tf32> sums(shared.sums);
    const std::int64_t first_unit = std::int64_t{t.block()} * Work::kUnits,
                       first_row = std::int64_t{t.template block<1>()} * kStepRows;
    if (work.multiplies(at)) work.product(at).run(t, first_unit, first_row, shared, sums);
    work.finish(t, at, first_unit, first_row, sums);
  }
};

inline GateColumns columns_of(const RnnLayout& layout, int from, int count) {
  GateColumns all{count, layout.gradients, {}};
  for (int g = 0; g < count; ++g) all.column[g] = layout.columns[from + g];
  return all;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
