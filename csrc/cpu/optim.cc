// Optimisers: one pass over a run of an arena, whatever the rule.
#include "cpu/team.h"
#include "kernels/optim_formulas.h"
#include "simd/denormals.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// 16-bit parameters are updated in float32, which their states are kept in.
template <class T>
using State = std::conditional_t<std::is_same_v<T, double>, double, float>;

// body(at, load, store) for every vector of [begin, end), the last one with as many lanes as are left.
template <class V, class Body>
LAMINA_INLINE void for_each_vector(std::int64_t begin, std::int64_t end, Body body) {
  std::int64_t i = begin;
  for (; i + V::width <= end; i += V::width)
    body(
        i, [](const auto* p) { return V::load(p); }, [](V v, auto* p) { v.store(p); });
  if (const int rest = static_cast<int>(end - i))
    body(
        i, [rest](const auto* p) { return V::load(p, rest); }, [rest](V v, auto* p) { v.store(p, rest); });
}

// ---- the step ----

constexpr std::int64_t kChunkOfStayingThread = 1024;

template <class Rule, class T, int states>
void update_with(const OptimRun& run) {
  using S = State<T>;
  using V = Vec<S>;
  // Every element for itself: where a team stays, each of its threads takes an equal part, whole vectors of it.
  const std::int64_t part = ceil_div(ceil_div(run.n, thread_count()), V::width) * V::width;
  const std::int64_t chunk = team_stays() ? least(kOptimChunk, most(part, kChunkOfStayingThread)) : kOptimChunk;
  parallel_for(run.n, chunk, [&](std::int64_t begin, std::int64_t end) {
    // The moments of a unit that died halve and halve, and most of their life they are too small to be normal: a step
    // would take more than twice its time.
    const DenormalsAreZero from_here;
    // Of this chunk alone: the compiler would read again, for every vector, what a store might have changed.
    const rules::Penalty<V> penalty(*run.options);
    const typename Rule::template Step<V> step(*run.options, *run.clock);
    T* const w = static_cast<T*>(run.w);
    const T* const g = static_cast<const T*>(run.g);
    S* s[kOptimStates] = {};
    for (int k = 0; k < states; ++k) s[k] = static_cast<S*>(run.state[k]);
    for_each_vector<V>(begin, end, [=](std::int64_t i, auto load, auto store) {
      V value = load(w + i), gradient = load(g + i), state[kOptimStates];
      for (int k = 0; k < states; ++k) state[k] = load(s[k] + i);
      penalty.apply(value, gradient);
      store(step.template step<states>(value, gradient, state), w + i);
      for (int k = 0; k < states; ++k) store(state[k], s[k] + i);
    });
  });
}

template <class Rule, class T, int least, int most>
void update(OptimRun run, int states) {
  if constexpr (least < most)
    if (states != least) return update<Rule, T, least + 1, most>(run, states);
  update_with<Rule, T, least>(run);
}

template <class Rule, int least, int most>
void fill_rule(OptimTable& table, OptimRule rule) {
  const int r = static_cast<int>(rule);
  table.tick[r] = [](const OptimOptions* o, OptimClock* c) { Rule::tick(*o, *c); };
  table.update[r][static_cast<int>(DType::f32)] = update<Rule, float, least, most>;
  table.update[r][static_cast<int>(DType::f64)] = update<Rule, double, least, most>;
  table.update[r][static_cast<int>(DType::f16)] = update<Rule, float16, least, most>;
  table.update[r][static_cast<int>(DType::bf16)] = update<Rule, bfloat16, least, most>;
}

template <class T>
void look_ahead(OptimRun run, void* saved) {
  using S = State<T>;
  using V = Vec<S>;
  const rules::Ahead<V> ahead(*run.options);
  T *w = static_cast<T*>(run.w), *before = static_cast<T*>(saved);
  const S* s = static_cast<const S*>(run.state[0]);
  parallel_for(run.n, kOptimChunk, [&](std::int64_t begin, std::int64_t end) {
    for_each_vector<V>(begin, end, [&](std::int64_t i, auto load, auto store) {
      const V value = load(w + i);
      store(value, before + i);
      store(ahead(value, load(s + i)), w + i);
    });
  });
}

// ---- norms ----

template <int parts>
LAMINA_INLINE void in_double(Vec<float> x, Vec<double> (&out)[parts]) {
  widen(x, out);
}
LAMINA_INLINE void in_double(Vec<double> x, Vec<double> (&out)[1]) { out[0] = x; }

// Joins f(element) over n elements, in double. Lanes past the end are zeros, which f must map to what join ignores.
template <class T, class F, class Join>
double fold_in_double(const T* g, std::int64_t n, F f, Join join) {
  using V = Vec<State<T>>;
  constexpr int parts = V::width / Vec<double>::width;
  Vec<double> total[parts];
  for (auto& t : total) t = Vec<double>(0);
  for_each_vector<V>(0, n, [&](std::int64_t i, auto load, auto) {
    Vec<double> x[parts];
    in_double(load(g + i), x);
    for (int k = 0; k < parts; ++k) total[k] = join(total[k], f(x[k]));
  });
  for (int k = 1; k < parts; ++k) total[0] = join(total[0], total[k]);
  return fold(total[0], join);
}

