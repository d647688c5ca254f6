// Runs cell programs over sequences, forward and backward, with layer norm of the gates' sums where it is asked for.
//
// A step has two phases with a barrier after each: the recurrent products, whose panels of columns are dealt out to the
// threads as in rnn_driver.h, and the program, which needs whole rows and is dealt out by blocks of them.
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
  T* seen(std::int64_t time, bool after, std::int64_t row) const {
    return run.seen ? static_cast<T*>(run.seen) + place(slot(time, after), row) : state(0, time, after, row);
  }
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

template <class T>
class ProgramForward {
  using V = Vec<T>;
  using Panels = GatePanels<T, 1>;

 public:
  explicit ProgramForward(const RnnProgramRun& run) : run_(run), view_{run_} {}

  void pack_all() const { pack(Share(Panels::panels(run_.units) * run_.gates, 0, 1)); }

  void work(int thread, int team) {
    const std::int64_t each = Panels::panels(run_.units);
    const Share mine(each * run_.gates, thread, team), rows(row_blocks(run_.batch), thread, team);
    CellRegisters<T> registers;
    Slots<T> slots(run_.program, registers);
    if (!run_.is_packed) pack(mine);
    for (std::int64_t step = 0; step < run_.steps; ++step) {
      const std::int64_t time = view_.time(step);
      for (std::int64_t p = mine.begin; p < mine.end; ++p) product(time, static_cast<int>(p / each), p % each);
      barrier_wait(barrier_, team);
      for (std::int64_t row = rows.begin * kRowBlock; row < rows.end * kRowBlock && row < run_.batch; ++row)
        cell(slots, time, row);
      barrier_wait(barrier_, team);
    }
  }

 private:
  Panels gate(std::int64_t g) const {
    const Panels panels{static_cast<T*>(run_.packed), run_.units, run_.units};
    return {panels.packed + g * panels.packed_size(), run_.units, run_.units};
  }

  [[gnu::noinline]] void pack(const Share& panels) const {
    const std::int64_t each = Panels::panels(run_.units);
    for (std::int64_t p = panels.begin; p < panels.end; ++p)
      gate(p / each).pack_panel(static_cast<const T*>(run_.weight) + p / each * run_.units * run_.units, p % each);
  }

  void product(std::int64_t time, int g, std::int64_t p) {
    static_assert(Panels::kGroup == 1);
    alignas(64) T sums[kBatchBlock * Panels::kCols];
    const Panels panels = gate(g);
    const bool added = run_.columns[g] < run_.inputs;
    for (std::int64_t first = 0; first < run_.batch; first += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - first < kBatchBlock ? run_.batch - first : kBatchBlock);
      panels.multiply(p, view_.seen(time, false, first), rows, sums);
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

  void cell(Slots<T>& slots, std::int64_t time, std::int64_t row) {
    const std::int64_t H = run_.units;
    if (!view_.active(row, time)) {
      for (int s = 0; s < run_.state_count; ++s)
        copy_row(view_.state(s, time, false, row), view_.state(s, time, true, row), H);
      if (run_.seen) copy_row(view_.seen(time, false, row), view_.seen(time, true, row), H);
      return;
    }
    T* const blocks = view_.blocks(run_.blocks, time, row);
    if (run_.scale)
      for (int b = 0; b < run_.stored; ++b) view_.scale(time, row)[b] = normalise(blocks + b * H);
    slots.clear();
    for (int b = 0; b < run_.stored; ++b) slots.add(blocks + b * H);
    for (int s = 0; s < run_.state_count; ++s) slots.add(view_.state(s, time, false, row));
    for (int k = 0; k < run_.parameters; ++k) slots.add(view_.parameter(k));
    for (int s = 0; s < run_.state_count; ++s) slots.add(view_.state(s, time, true, row));
    slots.run(H);
    for (int s = 0; s < run_.state_count; ++s) move(s, time, row);
    if (run_.seen)
      for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) {
        const V h = load_units<whole>(view_.state(0, time, true, row) + u, n);
        store_units<whole>(h * load_units<whole>(view_.mask(row) + u, n), view_.seen(time, true, row) + u, n);
      });
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

