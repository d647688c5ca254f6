// Runs cell programs over sequences, forward and backward, with layer norm of the gates' sums where it is asked for.
//
// A step has two phases with a barrier after each: the recurrent products, whose panels of columns are dealt out to the
// threads as in rnn_driver.h, and the program, which needs whole rows and is dealt out by blocks of them. Both come
// twice in cells of two stages.
#include "cpu/rnn_program.h"

#include "cpu/rnn_panels.h"
#include "kernels/rnn.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kRowBlock = 4;  // rows that share sums of the parameters' gradients: never by thread

std::int64_t row_blocks(std::int64_t batch) { return (batch + kRowBlock - 1) / kRowBlock; }

template <class T>
struct ProgramView {
  const RnnProgramRun& run;

  std::int64_t time(std::int64_t step) const { return run.reverse ? run.steps - 1 - step : step; }
  std::int64_t slot(std::int64_t time, bool after) const { return time + (run.reverse != after ? 1 : 0); }
  std::int64_t place(std::int64_t time, std::int64_t row) const { return (time * run.batch + row) * run.units; }
  T* state(int which, std::int64_t time, bool after, std::int64_t row) const {
    return static_cast<T*>(run.states) + which * run.state_stride + place(slot(time, after), row);
  }
  std::int64_t depth() const { return (1 + run.shown) * run.units; }  // of what the gates see
  int first_gates() const { return run.gates - run.late; }
  bool is_late(int block) const { return block >= first_gates() && block < run.gates; }
  int shown_state(int which) const { return run.state_count - run.shown + which; }
  T* seen(std::int64_t time, bool after, std::int64_t row) const {
    return run.seen ? static_cast<T*>(run.seen) + place(slot(time, after), row) * (1 + run.shown)
                    : state(0, time, after, row);
  }
  T* late_seen(std::int64_t time, std::int64_t row) const { return static_cast<T*>(run.late_seen) + place(time, row); }
  T* blocks(void* all, std::int64_t time, std::int64_t row) const {
    return static_cast<T*>(all) + place(time, row) * run.stored;
  }
  T* scale(std::int64_t time, std::int64_t row) const {
    return static_cast<T*>(run.scale) + (time * run.batch + row) * run.stored;
  }
  T* parameter(int which) const { return static_cast<T*>(const_cast<void*>(run.unit)) + which * run.units; }
  const T* mask(std::int64_t row) const { return static_cast<const T*>(run.mask) + row * run.units; }
  bool active(std::int64_t row, std::int64_t time) const {
    return !run.lengths || run.first_time + time < run.lengths[row];
  }
  // The last state has rates of its own only if it is the first or the second.
  Movement<T> movement(int state, std::int64_t time, std::int64_t row) const {
    if (state >= 2) return Movement<T>(1.0, nullptr, 0);
    return Movement<T>(run.rates[state], run.moves[state], place(time, row));
  }
};

// body(first unit, lanes, whole?) for each vector of a row.
template <class T, class Body>
LAMINA_INLINE void for_row(std::int64_t units, Body body) {
  for (std::int64_t u = 0; u < units; u += Vec<T>::width)
    if (units - u >= Vec<T>::width)
      body.template operator()<true>(u, Vec<T>::width);
    else
      body.template operator()<false>(u, static_cast<int>(units - u));
}

template <class T>
void copy_row(const T* from, T* to, std::int64_t n) {
  __builtin_memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
}

// Slots that stay where they are, and those that move with the units.
template <class T>
class Slots {
 public:
  Slots(const CellProgram& program, CellRegisters<T>& registers) : program_(program), registers_(registers) {
    for (int k = 0; k < program.constant_count; ++k)
      for (T& x : registers.rows[k]) x = static_cast<T>(program.constants[k]);
  }
  void clear() { rows_ = 0; }
  void add(T* row) { row_[rows_++] = row; }
  void run(std::int64_t units) {
    for (int k = 0; k < kProgramRows && rows_ + k < kProgramSlots; ++k) at_[rows_ + k] = registers_.rows[k];
    for (std::int64_t u = 0; u < units; u += kProgramUnits<T>) {
      for (int k = 0; k < rows_; ++k) at_[k] = row_[k] + u;
      run_program(program_, at_, units - u < kProgramUnits<T> ? units - u : kProgramUnits<T>);
    }
  }

