// A whole sequence as one kernel that stays: each block keeps the weights of its units' gates in shared memory over all
// steps and takes its share of the batch, 16 rows at a time; between steps all blocks wait for each other. A step then
// reads no weights at all. It gives the bits of the kernels in rnn_step.h.
#pragma once
#include "cuda/resident.h"
#include "cuda/rnn_step.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// A block's part of a stage, with the weights that it keeps.
template <class Work, class T, bool tf32>
struct KeptStage {
  LAMINA_KERNEL static std::int64_t first_unit(const Thread& t) { return std::int64_t{t.block()} * Work::kUnits; }

  LAMINA_KERNEL static void run(const Thread& t, const Work& work, std::int64_t at, std::int64_t batch,
                                std::int64_t units, RowsShared<T>& shared, const T* slice) {
    if (first_unit(t) >= units) return;  // another stage has more blocks
    const std::int64_t groups = (batch + kStepRows - 1) / kStepRows;
    for (std::int64_t group = t.template block<1>(); group < groups; group += t.template blocks<1>()) {
      t.sync();  // the sums before have been read
      StepSums<T, tf32> sums(shared.sums);
      if (work.multiplies(at)) work.product(at).run_kept(t, group * kStepRows, shared, slice, sums);
      work.finish(t, at, first_unit(t), group * kStepRows, sums);
    }
  }
};

template <class T, class Cell, bool tf32>
struct ResidentForward {
  static constexpr int kThreads = kStepThreads;
  using Shared = RowsShared<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr bool kTwo = kLayout.second > 0;
  using First = ForwardStage<T, Cell, kTwo ? Stage::early : Stage::whole, tf32>;
  using Late = ForwardStage<T, Cell, kTwo ? Stage::late : Stage::whole, tf32>;  // unless kTwo nobody asks
  RnnRun run;

  static std::int64_t slices(const RnnRun& run) {
    return First::Product::slice(First::depth(run)) + (kTwo ? Late::Product::slice(Late::depth(run)) : 0);
  }
  LAMINA_DEVICE static std::int64_t most_blocks(std::int64_t units) {
    constexpr int each = kTwo && Late::kUnits < First::kUnits ? Late::kUnits : First::kUnits;
    return (units + each - 1) / each;
  }
  LAMINA_DEVICE std::int64_t phases() const { return run.steps * (kTwo ? 2 : 1); }
  LAMINA_KERNEL T* first_slice(const Thread& t) const {
    return reinterpret_cast<T*>(&t.template shared<ResidentForward>() + 1);
  }
  LAMINA_KERNEL T* late_slice(const Thread& t) const {
    return first_slice(t) + (First::depth(run) + kWarp - 1) / kWarp * kWarp * kSlicePitch;
  }
  LAMINA_KERNEL void prepare(const Thread& t) const {
    First{run}.product(0).keep(t, KeptStage<First, T, tf32>::first_unit(t), first_slice(t));
    if constexpr (kTwo) Late{run}.product(0).keep(t, KeptStage<Late, T, tf32>::first_unit(t), late_slice(t));
  }
  LAMINA_KERNEL void phase(const Thread& t, std::int64_t number) const {
    auto& shared = t.template shared<ResidentForward>();
    const std::int64_t time = RunPlaces<T, Cell>{run}.time(kTwo ? number / 2 : number);
    if (!kTwo || number % 2 == 0)
      KeptStage<First, T, tf32>::run(t, First{run}, time, run.batch, run.units, shared, first_slice(t));
    else
      KeptStage<Late, T, tf32>::run(t, Late{run}, time, run.batch, run.units, shared, late_slice(t));
  }
};

template <class T, class Cell, bool tf32>
struct ResidentBackward {
  static constexpr int kThreads = kStepThreads;
  using Shared = RowsShared<T>;
  static constexpr RnnLayout kLayout = layout_of(Cell::kCell);
  static constexpr bool kTwo = kLayout.second > 0;
  using Step = BackwardStage<T, Cell, tf32>;
  using Mask = MaskStage<T, Cell, tf32>;
  RnnGradRun grad;
  GateColumns first, second;

  static std::int64_t slices(const RnnRun& run) {
    return Step::Product::slice(run.units) + (kTwo ? Mask::Product::slice(run.units) : 0);
  }
  LAMINA_DEVICE static std::int64_t most_blocks(std::int64_t units) {
    constexpr int each = kTwo && Mask::kUnits < Step::kUnits ? Mask::kUnits : Step::kUnits;
    return (units + each - 1) / each;
  }
  // Of each step, the last first; then what reaches the first state.
  LAMINA_DEVICE std::int64_t phases() const { return grad.forward.steps * (kTwo ? 2 : 1) + 1; }
  LAMINA_KERNEL T* step_slice(const Thread& t) const {
    return reinterpret_cast<T*>(&t.template shared<ResidentBackward>() + 1);
  }
  LAMINA_KERNEL T* mask_slice(const Thread& t) const {
    return step_slice(t) + (grad.forward.units + kReturnTerms - 1) / kReturnTerms * kReturnTerms * kSlicePitch;
  }
  LAMINA_KERNEL void prepare(const Thread& t) const {
    Step{grad, first}.product(0).keep(t, KeptStage<Step, T, tf32>::first_unit(t), step_slice(t));
    if constexpr (kTwo) Mask{grad, second}.product(0).keep(t, KeptStage<Mask, T, tf32>::first_unit(t), mask_slice(t));
  }
  LAMINA_KERNEL void phase(const Thread& t, std::int64_t number) const {
    const RnnRun& run = grad.forward;
    auto& shared = t.template shared<ResidentBackward>();
    const std::int64_t step = run.steps - 1 - (kTwo ? number / 2 : number);
    if (!kTwo || number % 2 == 0)
      KeptStage<Step, T, tf32>::run(t, Step{grad, first}, step, run.batch, run.units, shared, step_slice(t));
    else if constexpr (kTwo)
      KeptStage<Mask, T, tf32>::run(t, Mask{grad, second}, RunPlaces<T, Cell>{run}.time(step), run.batch, run.units,
                                    shared, mask_slice(t));
  }
};

