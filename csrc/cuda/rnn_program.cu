// Runs cell programs over sequences: products as in rnn_step.h, one launch for all gates of a stage; the program, whose
// instructions travel with the launch or, if they are many, lie in the device's memory, by a thread for every unit of a
// sequence; and layer norm of the gates' sums, by a team of threads for every block.
#include "cuda/rnn_product.h"
#include "cuda/team.h"
#include "kernels/rnn_program_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kName[] = "rnn_program";
constexpr int kMostInstructions = 480;  // of a launch's arguments
constexpr int kPage = 480;              // that one launch brings into memory

struct Instruction {
  std::uint8_t op, out, a, b, c;
};
static_assert(kProgramSlots <= 256 && static_cast<int>(CellOp::count) <= 256);
struct alignas(8) StoredInstruction {
  Instruction i;
};
struct Code {
  int instructions, constants;
  const StoredInstruction* stored;  // of longer programs; else null
  Instruction instruction[kMostInstructions];
  double constant[kProgramRows];
};

Instruction instruction_of(const CellProgram& program, int k) {
  const auto byte = [](std::int32_t field) { return static_cast<std::uint8_t>(field); };
  const std::int32_t* const at = program.code + k * kProgramFields;
  return {byte(at[0]), byte(at[1]), byte(at[2]), byte(at[3]), byte(at[4])};
}

// Instructions on their way to the device, as a launch's arguments: a graph brings them anew.
struct StorePage {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  StoredInstruction* to;
  int count;
  Instruction page[kPage];

  LAMINA_KERNEL void operator()(const Thread& t) const {
    for (int k = t.thread(); k < count; k += kThreads) to[k].i = page[k];
  }
};

// A program lies in the host's memory. `room`: for one that is longer than a launch's arguments.
void read_code(const CellProgram& program, StoredInstruction* room, Code& code) {
  code.instructions = program.instructions;
  code.constants = program.constant_count;
  for (int k = 0; k < program.constant_count; ++k) code.constant[k] = program.constants[k];
  code.stored = program.instructions > kMostInstructions ? room : nullptr;
  if (!code.stored)
    for (int k = 0; k < program.instructions; ++k) code.instruction[k] = instruction_of(program, k);
  for (int begin = 0; code.stored && begin < program.instructions; begin += kPage) {
    StorePage page{room + begin, program.instructions - begin < kPage ? program.instructions - begin : kPage, {}};
    for (int k = 0; k < page.count; ++k) page.page[k] = instruction_of(program, begin + k);
    launch(kName, {}, page);
  }
}

template <class T>
struct Places {
  const RnnProgramRun& run;

  LAMINA_INLINE std::int64_t time(std::int64_t step) const { return run.reverse ? run.steps - 1 - step : step; }
  LAMINA_INLINE std::int64_t slot(std::int64_t time, bool after) const { return time + (run.reverse != after ? 1 : 0); }
  LAMINA_INLINE std::int64_t place(std::int64_t time, std::int64_t row) const {
    return (time * run.batch + row) * run.units;
  }
  LAMINA_INLINE T* state(int which, std::int64_t time, bool after, std::int64_t row) const {
    return static_cast<T*>(run.states) + which * run.state_stride + place(slot(time, after), row);
  }
  LAMINA_INLINE std::int64_t depth() const { return (1 + run.shown) * run.units; }  // of what the gates see
  LAMINA_INLINE int first_gates() const { return run.gates - run.late; }
  LAMINA_INLINE bool is_late(int block) const { return block >= first_gates() && block < run.gates; }
  LAMINA_INLINE int shown_state(int which) const { return run.state_count - run.shown + which; }
  LAMINA_INLINE T* seen(std::int64_t time, bool after, std::int64_t row) const {
    return run.seen ? static_cast<T*>(run.seen) + place(slot(time, after), row) * (1 + run.shown)
                    : state(0, time, after, row);
  }
  LAMINA_INLINE T* late_seen(std::int64_t time, std::int64_t row) const {
    return static_cast<T*>(run.late_seen) + place(time, row);
  }
  LAMINA_INLINE T* blocks(void* all, std::int64_t time, std::int64_t row) const {
    return static_cast<T*>(all) + place(time, row) * run.stored;
  }
  LAMINA_INLINE T& scale(std::int64_t time, std::int64_t row, int block) const {
    return static_cast<T*>(run.scale)[(time * run.batch + row) * run.stored + block];
  }
  LAMINA_INLINE T mask(std::int64_t row, std::int64_t u) const {
    return run.mask ? static_cast<const T*>(run.mask)[row * run.units + u] : T(1);
  }
  LAMINA_INLINE bool active(std::int64_t row, std::int64_t time) const {
    return !run.lengths || run.first_time + time < run.lengths[row];
  }
  LAMINA_INLINE Movement<T> movement(int state, std::int64_t at) const {
    return Movement<T>(run.rates[state], run.moves[state], at);
  }
};