 private:
  const CellProgram& program_;
  CellRegisters<T>& registers_;
  int rows_ = 0;
  T *row_[kProgramSlots], *at_[kProgramSlots];
};

// to ← to · factors
template <class T>
void multiply_row(T* to, const T* factors, std::int64_t n) {
  for_row<T>(n, [&]<bool whole>(std::int64_t u, int lanes) {
    store_units<whole>(load_units<whole>(to + u, lanes) * load_units<whole>(factors + u, lanes), to + u, lanes);
  });
}
template <class T>
void clear_row(T* to, std::int64_t n) {
  for_row<T>(n, [&]<bool whole>(std::int64_t u, int lanes) { store_units<whole>(Vec<T>(T(0)), to + u, lanes); });
}

template <class T>
class ProgramForward {
  using V = Vec<T>;
  using Panels = GatePanels<T, 1>;

 public:
  explicit ProgramForward(const RnnProgramRun& run) : run_(run), view_{run_} {}

  void pack_all() const { pack(0, Share(Panels::panels(run_.units) * run_.gates, 0, 1)); }

  void work(int thread, int team) {
    const std::int64_t each = Panels::panels(run_.units);
    const int first = view_.first_gates();
    const Share mine(each * first, thread, team), then(each * run_.late, thread, team),
        blocks(row_blocks(run_.batch), thread, team);
    CellRegisters<T> registers, early_registers;
    Slots<T> slots(run_.program, registers), early_slots(run_.early, early_registers);
    const auto for_rows = [&](auto body) {
      for (std::int64_t row = blocks.begin * kRowBlock; row < blocks.end * kRowBlock && row < run_.batch; ++row)
        body(row);
      barrier_wait(barrier_, team);
    };
    if (!run_.is_packed) {
      pack(0, mine);
      pack(first, then);
    }
    for (std::int64_t step = 0; step < run_.steps; ++step) {
      const std::int64_t time = view_.time(step);
      if (team > 1) fetch<false>(view_.seen(time, false, 0), run_.batch * view_.depth());
      for (std::int64_t p = mine.begin; p < mine.end; ++p) product(time, static_cast<int>(p / each), p % each);
      barrier_wait(barrier_, team);
      if (run_.late) {
        for_rows([&](std::int64_t row) { early(early_slots, time, row); });
        for (std::int64_t p = then.begin; p < then.end; ++p)
          product(time, first + static_cast<int>(p / each), p % each);
        barrier_wait(barrier_, team);
      }
      for_rows([&](std::int64_t row) { cell(slots, time, row); });
    }
  }

 private:
  Panels gate(std::int64_t g) const {
    const Panels panels{static_cast<T*>(run_.packed), run_.units, view_.depth()};
    return {panels.packed + g * panels.packed_size(), run_.units, view_.depth()};
  }

  [[gnu::noinline]] void pack(int first, const Share& panels) const {
    const std::int64_t each = Panels::panels(run_.units);
    for (std::int64_t p = panels.begin; p < panels.end; ++p) {
      const std::int64_t g = first + p / each;
      gate(g).pack_panel(static_cast<const T*>(run_.weight) + g * run_.units * view_.depth(), p % each);
    }
  }

