// Optimisers: one pass over a run of an arena, whatever the rule. Options and clocks are read from memory, so that a
// captured step sees schedules.
#include "cuda/elementwise_walk.h"
#include "kernels/optim_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kOptimThreads = 256;
constexpr int kNeighbours = 4;  // elements of a thread

// 16-bit parameters are updated in float32, which their states are kept in.
template <class T>
using State = std::conditional_t<std::is_same_v<T, double>, double, float>;

// kNeighbours elements from `first` on, as far as there are n. `whole`: all are there, and lie where 16 bytes may be
// read.
template <class S>
LAMINA_INLINE void read_some(const void* p, std::int64_t first, std::int64_t n, bool whole, Stored stored,
                             S (&x)[kNeighbours]) {
  if (whole) return read_run(p, first, stored, x);
#pragma unroll
  for (int i = 0; i < kNeighbours; ++i) x[i] = first + i < n ? read<S>(p, first + i, stored) : S(0);
}
template <class S>
LAMINA_INLINE void write_some(void* p, std::int64_t first, std::int64_t n, bool whole, Stored stored,
                              const S (&x)[kNeighbours]) {
  if (whole) return write_run(p, first, stored, x);
#pragma unroll
  for (int i = 0; i < kNeighbours; ++i)
    if (first + i < n) write(p, first + i, stored, x[i]);
}
inline bool aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }
inline Grid grid_of(std::int64_t n) { return grid_for(n, kOptimThreads * kNeighbours); }

// ---- the step ----

template <class Rule>
struct Tick {
  static constexpr int kThreads = 1;
  static constexpr bool kCollective = false;
  const OptimOptions* options;
  OptimClock* clock;
  LAMINA_KERNEL void operator()(const Thread&) const { Rule::tick(*options, *clock); }
};

template <class Rule, class S, int states>
struct Update {
  static constexpr int kThreads = kOptimThreads;
  static constexpr bool kCollective = false;
  OptimRun run;
  Stored stored;
  bool straight;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    using V = Vec<S>;
    const std::int64_t first = t.global() * kNeighbours;
    if (first >= run.n) return;
    const bool whole = straight && first + kNeighbours <= run.n;
    const rules::Penalty<V> penalty(*run.options);
    const typename Rule::template Step<V> step(*run.options, *run.clock);
    S w[kNeighbours], g[kNeighbours], s[states > 0 ? states : 1][kNeighbours];
    read_some(run.w, first, run.n, whole, stored, w);
    read_some(run.g, first, run.n, whole, stored, g);
#pragma unroll
    for (int k = 0; k < states; ++k) read_some(run.state[k], first, run.n, whole, Stored::plain, s[k]);
#pragma unroll
    for (int i = 0; i < kNeighbours; ++i) {
      V value = w[i], gradient = g[i], state[kOptimStates];
#pragma unroll
      for (int k = 0; k < states; ++k) state[k] = s[k][i];
      penalty.apply(value, gradient);
      w[i] = step.template step<states>(value, gradient, state).v;
#pragma unroll
      for (int k = 0; k < states; ++k) s[k][i] = state[k].v;
    }
    write_some(run.w, first, run.n, whole, stored, w);
#pragma unroll
    for (int k = 0; k < states; ++k) write_some(run.state[k], first, run.n, whole, Stored::plain, s[k]);
  }
};

template <class Rule, class S, int least, int most>
void update_as(const OptimRun& run, int states, Stored stored) {
  if constexpr (least < most)
    if (states != least) return update_as<Rule, S, least + 1, most>(run, states, stored);
  bool straight = aligned(run.w) && aligned(run.g);
  for (int k = 0; k < least; ++k) straight = straight && aligned(run.state[k]);
  if (run.n > 0) launch("optimizer step", grid_of(run.n), Update<Rule, S, least>{run, stored, straight});
}

template <class Rule, class T, int least, int most>
void update(OptimRun run, int states) {
  constexpr Stored as = std::is_same_v<T, float16>    ? Stored::half
                        : std::is_same_v<T, bfloat16> ? Stored::brain
                                                      : Stored::plain;
  update_as<Rule, State<T>, least, most>(run, states, as);
}

template <class Rule, int least, int most>
void fill_rule(OptimTable& table, OptimRule rule) {
  const int r = static_cast<int>(rule);
  table.tick[r] = [](const OptimOptions* o, OptimClock* c) { launch("optimizer step", {}, Tick<Rule>{o, c}); };
  table.update[r][static_cast<int>(DType::f32)] = update<Rule, float, least, most>;
  table.update[r][static_cast<int>(DType::f64)] = update<Rule, double, least, most>;
  table.update[r][static_cast<int>(DType::f16)] = update<Rule, float16, least, most>;
  table.update[r][static_cast<int>(DType::bf16)] = update<Rule, bfloat16, least, most>;
}