template <class T>
constexpr bool kMayStay = sizeof(T) == 4;  // float64 is for checks: not worth as many kernels again

// Runs all phases in one launch, if the device holds a block for all units at once; a batch is shared out among as many
// as there is room for.
template <class T, class Kernel>
bool stays(const char* name, const Kernel& kernel, const RnnRun& run) {
  constexpr std::int64_t kFewSteps = 3;  // as long as loading the weights takes
  if (run.steps < kFewSteps || resident_is('0')) return false;
  const auto bytes = sizeof(typename Kernel::Shared) + static_cast<std::size_t>(Kernel::slices(run)) * sizeof(T);
  const std::int64_t across = Kernel::most_blocks(run.units), room = resident_blocks<Kernel>(bytes) / across,
                     groups = row_groups(run.batch);
  if (room == 0) {
    if (resident_is('1')) cuda_runtime::note(name, kTooLarge);
    return false;
  }
  launch_resident(name, {across, room < groups ? room : groups}, bytes, kernel);
  return true;
}

// ---- sequences ----

template <class T, class Cell, bool tf32>
void forward_in(const RnnRun& run) {
  constexpr RnnLayout layout = layout_of(Cell::kCell);
  const char* const name = name_of_cell(Cell::kCell);
  if constexpr (kMayStay<T>)
    if (stays<T>(name, ResidentForward<T, Cell, tf32>{run}, run)) return;
  const RunPlaces<T, Cell> places{run};
  for (std::int64_t step = 0; step < run.steps; ++step) {
    const std::int64_t time = places.time(step);
    const Grid grid = step_grid(run.batch, run.units, layout.first);
    if constexpr (layout.second > 0) {
      launch(name, grid, StepForward<T, Cell, Stage::early, tf32>{run, time});
      launch(name, step_grid(run.batch, run.units, layout.second), StepForward<T, Cell, Stage::late, tf32>{run, time});
    } else {
      launch(name, grid, StepForward<T, Cell, Stage::whole, tf32>{run, time});
    }
  }
}

template <class T, class Cell, bool tf32>
void backward_in(const RnnGradRun& grad) {
  constexpr RnnLayout layout = layout_of(Cell::kCell);
  const RnnRun& run = grad.forward;
  const char* const name = name_of_cell(Cell::kCell);
  const GateColumns first = columns_of(layout, 0, layout.first),
                    second = columns_of(layout, layout.first, layout.second);
  if constexpr (kMayStay<T>)
    if (stays<T>(name, ResidentBackward<T, Cell, tf32>{grad, first, second}, run)) return;
  const RunPlaces<T, Cell> places{run};
  using Step = BackwardStage<T, Cell, tf32>;
  using Mask = MaskStage<T, Cell, tf32>;
  const Grid grid = grid_of_units(run.batch, run.units, Step::kUnits);
  for (std::int64_t step = run.steps; step-- > 0;) {
    launch(name, grid, StepBackward<T, Step, tf32>{grad, step, first});
    if constexpr (layout.second > 0)
      launch(name, grid_of_units(run.batch, run.units, Mask::kUnits),
             StepBackward<T, Mask, tf32>{grad, places.time(step), second});
  }
  launch(name, grid, StepBackward<T, Step, tf32>{grad, -1, first});
}

inline bool can_run(const char* name, const RnnRun& run) {
  if (run.batch > kMostStepRows) cuda_runtime::note(name, cuda_runtime::kTooManyElements);
  return run.batch > 0 && run.batch <= kMostStepRows;
}
template <class T, class Cell>
void forward(RnnRun run) {
  if (!can_run(name_of_cell(Cell::kCell), run)) return;
  if constexpr (sizeof(T) == 4)
    if (run.of_halves || cuda_runtime::tf32_allowed()) return forward_in<T, Cell, true>(run);
  forward_in<T, Cell, false>(run);
}
template <class T, class Cell>
void backward(RnnGradRun grad) {
  if (!can_run(name_of_cell(Cell::kCell), grad.forward)) return;
  if constexpr (sizeof(T) == 4)
    if (grad.forward.of_halves || cuda_runtime::tf32_allowed()) return backward_in<T, Cell, true>(grad);
  backward_in<T, Cell, false>(grad);
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