  void product(std::int64_t time, int g, std::int64_t p) {
    static_assert(Panels::kGroup == 1);
    alignas(64) T sums[kBatchBlock * Panels::kCols];
    const Panels panels = gate(g);
    const bool added = run_.columns[g] < run_.inputs;
    for (std::int64_t first = 0; first < run_.batch; first += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - first < kBatchBlock ? run_.batch - first : kBatchBlock);
      panels.multiply(p, g < view_.first_gates() ? view_.seen(time, false, first) : view_.late_seen(time, first), rows,
                      sums);
      for (int r = 0; r < rows; ++r) {
        T* const to = view_.blocks(run_.blocks, time, first + r) + run_.columns[g] * run_.units;
        Lanes<V::width>::each(p * Panels::kUnits, run_.units, Panels::kUnits,
                              [&]<int vecs>(std::int64_t u, int n, int v) {
                                V sum = V::load(sums + r * Panels::kCols + v);
                                if (added) sum = load_units<vecs>(to + u, n) + sum;
                                store_units<vecs>(sum, to + u, n);
                              });
      }
    }
  }

  // What both stages read: a step's blocks, the states before it, the parameters.
  void begin(Slots<T>& slots, std::int64_t time, std::int64_t row) const {
    slots.clear();
    for (int b = 0; b < run_.stored; ++b) slots.add(view_.blocks(run_.blocks, time, row) + b * run_.units);
    for (int s = 0; s < run_.state_count; ++s) slots.add(view_.state(s, time, false, row));
    for (int k = 0; k < run_.parameters; ++k) slots.add(view_.parameter(k));
  }
  void normalise_blocks(std::int64_t time, std::int64_t row, bool late) const {
    for (int b = 0; b < run_.stored && run_.scale; ++b)
      if (view_.is_late(b) == late)
        view_.scale(time, row)[b] = normalise(view_.blocks(run_.blocks, time, row) + b * run_.units);
  }

  // The first of two stages: what the late gates see.
  void early(Slots<T>& slots, std::int64_t time, std::int64_t row) const {
    T* const value = view_.late_seen(time, row);
    if (!view_.active(row, time)) return clear_row(value, run_.units);
    normalise_blocks(time, row, false);
    begin(slots, time, row);
    slots.add(value);
    slots.run(run_.units);
    if (run_.mask) multiply_row(value, view_.mask(row), run_.units);
  }

  void cell(Slots<T>& slots, std::int64_t time, std::int64_t row) const {
    const std::int64_t H = run_.units;
    if (row + 1 < run_.batch) fetch<false>(view_.blocks(run_.blocks, time, row + 1), run_.stored * H);
    if (!view_.active(row, time)) {
      for (int s = 0; s < run_.state_count; ++s)
        copy_row(view_.state(s, time, false, row), view_.state(s, time, true, row), H);
      if (run_.seen) copy_row(view_.seen(time, false, row), view_.seen(time, true, row), view_.depth());
      return;
    }
    normalise_blocks(time, row, run_.late > 0);
    begin(slots, time, row);
    for (int s = 0; s < run_.state_count; ++s) slots.add(view_.state(s, time, true, row));
    slots.run(H);
    for (int s = 0; s < run_.state_count; ++s) move(s, time, row);
    if (!run_.seen) return;
    T* const seen = view_.seen(time, true, row);
    copy_row<T>(view_.state(0, time, true, row), seen, H);
    if (run_.mask) multiply_row(seen, view_.mask(row), H);
    for (int k = 0; k < run_.shown; ++k)
      copy_row<T>(view_.state(view_.shown_state(k), time, true, row), seen + (1 + k) * H, H);
  }

  // A block to mean 0 and variance 1; returns what its distance from the mean was multiplied by.
  T normalise(T* x) const {
    const std::int64_t H = run_.units;
    V sums(T(0));
    for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) { sums += load_units<whole>(x + u, n); });
    const T mean = sum(sums) / static_cast<T>(H);
    V squares(T(0));
    T tail = 0;
    for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) {
      const V off = load_units<whole>(x + u, n) - V(mean);
      if constexpr (whole)
        squares = fma(off, off, squares);
      else
        for (int i = 0; i < n; ++i) tail += (x[u + i] - mean) * (x[u + i] - mean);
    });
    const T variance = (sum(squares) + tail) / static_cast<T>(H);
    const T scale = T(1) / sqrt(variance + static_cast<T>(run_.eps));
    for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) {
      store_units<whole>((load_units<whole>(x + u, n) - V(mean)) * V(scale), x + u, n);
    });
    return scale;
  }

  void move(int state, std::int64_t time, std::int64_t row) const {
    const Movement<T> moves = view_.movement(state, time, row);
    if (moves.all_the_way()) return;
    const T* const before = view_.state(state, time, false, row);
    T* const after = view_.state(state, time, true, row);
    for_row<T>(run_.units, [&]<bool whole>(std::int64_t u, int n) {
      const V fresh = load_units<whole>(after + u, n);
      store_units<whole>(moves.template moved<whole>(load_units<whole>(before + u, n), fresh, u, n), after + u, n);
    });
  }

  const RnnProgramRun& run_;
  const ProgramView<T> view_;
  Barrier barrier_;
};