// ---- products ----

LAMINA_KERNEL inline std::int64_t first_unit_of(const Thread& t) { return std::int64_t{t.block()} * kWarp; }
LAMINA_KERNEL inline std::int64_t first_row_of(const Thread& t) { return std::int64_t{t.block<1>()} * kStepRows; }

// The share of what is seen in the gates from `first` on; z of the grid counts them.
template <class T, bool tf32>
struct GateSums {
  static constexpr int kThreads = kStepThreads, kMinBlocks = kStepBlocks<T>;
  static constexpr bool kCollective = true;
  using Shared = StepShared<T>;
  RnnProgramRun run;
  std::int64_t time;
  int first;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Places<T> places{run};
    const int gate = first + t.template block<2>();
    const bool late = gate >= places.first_gates();
    const std::int64_t depth = late ? run.units : places.depth();
    auto& shared = t.template shared<GateSums>();
    StepSums<T, tf32> sums(shared.sums);
    const std::int64_t first_unit = first_unit_of(t), first_row = first_row_of(t);
    GateProduct<T, 1, tf32>{late ? places.late_seen(time, 0) : places.seen(time, false, 0),
                            static_cast<const T*>(run.weight) + gate * run.units * depth, run.batch, run.units, depth}
        .run(t, first_unit, first_row, shared, sums);
    sums.finish(t);
    const int column = run.columns[gate];
    for_units<kWarp>(t, first_unit, first_row, run.batch, run.units,
                     [&](std::int64_t row, std::int64_t u, int r, int c) {
                       T& to = places.blocks(run.blocks, time, row)[column * run.units + u];
                       to = column < run.inputs ? to + sums.sum(r, c) : sums.sum(r, c);
                     });
  }
};

// Adds to the gradient of what the gates saw; z of the grid counts its blocks: h, then what is shown.
template <class T, bool tf32>
struct SeenGradient {
  static constexpr int kThreads = kStepThreads, kMinBlocks = kStepBlocks<T>;
  static constexpr bool kCollective = true;
  using Shared = StepShared<T>;
  RnnProgramGradRun grad;
  std::int64_t time;
  GateColumns columns;
  bool late;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const RnnProgramRun& run = grad.forward;
    const Places<T> places{run};
    const int block = t.template block<2>();
    auto& shared = t.template shared<SeenGradient>();
    StepSums<T, tf32> sums(shared.sums);
    const std::int64_t first_unit = first_unit_of(t), first_row = first_row_of(t);
    const T* const weight = static_cast<const T*>(run.weight) + block * run.units +
                            (late ? places.first_gates() * run.units * run.units : 0);
    ReturnOfGates<T, tf32>{places.blocks(grad.dblocks, time, 0), weight, run.batch, run.units, places.depth(), columns}
        .run(t, first_unit, first_row, shared, sums);
    sums.finish(t);
    T* const to =
        late ? static_cast<T*>(grad.dlate_seen)
             : static_cast<T*>(grad.dstates) + (block ? places.shown_state(block - 1) : 0) * run.batch * run.units;
    for_units<kWarp>(t, first_unit, first_row, run.batch, run.units,
                     [&](std::int64_t row, std::int64_t u, int r, int c) {
                       to[row * run.units + u] += sums.sum(r, c) * (block == 0 ? places.mask(row, u) : T(1));
                     });
  }
};

// ---- layer norm ----