struct Set {
  static constexpr int kThreads = 1;
  static constexpr bool kCollective = false;
  double* number;
  double value;
  LAMINA_KERNEL void operator()(const Thread&) const { *number = value; }
};
void set(double* number, double value) { launch("optimizer", {}, Set{number, value}); }

// ---- element by element: F(values of up to two operands) ----

template <class S>
struct Scale {
  const double* factor;
  LAMINA_INLINE bool idle() const { return *factor == 1; }
  LAMINA_INLINE S operator()(S x, S) const { return x * static_cast<S>(*factor); }
};
template <class S>
struct Clip {
  double limit;
  LAMINA_INLINE bool idle() const { return false; }
  LAMINA_INLINE S operator()(S x, S) const {
    const S high = static_cast<S>(limit);
    return minimum(maximum(x, -high), high);
  }
};
template <class S>
struct Blend {
  const AverageClock* clock;
  LAMINA_INLINE bool idle() const { return false; }
  LAMINA_INLINE S operator()(S average, S w) const { return rules::lerp(average, w, static_cast<S>(1 - clock->decay)); }
};
template <class S>
struct Corrected {
  const AverageClock* clock;
  LAMINA_INLINE bool idle() const { return false; }
  LAMINA_INLINE S operator()(S, S average) const { return average * static_cast<S>(1 / clock->correction); }
};
// w is set aside in `saved` and moves on.
template <class S>
struct LookAhead {
  const OptimOptions* options;
  LAMINA_INLINE bool idle() const { return false; }
  LAMINA_INLINE S operator()(S w, S gathered) const { return rules::Ahead<Vec<S>>(*options)(w, gathered).v; }
};

// to = f(to, from), and saved = to as it was; from and saved may be null.
template <class S, class F>
struct Sweep {
  static constexpr int kThreads = kOptimThreads;
  static constexpr bool kCollective = false;
  void* to;
  const void* from;
  void* saved;
  std::int64_t n;
  Stored to_stored, from_stored;
  bool straight;
  F f;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t first = t.global() * kNeighbours;
    if (first >= n || f.idle()) return;
    const bool whole = straight && first + kNeighbours <= n;
    S x[kNeighbours], y[kNeighbours] = {};
    read_some(to, first, n, whole, to_stored, x);
    if (from) read_some(from, first, n, whole, from_stored, y);
    if (saved) write_some(saved, first, n, whole, to_stored, x);
#pragma unroll
    for (int i = 0; i < kNeighbours; ++i) x[i] = f(x[i], y[i]);
    write_some(to, first, n, whole, to_stored, x);
  }
};
template <class S, class F>
void sweep(const char* op, void* to, const void* from, void* saved, std::int64_t n, Stored to_stored,
           Stored from_stored, F f) {
  const bool straight = aligned(to) && aligned(from) && aligned(saved);
  if (n > 0) launch(op, grid_of(n), Sweep<S, F>{to, from, saved, n, to_stored, from_stored, straight, f});
}

// ---- norms ----

LAMINA_INLINE double powered(double x, double p) {
  const double a = abs(x);
  if (p == 2) return a * a;
  if (p == 1 || p == HUGE_VAL) return a;
  if (p == 0) return a == 0 ? 0 : 1;
  return ::pow(a, p);
}
LAMINA_INLINE double joined(double a, double b, double p) { return p == HUGE_VAL ? maximum(a, b) : a + b; }

struct Sums {
  double all[kOptimThreads];
};
// The join of every thread's number, to all of them.
LAMINA_KERNEL inline double join_block(const Thread& t, Sums& shared, double mine, double p) {
  t.sync();  // whoever still reads what was joined before
  shared.all[t.thread()] = mine;
  for (int half = kOptimThreads / 2; half > 0; half /= 2) {
    t.sync();
    if (t.thread() < half) shared.all[t.thread()] = joined(shared.all[t.thread()], shared.all[t.thread() + half], p);
  }
  t.sync();
  return shared.all[0];
}

template <class S>
struct NormPartial {
  static constexpr int kThreads = kOptimThreads;
  static constexpr bool kCollective = true;
  using Shared = Sums;
  const void* g;
  std::int64_t n;
  Stored stored;
  double p;
  double* partial;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t begin = t.block() * kOptimChunk, end = begin + kOptimChunk < n ? begin + kOptimChunk : n;
    double sum = 0;
    for (std::int64_t i = begin + t.thread(); i < end; i += kThreads)
      sum = joined(sum, powered(static_cast<double>(read<S>(g, i, stored)), p), p);
    sum = join_block(t, t.shared<NormPartial>(), sum, p);
    if (t.thread() == 0) partial[t.block()] = sum;
  }
};