template <class T>
class ProgramBackward {
  using V = Vec<T>;
  using Panels = ReturnPanels<T>;

 public:
  explicit ProgramBackward(const RnnProgramGradRun& run)
      : grad_(run),
        run_(run.forward),
        view_{run_},
        first_{static_cast<T*>(run_.packed), view_.depth(), run_.units, view_.first_gates()},
        late_{static_cast<T*>(run_.packed) + first_.packed_size(), run_.units, run_.units, run_.late} {}

  void work(int thread, int team) {
    const Share mine(Panels::panels(view_.depth()), thread, team), then(Panels::panels(run_.units), thread, team),
        blocks(row_blocks(run_.batch), thread, team);
    CellRegisters<T> registers, early_registers;
    Slots<T> slots(run_.program, registers), early_slots(run_.early, early_registers);
    const auto for_rows = [&](auto body) {
      for (std::int64_t row = blocks.begin * kRowBlock; row < blocks.end * kRowBlock && row < run_.batch; ++row)
        body(row);
      barrier_wait(barrier_, team);
    };
    if (!run_.is_packed) {
      const T* const weight = static_cast<const T*>(run_.weight);
      pack(first_, weight, mine);
      if (run_.late) pack(late_, weight + first_.gates * run_.units * run_.units, then);
    }
    for (std::int64_t step = run_.steps; step-- > 0;) {
      const std::int64_t time = view_.time(step);
      for_rows([&](std::int64_t row) { cell(slots, time, row); });
      if (run_.late) {
        for (std::int64_t p = then.begin; p < then.end; ++p) product(late_, time, p, true);
        barrier_wait(barrier_, team);
        for_rows([&](std::int64_t row) { early(early_slots, time, row); });
      }
      if (team > 1) fetch<false>(view_.blocks(grad_.dblocks, time, 0), run_.batch * run_.stored * run_.units);
      for (std::int64_t p = mine.begin; p < mine.end; ++p) product(first_, time, p, false);
      barrier_wait(barrier_, team);
    }
  }

 private:
  static void pack(const Panels& panels, const T* weight, const Share& share) {
    for (std::int64_t p = share.begin; p < share.end; ++p)
      for (int half = 0; half < Panels::kHalves; ++half) panels.pack_panel(weight, p, half);
  }
  T* dstate(int which, std::int64_t row) const {
    return static_cast<T*>(grad_.dstates) + (which * run_.batch + row) * run_.units;
  }
  T* dlate_seen(std::int64_t row) const { return static_cast<T*>(grad_.dlate_seen) + row * run_.units; }