  void move(int state, std::int64_t time, std::int64_t row) {
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
        panels_{static_cast<T*>(run_.packed), run_.units, run_.units, run_.gates} {}

  void work(int thread, int team) {
    const Share mine(Panels::panels(run_.units), thread, team), rows(row_blocks(run_.batch), thread, team);
    CellRegisters<T> registers;
    Slots<T> slots(run_.program, registers);
    for (std::int64_t p = mine.begin; p < mine.end && !run_.is_packed; ++p)
      for (int half = 0; half < Panels::kHalves; ++half)
        panels_.pack_panel(static_cast<const T*>(run_.weight), p, half);
    for (std::int64_t step = run_.steps; step-- > 0;) {
      const std::int64_t time = view_.time(step);
      for (std::int64_t row = rows.begin * kRowBlock; row < rows.end * kRowBlock && row < run_.batch; ++row)
        cell(slots, time, row);
      barrier_wait(barrier_, team);
      for (std::int64_t p = mine.begin; p < mine.end; ++p) product(time, p);
      barrier_wait(barrier_, team);
    }
  }

 private:
  T* dstate(int which, std::int64_t row) const {
    return static_cast<T*>(grad_.dstates) + (which * run_.batch + row) * run_.units;
  }

  void cell(Slots<T>& slots, std::int64_t time, std::int64_t row) {
    const std::int64_t H = run_.units;
    T* const d = view_.blocks(grad_.dblocks, time, row);
    T* const every = grad_.every ? static_cast<T*>(grad_.every) + view_.place(time, row) : nullptr;
    if (!view_.active(row, time)) {
      if (every) for_row<T>(H, [&]<bool whole>(std::int64_t u, int n) { store_units<whole>(V(T(0)), every + u, n); });
      for_row<T>(run_.stored * H, [&]<bool whole>(std::int64_t u, int n) { store_units<whole>(V(T(0)), d + u, n); });
      return;
    }
    T* const blocks = view_.blocks(run_.blocks, time, row);
    if (grad_.dy) add_row(static_cast<const T*>(grad_.dy) + time * grad_.dy_step + row * grad_.dy_row, dstate(0, row));
    if (every) copy_row<T>(dstate(0, row), every, H);
    for (int s = 0; s < run_.state_count; ++s) part(s, time, row);
    slots.clear();
    for (int b = 0; b < run_.stored; ++b) slots.add(blocks + b * H);
    for (int s = 0; s < run_.state_count; ++s) slots.add(view_.state(s, time, false, row));
    for (int k = 0; k < run_.parameters; ++k) slots.add(view_.parameter(k));
    for (int b = 0; b < run_.stored; ++b) slots.add(d + b * H);
    for (int s = 0; s < run_.state_count; ++s) slots.add(dstate(s, row));
    T* const dparameters = static_cast<T*>(grad_.dparameters) + row / kRowBlock * run_.parameters * H;
    for (int k = 0; k < run_.parameters; ++k) slots.add(dparameters + k * H);
    slots.run(H);
    for (int s = 0; s < run_.state_count; ++s) join(s, time, row);
    if (run_.scale)
      for (int b = 0; b < run_.stored; ++b) through_norm(blocks + b * H, d + b * H, view_.scale(time, row)[b]);
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

  // What the gates saw of h before the step.
  void product(std::int64_t time, std::int64_t p) {
    alignas(64) T sums[kBatchBlock * kTileCols<T>];
    const std::int64_t d_row = run_.stored * run_.units;
    for (std::int64_t first = 0; first < run_.batch; first += kBatchBlock) {
      const int rows = static_cast<int>(run_.batch - first < kBatchBlock ? run_.batch - first : kBatchBlock);
      for (int half = 0; half < Panels::kHalves; ++half)
        panels_.multiply(p, half, view_.blocks(grad_.dblocks, time, first), d_row, run_.columns, rows, sums,
                         kTileCols<T>, half > 0);
      for (int r = 0; r < rows; ++r) {
        T* const to = dstate(0, first + r);
        Lanes<V::width>::each(p * kTileCols<T>, run_.units, kTileCols<T>, [&]<int vecs>(std::int64_t u, int n, int v) {
          V back = V::load(sums + r * kTileCols<T> + v);
          if (run_.mask) back = back * load_units<vecs>(view_.mask(first + r) + u, n);
          store_units<vecs>(load_units<vecs>(to + u, n) + back, to + u, n);
        });
      }
    }
  }

  const RnnProgramGradRun& grad_;
  const RnnProgramRun& run_;
  const ProgramView<T> view_;
  const Panels panels_;
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
void program_pack(void* packed, const void* weight, std::int64_t units, int gates) {
  RnnProgramRun run{};
  run.units = units;
  run.gates = gates;
  run.packed = packed;
  run.weight = weight;
  ProgramForward<T>(run).pack_all();
}

std::size_t program_packed_bytes(DType dtype, std::int64_t units, int gates) {
  const std::size_t size = item_size(dtype);
  const std::int64_t cols = dtype == DType::f32 ? kTileCols<float> : kTileCols<double>;
  return static_cast<std::size_t>(gates * units * ((units + cols - 1) / cols * cols)) * size;
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