using D = Vec<double>;
LAMINA_INLINE D plus(D a, D b) { return a + b; }
LAMINA_INLINE D larger(D a, D b) { return maximum(a, b); }

template <class T>
double norm_of(const T* g, std::int64_t n, double p) {
  if (p == 2)
    return fold_in_double(
        g, n, [](D x) { return x * x; }, plus);
  if (p == 1)
    return fold_in_double(
        g, n, [](D x) { return abs(x); }, plus);
  if (p == HUGE_VAL)
    return fold_in_double(
        g, n, [](D x) { return abs(x); }, larger);
  if (p == 0)
    return fold_in_double(
        g, n, [](D x) { return select(x == D(0), D(0), D(1)); }, plus);
  return fold_in_double(
      g, n, [p](D x) { return pow(abs(x), D(p)); }, plus);
}

template <class T>
void norm_partial(const void* g, std::int64_t n, double p, double* partial) {
  parallel_for(n, kOptimChunk, [=](std::int64_t begin, std::int64_t end) {
    partial[begin / kOptimChunk] = norm_of(static_cast<const T*>(g) + begin, end - begin, p);
  });
}

void norm_finish(const double* partial, std::int64_t chunks, double p, double limit, double eps, double* norm,
                 double* factor) {
  double total = 0;
  for (std::int64_t c = 0; c < chunks; ++c) total = p == HUGE_VAL ? maximum(total, partial[c]) : total + partial[c];
  if (p == 2) total = sqrt(total);
  if (p != 2 && p != 1 && p != 0 && p != HUGE_VAL) total = ::pow(total, 1 / p);
  *norm = total;
  *factor = total + eps <= limit ? 1 : limit / (total + eps);
}

template <class T>
void scale(void* to, std::int64_t n, const double* factor) {
  if (*factor == 1) return;
  using V = Vec<State<T>>;
  const V by = rules::lanes<V>(*factor);
  T* g = static_cast<T*>(to);
  parallel_for(n, kOptimChunk, [=](std::int64_t begin, std::int64_t end) {
    for_each_vector<V>(begin, end, [=](std::int64_t i, auto load, auto store) { store(load(g + i) * by, g + i); });
  });
}

template <class T>
void clip_value(void* to, std::int64_t n, double limit) {
  using V = Vec<State<T>>;
  const V high = rules::lanes<V>(limit);
  T* g = static_cast<T*>(to);
  parallel_for(n, kOptimChunk, [=](std::int64_t begin, std::int64_t end) {
    for_each_vector<V>(begin, end, [=](std::int64_t i, auto load, auto store) {
      store(minimum(maximum(load(g + i), -high), high), g + i);
    });
  });
}

template <class T>
void max_norm(void* to, std::int64_t rows, std::int64_t length, const double* limit) {
  using V = Vec<State<T>>;
  const std::int64_t grain = length >= kOptimChunk ? 1 : kOptimChunk / (length > 0 ? length : 1);
  parallel_for(rows, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      T* w = static_cast<T*>(to) + r * length;
      const double norm = sqrt(norm_of(w, length, 2.0));
      if (!(norm > *limit)) continue;
      const V by = rules::lanes<V>(*limit / norm);
      for_each_vector<V>(0, length, [=](std::int64_t i, auto load, auto store) { store(load(w + i) * by, w + i); });
    }
  });
}

// ---- running averages ----

void average_tick(AverageClock* c, bool correct_bias) {
  c->count += 1;
  c->correction = correct_bias ? 1 - ::pow(c->decay, c->count) : 1;
}

template <class T>
void average(void* to, const void* from, std::int64_t n, const AverageClock* clock) {
  using S = State<T>;
  using V = Vec<S>;
  const V take = rules::lanes<V>(1 - clock->decay);
  S* average = static_cast<S*>(to);
  const T* w = static_cast<const T*>(from);
  parallel_for(n, kOptimChunk, [=](std::int64_t begin, std::int64_t end) {
    for_each_vector<V>(begin, end, [=](std::int64_t i, auto load, auto store) {
      store(rules::lerp(load(average + i), load(w + i), take), average + i);
    });
  });
}

template <class T>
void average_read(void* to, const void* from, std::int64_t n, const AverageClock* clock) {
  using S = State<T>;
  using V = Vec<S>;
  const V by = rules::lanes<V>(1 / clock->correction);
  const S* average = static_cast<const S*>(from);
  T* w = static_cast<T*>(to);
  parallel_for(n, kOptimChunk, [=](std::int64_t begin, std::int64_t end) {
    for_each_vector<V>(begin, end,
                       [=](std::int64_t i, auto load, auto store) { store(load(average + i) * by, w + i); });
  });
}

template <class T>
void fill_type(OptimTable& table, DType type) {
  const int t = static_cast<int>(type);
  table.look_ahead[t] = look_ahead<T>;
  table.max_norm[t] = max_norm<T>;
  table.norm_partial[t] = norm_partial<T>;
  table.scale[t] = scale<T>;
  table.clip_value[t] = clip_value<T>;
  table.average[t] = average<T>;
  table.average_read[t] = average_read<T>;
}

void set(double* number, double value) { *number = value; }

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
  fill_type<float>(table, DType::f32);
  fill_type<double>(table, DType::f64);
  fill_type<float16>(table, DType::f16);
  fill_type<bfloat16>(table, DType::bf16);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