  // What the programs of both stages read and add to.
  void begin(Slots<T>& slots, std::int64_t time, std::int64_t row) const {
    const std::int64_t H = run_.units;
    slots.clear();
    for (int b = 0; b < run_.stored; ++b) slots.add(view_.blocks(run_.blocks, time, row) + b * H);
    for (int s = 0; s < run_.state_count; ++s) slots.add(view_.state(s, time, false, row));
    for (int k = 0; k < run_.parameters; ++k) slots.add(view_.parameter(k));
    for (int b = 0; b < run_.stored; ++b) slots.add(view_.blocks(grad_.dblocks, time, row) + b * H);
    for (int s = 0; s < run_.state_count; ++s) slots.add(dstate(s, row));
    T* const dparameters = static_cast<T*>(grad_.dparameters) + row / kRowBlock * run_.parameters * H;
    for (int k = 0; k < run_.parameters; ++k) slots.add(dparameters + k * H);
  }
  void through_norms(std::int64_t time, std::int64_t row, bool late) const {
    for (int b = 0; b < run_.stored && run_.scale; ++b)
      if (view_.is_late(b) == late)
        through_norm(view_.blocks(run_.blocks, time, row) + b * run_.units,
                     view_.blocks(grad_.dblocks, time, row) + b * run_.units, view_.scale(time, row)[b]);
  }

  // Of the first of two stages.
  void early(Slots<T>& slots, std::int64_t time, std::int64_t row) const {
    if (!view_.active(row, time)) return;
    begin(slots, time, row);
    slots.add(dlate_seen(row));
    slots.run(run_.units);
    through_norms(time, row, false);
  }

  void cell(Slots<T>& slots, std::int64_t time, std::int64_t row) {
    const std::int64_t H = run_.units;
    T* const every = grad_.every ? static_cast<T*>(grad_.every) + view_.place(time, row) : nullptr;
    if (row + 1 < run_.batch) {
      fetch<false>(view_.blocks(run_.blocks, time, row + 1), run_.stored * H);
      fetch<true>(view_.blocks(grad_.dblocks, time, row + 1), run_.stored * H);
    }
    if (run_.late) clear_row(dlate_seen(row), H);
    if (!view_.active(row, time)) {
      if (every) clear_row(every, H);
      return clear_row(view_.blocks(grad_.dblocks, time, row), run_.stored * H);
    }
    if (grad_.dy) add_row(static_cast<const T*>(grad_.dy) + time * grad_.dy_step + row * grad_.dy_row, dstate(0, row));
    if (every) copy_row<T>(dstate(0, row), every, H);
    for (int s = 0; s < run_.state_count; ++s) part(s, time, row);
    begin(slots, time, row);
    slots.run(H);
    for (int s = 0; s < run_.state_count; ++s) join(s, time, row);
    through_norms(time, row, run_.late > 0);
  }

  void add_row(const T* from, T* to) const {
    for_row<T>(run_.units, [&]<bool whole>(std::int64_t u, int n) {
      store_units<whole>(load_units<whole>(to + u, n) + load_units<whole>(from + u, n), to + u, n);
    });
  }

  // Of a state that moves only part of its way, that part of the gradient goes through the cell; the rest stays.
  void part(int state, std::int64_t time, std::int64_t row) const {
    const Movement<T> moves = view_.movement(state, time, row);
    if (moves.all_the_way()) return;
    T *const d = dstate(state, row), *const stays = static_cast<T*>(grad_.stays) + (d - dstate(0, 0));
    for_row<T>(run_.units, [&]<bool whole>(std::int64_t u, int n) {
      const V all = load_units<whole>(d + u, n), through = all * moves.template part<whole>(u, n);
      store_units<whole>(through, d + u, n);
      store_units<whole>(all - through, stays + u, n);
    });
  }
  void join(int state, std::int64_t time, std::int64_t row) const {
    if (view_.movement(state, time, row).all_the_way()) return;
    T* const d = dstate(state, row);
    add_row(static_cast<const T*>(grad_.stays) + (d - dstate(0, 0)), d);
  }