// Blocks of the stage to mean 0 and variance 1, or the gradients of such blocks to those of what was normalised.
template <class T, bool backward>
struct NormBlocks {
  static constexpr int kThreads = kTeamThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<Two>;
  RnnProgramRun run;
  T* gradients;  // of a time's blocks
  Teams teams;   // of rows and blocks
  std::int64_t time;
  bool late;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Places<T> places{run};
    Team team(t, teams);
    const std::int64_t row = team.channel / run.stored, H = run.units;
    const int block = static_cast<int>(team.channel - row * run.stored);
    team.there = team.there && places.is_late(block) == late && places.active(row, time);
    T* const x = places.blocks(run.blocks, time, 0) + (row * run.stored + block) * H;
    const auto sums = [&](auto f) {
      TwoSums<T> s;
      for (std::int64_t u = team.number; u < H && team.there; u += team.size) f(s, u);
      return team.sum(t, t.shared<NormBlocks>(), s.total());
    };
    const double count = static_cast<double>(H);
    if constexpr (!backward) {
      const T mean = static_cast<T>(sums([&](TwoSums<T>& s, std::int64_t u) { s.add(x[u], T(0)); }).first / count);
      const Two around = sums([&](TwoSums<T>& s, std::int64_t u) { s.add((x[u] - mean) * (x[u] - mean), T(0)); });
      const T scale = static_cast<T>(1 / sqrt(around.first / count + run.eps));
      for (std::int64_t u = team.number; u < H && team.there; u += team.size) x[u] = (x[u] - mean) * scale;
      if (team.there && team.number == 0) places.scale(time, row, block) = scale;
    } else {
      T* const d = gradients + (row * run.stored + block) * H;
      const Two all = sums([&](TwoSums<T>& s, std::int64_t u) { s.add(d[u], d[u] * x[u]); });
      const T mean = static_cast<T>(all.first / count), slope = static_cast<T>(all.second / count);
      for (std::int64_t u = team.number; u < H && team.there; u += team.size)
        d[u] = fnma(slope, x[u], d[u] - mean) * places.scale(time, row, block);
    }
  }
};

template <class T, bool backward>
void norm_blocks(const RnnProgramRun& run, void* gradients, std::int64_t time, bool late) {
  if (!run.scale) return;
  const Teams teams(run.batch * run.stored, run.units, false);
  T* const of_time = backward ? Places<T>{run}.blocks(gradients, time, 0) : nullptr;
  launch(kName, teams.grid(), NormBlocks<T, backward>{run, of_time, teams, time, late});
}

// ---- the program ----

constexpr int kProgramThreads = 64;

// The values of a program at one unit: rows in memory first, then what only this thread knows.
template <class T>
struct Values {
  T all[kProgramRows][kProgramThreads];
};

// row(slot) is the unit's place in a row of memory.
template <class T, class Row>
LAMINA_KERNEL void run_code(const Thread& t, Values<T>& values, const Code& code, int rows, Row row) {
  using V = Vec<T>;
  for (int k = 0; k < code.constants; ++k) values.all[k][t.thread()] = static_cast<T>(code.constant[k]);
  const auto place = [&](int slot) -> T* { return slot < rows ? row(slot) : &values.all[slot - rows][t.thread()]; };
  for (int k = 0; k < code.instructions; ++k) {
    const Instruction i = code.stored ? code.stored[k].i : code.instruction[k];
    const V a(*place(i.a)), b(*place(i.b)), c(*place(i.c));
    V out(0);
    switch (static_cast<CellOp>(i.op)) {
#define LAMINA_CELL_OP(name, formula) \
  case CellOp::name: out = name##_op::of(a, b, c); break;
      LAMINA_CELL_OPS(LAMINA_CELL_OP)
#undef LAMINA_CELL_OP
      case CellOp::count: break;
    }
    *place(i.out) = out.v;
  }
}

// A thread's sequence and unit.
struct Unit {
  std::int64_t row, u, at;  // at: in [B, H]
  bool there;
  LAMINA_KERNEL Unit(const Thread& t, const RnnProgramRun& run)
      : row(t.global() / run.units), u(t.global() - row * run.units), at(t.global()), there(row < run.batch) {}
};