struct NormFinish {
  static constexpr int kThreads = kOptimThreads;
  static constexpr bool kCollective = true;
  using Shared = Sums;
  const double* partial;
  std::int64_t chunks;
  double p, limit, eps;
  double *norm, *factor;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    double total = 0;
    for (std::int64_t c = t.thread(); c < chunks; c += kThreads) total = joined(total, partial[c], p);
    total = join_block(t, t.shared<NormFinish>(), total, p);
    if (t.thread() != 0) return;
    if (p == 2) total = sqrt(total);
    if (p != 2 && p != 1 && p != 0 && p != HUGE_VAL) total = ::pow(total, 1 / p);
    *norm = total;
    *factor = total + eps <= limit ? 1 : limit / (total + eps);
  }
};
void norm_finish(const double* partial, std::int64_t chunks, double p, double limit, double eps, double* norm,
                 double* factor) {
  launch("clip_grad_norm_", {}, NormFinish{partial, chunks, p, limit, eps, norm, factor});
}

template <class S>
struct MaxNorm {  // a block to a row
  static constexpr int kThreads = kOptimThreads;
  static constexpr bool kCollective = true;
  using Shared = Sums;
  void* w;
  std::int64_t length;
  Stored stored;
  const double* limit;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t begin = t.block() * length, end = begin + length;
    double sum = 0;
    for (std::int64_t i = begin + t.thread(); i < end; i += kThreads)
      sum += powered(static_cast<double>(read<S>(w, i, stored)), 2);
    const double norm = sqrt(join_block(t, t.shared<MaxNorm>(), sum, 2));
    if (!(norm > *limit)) return;
    const S by = static_cast<S>(*limit / norm);
    for (std::int64_t i = begin + t.thread(); i < end; i += kThreads) write(w, i, stored, read<S>(w, i, stored) * by);
  }
};

// ---- running averages ----

struct AverageTick {
  static constexpr int kThreads = 1;
  static constexpr bool kCollective = false;
  AverageClock* clock;
  bool correct_bias;
  LAMINA_KERNEL void operator()(const Thread&) const {
    clock->count += 1;
    clock->correction = correct_bias ? 1 - ::pow(clock->decay, clock->count) : 1;
  }
};
void average_tick(AverageClock* clock, bool correct_bias) { launch("average", {}, AverageTick{clock, correct_bias}); }

template <class S, Stored as>
void fill_type(OptimTable& table, DType type) {
  const int t = static_cast<int>(type);
  table.look_ahead[t] = [](OptimRun run, void* saved) {
    sweep<S>("optimizer step", run.w, run.state[0], saved, run.n, as, Stored::plain, LookAhead<S>{run.options});
  };
  table.max_norm[t] = [](void* w, std::int64_t rows, std::int64_t length, const double* limit) {
    if (rows > 0) launch("max_norm", grid_for(rows, 1), MaxNorm<S>{w, length, as, limit});
  };
  table.norm_partial[t] = [](const void* g, std::int64_t n, double p, double* partial) {
    if (n > 0) launch("clip_grad_norm_", grid_for(n, kOptimChunk), NormPartial<S>{g, n, as, p, partial});
  };
  table.scale[t] = [](void* g, std::int64_t n, const double* factor) {
    sweep<S>("clip_grad_norm_", g, nullptr, nullptr, n, as, as, Scale<S>{factor});
  };
  table.clip_value[t] = [](void* g, std::int64_t n, double limit) {
    sweep<S>("clip_grad_value_", g, nullptr, nullptr, n, as, as, Clip<S>{limit});
  };
  table.average[t] = [](void* average, const void* w, std::int64_t n, const AverageClock* clock) {
    sweep<S>("average", average, w, nullptr, n, Stored::plain, as, Blend<S>{clock});
  };
  table.average_read[t] = [](void* w, const void* average, std::int64_t n, const AverageClock* clock) {
    sweep<S>("average", w, average, nullptr, n, as, Stored::plain, Corrected<S>{clock});
  };
}

}  // namespace

void fill_optim(OptimTable& table) {
  table.set = set;
  table.norm_finish = norm_finish;
  table.average_tick = average_tick;
  fill_rule<rules::sgd, 0, 1>(table, OptimRule::sgd);
  fill_rule<rules::adagrad, 1, 1>(table, OptimRule::adagrad);
  fill_rule<rules::rmsprop, 1, 3>(table, OptimRule::rmsprop);
  fill_rule<rules::adam, 2, 3>(table, OptimRule::adam);
  fill_rule<rules::adadelta, 2, 2>(table, OptimRule::adadelta);
  fill_rule<rules::adamax, 2, 2>(table, OptimRule::adamax);
  fill_rule<rules::nadam, 2, 2>(table, OptimRule::nadam);
  fill_rule<rules::radam, 2, 2>(table, OptimRule::radam);
  fill_type<float, Stored::plain>(table, DType::f32);
  fill_type<double, Stored::plain>(table, DType::f64);
  fill_type<float, Stored::half>(table, DType::f16);
  fill_type<float, Stored::brain>(table, DType::bf16);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