  // x: the normalised block; d: its gradient, and then that of what was normalised.
  void through_norm(const T* x, T* d, T scale) const {
    const std::int64_t H = run_.units;
    V sums(T(0)), products(T(0));
    for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) {
      const V g = load_units<whole>(d + u, n);
      sums += g;
      products = fma(g, load_units<whole>(x + u, n), products);
    });
    const V mean(sum(sums) / static_cast<T>(H)), slope(sum(products) / static_cast<T>(H));
    for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) {
      const V g = load_units<whole>(d + u, n) - mean;
      store_units<whole>(fnma(slope, load_units<whole>(x + u, n), g) * V(scale), d + u, n);
    });
  }

  // Adds to the gradient of what the gates saw, in a panel of its columns.
  void product(const Panels& panels, std::int64_t time, std::int64_t p, bool late) const {
    constexpr std::int64_t kWidth = kTileCols<T>;
    alignas(64) T sums[kBatchBlock * kWidth];
    const std::int64_t H = run_.units, begin = p * kWidth;
    const std::int64_t end = panels.columns - begin < kWidth ? panels.columns : begin + kWidth;
    for (std::int64_t first = 0; first < run_.batch; first += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - first < kBatchBlock ? run_.batch - first : kBatchBlock);
      for (int half = 0; half < Panels::kHalves; ++half)
        panels.multiply(p, half, view_.blocks(grad_.dblocks, time, first), run_.stored * H,
                        run_.columns + (late ? first_.gates : 0), rows, sums, kWidth, half > 0);
      for (std::int64_t column = begin; column < end;) {
        const int block = static_cast<int>(column / H);  // of what they see: h, then what is shown
        const std::int64_t u = column % H, units = end - column < H - u ? end - column : H - u;
        for (int r = 0; r < rows; ++r) {
          const std::int64_t row = first + r;
          T* const to = late ? dlate_seen(row) : dstate(block ? view_.shown_state(block - 1) : 0, row);
          add_sums(sums + r * kWidth + (column - begin), to + u,
                   run_.mask && block == 0 ? view_.mask(row) + u : nullptr, units);
        }
        column += units;
      }
    }
  }
  static void add_sums(const T* sums, T* to, const T* mask, std::int64_t units) {
    for_row<T>(units, [&]<bool whole>(std::int64_t u, int n) {
      V back = load_units<whole>(sums + u, n);
      if (mask) back = back * load_units<whole>(mask + u, n);
      store_units<whole>(load_units<whole>(to + u, n) + back, to + u, n);
    });
  }

  const RnnProgramGradRun& grad_;
  const RnnProgramRun& run_;
  const ProgramView<T> view_;
  const Panels first_, late_;
  Barrier barrier_;
};

template <class T>
void program_forward(RnnProgramRun run) {
  drive<ProgramForward<T>>(run, run.batch, run.units, run.gates);
}
template <class T>
void program_backward(RnnProgramGradRun run) {
  drive<ProgramBackward<T>>(run, run.forward.batch, run.forward.units, run.forward.gates);
}

template <class T>
void program_pack(void* packed, const void* weight, std::int64_t units, int gates, int seen) {
  RnnProgramRun run{};
  run.units = units;
  run.gates = gates;
  run.shown = seen - 1;
  run.packed = packed;
  run.weight = weight;
  ProgramForward<T>(run).pack_all();
}

std::size_t program_packed_bytes(DType dtype, std::int64_t units, int gates, int seen) {
  const std::size_t size = item_size(dtype);
  const std::int64_t cols = dtype == DType::f32 ? kTileCols<float> : kTileCols<double>;
  return static_cast<std::size_t>(gates * seen * units * ((units + cols - 1) / cols * cols)) * size;
}

}  // namespace

void fill_rnn_program(RnnTable& t) {
  t.program_packed_bytes = program_packed_bytes;
  t.row_blocks = row_blocks;
  t.program_pack[static_cast<int>(DType::f32)] = program_pack<float>;
  t.program_pack[static_cast<int>(DType::f64)] = program_pack<double>;
  t.program_forward[static_cast<int>(DType::f32)] = program_forward<float>;
  t.program_forward[static_cast<int>(DType::f64)] = program_forward<double>;
  t.program_backward[static_cast<int>(DType::f32)] = program_backward<float>;
  t.program_backward[static_cast<int>(DType::f64)] = program_backward<double>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