template <class T, bool early>
struct ProgramForward {
  static constexpr int kThreads = kProgramThreads;
  static constexpr bool kCollective = true;  // for want of memory of a thread's own
  using Shared = Values<T>;
  RnnProgramRun run;
  std::int64_t time;
  Code code;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Unit unit(t, run);
    if (!unit.there) return;
    const Places<T> places{run};
    const std::int64_t row = unit.row, u = unit.u, H = run.units;
    const bool active = places.active(row, time);
    const int states = run.stored, parameters = states + run.state_count, results = parameters + run.parameters;
    const auto at = [&](int slot) -> T* {
      if (slot < states) return places.blocks(run.blocks, time, row) + slot * H + u;
      if (slot < parameters) return places.state(slot - states, time, false, row) + u;
      if (slot < results) return static_cast<T*>(const_cast<void*>(run.unit)) + (slot - parameters) * H + u;
      return early ? places.late_seen(time, row) + u : places.state(slot - results, time, true, row) + u;
    };
    if constexpr (early) {
      T& value = places.late_seen(time, row)[u];
      if (!active) {
        value = 0;
        return;
      }
      run_code(t, t.shared<ProgramForward>(), code, results + 1, at);
      if (run.mask) value *= places.mask(row, u);
    } else {
      const auto after = [&](int s) -> T& { return places.state(s, time, true, row)[u]; };
      const auto before = [&](int s) -> T { return places.state(s, time, false, row)[u]; };
      if (active) {
        run_code(t, t.shared<ProgramForward>(), code, results + run.state_count, at);
        for (int s = 0; s < 2 && s < run.state_count; ++s)
          after(s) = places.movement(s, places.place(time, row) + u).moved(Vec<T>(before(s)), Vec<T>(after(s))).v;
      } else {
        for (int s = 0; s < run.state_count; ++s) after(s) = before(s);
      }
      if (!run.seen) return;
      T *const seen = places.seen(time, true, row) + u, *const was = places.seen(time, false, row) + u;
      seen[0] = active ? after(0) * places.mask(row, u) : was[0];
      for (int k = 0; k < run.shown; ++k) seen[(1 + k) * H] = active ? after(places.shown_state(k)) : was[(1 + k) * H];
    }
  }
};

template <class T, bool early>
struct ProgramBackward {
  static constexpr int kThreads = kProgramThreads;
  static constexpr bool kCollective = true;
  using Shared = Values<T>;
  RnnProgramGradRun grad;
  std::int64_t time;
  Code code;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const RnnProgramRun& run = grad.forward;
    const Unit unit(t, run);
    if (!unit.there) return;
    const Places<T> places{run};
    const std::int64_t row = unit.row, u = unit.u, H = run.units;
    const bool active = places.active(row, time);
    const int states = run.stored, parameters = states + run.state_count, of_blocks = parameters + run.parameters,
              of_states = of_blocks + run.stored, of_parameters = of_states + run.state_count,
              rows = of_parameters + run.parameters + (early ? 1 : 0);
    const auto dstate = [&](int s) -> T& { return static_cast<T*>(grad.dstates)[s * run.batch * H + unit.at]; };
    const auto at = [&](int slot) -> T* {
      if (slot < states) return places.blocks(run.blocks, time, row) + slot * H + u;
      if (slot < parameters) return places.state(slot - states, time, false, row) + u;
      if (slot < of_blocks) return static_cast<T*>(const_cast<void*>(run.unit)) + (slot - parameters) * H + u;
      if (slot < of_states) return places.blocks(grad.dblocks, time, row) + (slot - of_blocks) * H + u;
      if (slot < of_parameters) return &dstate(slot - of_states);
      if (slot < of_parameters + run.parameters)
        return static_cast<T*>(grad.dparameters) + (row * run.parameters + slot - of_parameters) * H + u;
      return static_cast<T*>(grad.dlate_seen) + unit.at;
    };
    if constexpr (early) {
      if (active) run_code(t, t.shared<ProgramBackward>(), code, rows, at);
    } else {
      T* const every = grad.every ? static_cast<T*>(grad.every) + places.place(time, row) + u : nullptr;
      if (run.late) static_cast<T*>(grad.dlate_seen)[unit.at] = 0;
      if (!active) {
        if (every) *every = 0;
        for (int b = 0; b < run.stored; ++b) places.blocks(grad.dblocks, time, row)[b * H + u] = 0;
        return;
      }
      if (grad.dy) dstate(0) += static_cast<const T*>(grad.dy)[time * grad.dy_step + row * grad.dy_row + u];
      if (every) *every = dstate(0);
      // Of a state that moves only part of its way, that part of the gradient goes through the cell; the rest stays.
      T stays[2] = {0, 0};
#pragma unroll
      for (int s = 0; s < 2; ++s) {
        if (s >= run.state_count) continue;
        const Movement<T> moves = places.movement(s, places.place(time, row) + u);
        if (moves.all_the_way) continue;
        const T all = dstate(s);
        dstate(s) = all * moves.part;
        stays[s] = all - all * moves.part;
      }
      run_code(t, t.shared<ProgramBackward>(), code, rows, at);
#pragma unroll
      for (int s = 0; s < 2; ++s)
        if (s < run.state_count) dstate(s) += stays[s];
    }
  }
};

