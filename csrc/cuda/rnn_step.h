// One step of a cell (kernels/rnn_formulas.h) as one kernel: the recurrent product, and the cell where its sums are.
// Cells of two stages take two. A step reads what the one before has written, so a sequence is a row of launches.
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

template <class T, class Cell, Stage stage>
struct StepForward {
  static constexpr int kThreads = kStepThreads, kMinBlocks = kStepBlocks<T>;
  static constexpr bool kCollective = true;
  using Shared = StepShared<T>;
  using V = Vec<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr int kGates = stage == Stage::late ? kLayout.second : kLayout.first;
  static constexpr int kEarly = stage == Stage::whole ? 0 : 2;  // gates that the first of two stages settles
  RnnRun run;
  std::int64_t time;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const CellView<T, Cell> view{{run}};
    StepSums<T> sums(t.shared<StepForward>());
    const bool late = stage == Stage::late;
    GateProduct<T, kGates>{late ? view.masked(time) : view.seen(time, false),
                           static_cast<const T*>(late ? run.second : run.weight), run.batch, run.units,
                           late ? run.units : run.units * kLayout.seen}
        .run(t, sums);
    sums.finish(t);
    for_block_units<kGates>(t, run.batch, run.units, [&](std::int64_t row, std::int64_t u, int r, int c) {
      V recurrent[kGates];
#pragma unroll
      for (int g = 0; g < kGates; ++g) recurrent[g] = V(sums.sum(r, g * units_of_block(kGates) + c));
      if constexpr (stage == Stage::early)
        mask(view, row, u, recurrent);
      else
        finish(view, row, u, recurrent);
    });
  }

  LAMINA_KERNEL void mask(const CellView<T, Cell>& view, std::int64_t row, std::int64_t u, const V* recurrent) const {
    const std::int64_t H = run.units, at = row * H + u;
    T* const gates = view.gates(time) + row * H * kLayout.inputs;
    const T* const shares = view.shares(time, row);
    V x[kEarly], stored[kEarly];
    for (int g = 0; g < kEarly; ++g) x[g] = view.from_input(shares, g, u);
    const V seen(view.seen(time, false)[row * H * kLayout.seen + u]);
    view.masked(time)[at] = Cell::mask(x, recurrent, seen, stored).v;
    for (int g = 0; g < kEarly; ++g) gates[g * H + u] = stored[g].v;
  }

  LAMINA_KERNEL void finish(const CellView<T, Cell>& view, std::int64_t row, std::int64_t u, const V* recurrent) const {
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

// Backward. The product that returns the gradients of a step's gates to what they saw is made by the step before it,
// which needs it; step -1 gives it to the first state.
template <class T, class Cell>
struct StepBackward {
  static constexpr int kThreads = kStepThreads, kMinBlocks = kStepBlocks<T>;
  static constexpr bool kCollective = true;
  using Shared = StepShared<T>;
  using V = Vec<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  RnnGradRun grad;
  std::int64_t step;
  GateColumns columns;  // of the first gates

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const RnnRun& run = grad.forward;
    const CellView<T, Cell> view{{run}};
    StepSums<T> sums(t.shared<StepBackward>());
    const bool last = step + 1 == run.steps;
    if (!last)
      ReturnProduct<T, kLayout.seen>{view.gradients(grad.dgates, view.time(step + 1)),
                                     static_cast<const T*>(run.weight),
                                     run.batch,
                                     run.units,
                                     run.units * kLayout.seen,
                                     columns}
          .run(t, sums);
    sums.finish(t);
    for_block_units<kLayout.seen>(t, run.batch, run.units, [&](std::int64_t row, std::int64_t u, int r, int c) {
      V from_later[kLayout.seen];
#pragma unroll
      for (int k = 0; k < kLayout.seen; ++k) from_later[k] = V(sums.sum(r, k * units_of_block(kLayout.seen) + c));
      T& dh = static_cast<T*>(grad.dh)[row * run.units + u];
      V total(dh);
      if (!last) total = total + seen_grad(view, row, u, from_later);
      if (step < 0)
        dh = total.v;
      else
        gates_of(view, row, u, total, from_later, dh);
    });
  }

  // What reaches h from the step after this one, which saw it.
  LAMINA_KERNEL V seen_grad(const CellView<T, Cell>& view, std::int64_t row, std::int64_t u,
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

  LAMINA_KERNEL void gates_of(const CellView<T, Cell>& view, std::int64_t row, std::int64_t u, V total,
                              const V* from_later, T& dh) const {
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
template <class T, class Cell>
struct StepMaskBackward {
  static constexpr int kThreads = kStepThreads, kMinBlocks = kStepBlocks<T>;
  static constexpr bool kCollective = true;
  using Shared = StepShared<T>;
  using V = Vec<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  RnnGradRun grad;
  std::int64_t time;
  GateColumns columns;  // of the second gates

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const RnnRun& run = grad.forward;
    const CellView<T, Cell> view{{run}};
    StepSums<T> sums(t.shared<StepMaskBackward>());
    ReturnProduct<T, 1>{
        view.gradients(grad.dgates, time), static_cast<const T*>(run.second), run.batch, run.units, run.units, columns}
        .run(t, sums);
    sums.finish(t);
    for_block_units<1>(t, run.batch, run.units, [&](std::int64_t row, std::int64_t u, int r, int c) {
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

inline GateColumns columns_of(const RnnLayout& layout, int from, int count) {
  GateColumns all{count, layout.gradients, {}};
  for (int g = 0; g < count; ++g) all.column[g] = layout.columns[from + g];
  return all;
}

template <class T, class Cell>
void forward(RnnRun run) {
  constexpr RnnLayout layout = layout_of(Cell::kCell);
  const char* const name = name_of_cell(Cell::kCell);
  if (run.batch > kMostStepRows) return cuda_runtime::note(name, kInvalidValue);
  if (run.batch == 0) return;
  const RunPlaces<T, Cell> places{run};
  for (std::int64_t step = 0; step < run.steps; ++step) {
    const std::int64_t time = places.time(step);
    const Grid grid = step_grid(run.batch, run.units, layout.first);
    if constexpr (layout.second > 0) {
      launch(name, grid, StepForward<T, Cell, Stage::early>{run, time});
      launch(name, step_grid(run.batch, run.units, layout.second), StepForward<T, Cell, Stage::late>{run, time});
    } else {
      launch(name, grid, StepForward<T, Cell, Stage::whole>{run, time});
    }
  }
}

template <class T, class Cell>
void backward(RnnGradRun grad) {
  constexpr RnnLayout layout = layout_of(Cell::kCell);
  const RnnRun& run = grad.forward;
  const char* const name = name_of_cell(Cell::kCell);
  if (run.batch > kMostStepRows) return cuda_runtime::note(name, kInvalidValue);
  if (run.batch == 0) return;
  const RunPlaces<T, Cell> places{run};
  const Grid grid = step_grid(run.batch, run.units, layout.seen);
  const GateColumns first = columns_of(layout, 0, layout.first);
  for (std::int64_t step = run.steps; step-- > 0;) {
    launch(name, grid, StepBackward<T, Cell>{grad, step, first});
    if constexpr (layout.second > 0)
      launch(name, step_grid(run.batch, run.units, 1),
             StepMaskBackward<T, Cell>{grad, places.time(step), columns_of(layout, layout.first, layout.second)});
  }
  launch(name, grid, StepBackward<T, Cell>{grad, -1, first});
}

// Weights are read as they lie: nothing is packed, and nothing but the sums of a block lies between two steps.
inline void pack_nothing(void*, const void*, const void*, std::int64_t) {}

template <class Cell>
void fill(RnnTable& t) {
  constexpr int cell = static_cast<int>(Cell::kCell);
  for (const DType type : {DType::f32, DType::f64}) t.pack[cell][static_cast<int>(type)] = pack_nothing;
  t.forward[cell][static_cast<int>(DType::f32)] = forward<float, Cell>;
  t.forward[cell][static_cast<int>(DType::f64)] = forward<double, Cell>;
  t.backward[cell][static_cast<int>(DType::f32)] = backward<float, Cell>;
  t.backward[cell][static_cast<int>(DType::f64)] = backward<double, Cell>;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