// ---- sequences ----

Grid gate_grid(const RnnProgramRun& run, int count) {
  Grid grid = step_grid(run.batch, run.units, 1);
  grid.z = count;
  return grid;
}
Grid unit_grid(const RnnProgramRun& run) { return grid_for(run.batch * run.units, kProgramThreads); }

bool runs(const RnnProgramRun& run, Code& code, Code& early) {
  if (run.batch == 0) return false;
  if (run.batch > std::int64_t{kStepRows} * 65535) {
    cuda_runtime::note(kName, cuda_runtime::kTooManyElements);
    return false;
  }
  const int stored = run.program.instructions + run.early.instructions;
  auto* const room = stored <= kMostInstructions ? nullptr
                                                 : static_cast<StoredInstruction*>(cuda_runtime::workspace(
                                                       static_cast<std::size_t>(stored) * sizeof(StoredInstruction)));
  if (stored > kMostInstructions && !room) return false;
  read_code(run.program, room, code);
  read_code(run.early, room + run.program.instructions, early);
  return true;
}

bool in_tf32(const RnnProgramRun& run) { return run.of_halves || cuda_runtime::tf32_allowed(); }

template <class T, bool tf32>
void forward_in(const RnnProgramRun& run) {
  Code code, early;
  if (!runs(run, code, early)) return;
  const Places<T> places{run};
  const int first = places.first_gates();
  for (std::int64_t step = 0; step < run.steps; ++step) {
    const std::int64_t time = places.time(step);
    if (first) launch(kName, gate_grid(run, first), GateSums<T, tf32>{run, time, 0});
    if (run.late) {
      norm_blocks<T, false>(run, nullptr, time, false);
      launch(kName, unit_grid(run), ProgramForward<T, true>{run, time, early});
      launch(kName, gate_grid(run, run.late), GateSums<T, tf32>{run, time, first});
    }
    norm_blocks<T, false>(run, nullptr, time, run.late > 0);
    launch(kName, unit_grid(run), ProgramForward<T, false>{run, time, code});
  }
}

template <class T, bool tf32>
void backward_in(const RnnProgramGradRun& grad) {
  const RnnProgramRun& run = grad.forward;
  Code code, early;
  if (!runs(run, code, early)) return;
  const Places<T> places{run};
  const int first = places.first_gates();
  const auto gates = [&](int from, int count) {
    GateColumns all{count, run.stored, {}};
    for (int g = 0; g < count; ++g) all.column[g] = run.columns[from + g];
    return all;
  };
  for (std::int64_t step = run.steps; step-- > 0;) {
    const std::int64_t time = places.time(step);
    launch(kName, unit_grid(run), ProgramBackward<T, false>{grad, time, code});
    norm_blocks<T, true>(run, grad.dblocks, time, run.late > 0);
    if (run.late) {
      launch(kName, gate_grid(run, 1), SeenGradient<T, tf32>{grad, time, gates(first, run.late), true});
      launch(kName, unit_grid(run), ProgramBackward<T, true>{grad, time, early});
      norm_blocks<T, true>(run, grad.dblocks, time, false);
    }
    if (first) launch(kName, gate_grid(run, 1 + run.shown), SeenGradient<T, tf32>{grad, time, gates(0, first), false});
  }
}

template <class T>
void forward(RnnProgramRun run) {
  if constexpr (sizeof(T) == 4)
    if (in_tf32(run)) return forward_in<T, true>(run);
  forward_in<T, false>(run);
}
template <class T>
void backward(RnnProgramGradRun grad) {
  if constexpr (sizeof(T) == 4)
    if (in_tf32(grad.forward)) return backward_in<T, true>(grad);
  backward_in<T, false>(grad);
}

}  // namespace

void fill_rnn_program(RnnTable& t) {
  t.program_packed_bytes = [](DType, std::int64_t, int, int) -> std::size_t { return 0; };
  t.row_blocks = [](std::int64_t batch) { return batch; };  // every row has sums of its own
  for (const DType type : {DType::f32, DType::f64})
    t.program_pack[static_cast<int>(type)] = [](void*, const void*, std::int64_t, int, int) {};
  t.program_forward[static_cast<int>(DType::f32)] = forward<float>;
  t.program_forward[static_cast<int>(DType::f64)] = forward<double>;
  t.program_backward[static_cast<int>(DType::f32)] = backward<float>;
  t.program_backward[static_cast<int>(DType::f64)] = backward<double>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
