// Cross-entropy from logits. Forward keeps two numbers of each position, the largest logit and the sum of the
// exponentials relative to it; backward makes the softmax from them again. A label that is no class makes its
// position's loss and gradient NaN, and nothing is read for it.
#include "cuda/along.h"
#include "kernels/loss.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE std::int64_t label_at(const CrossEntropy& a, std::int64_t position) {
  switch (a.label_type) {
    case DType::i32: return static_cast<const std::int32_t*>(a.target)[position];
    case DType::u8: return static_cast<const std::uint8_t*>(a.target)[position];
    default: return static_cast<const std::int64_t*>(a.target)[position];
  }
}

// What both directions need to know of a position's target.
template <class In>
struct Expected {
  using T = Wide<In>;
  const CrossEntropy& a;
  std::int64_t label;  // -1: a distribution
  bool ignored, known;
  T kept, spread;  // 1 - smoothing, and what every class gets of the rest

  LAMINA_INLINE Expected(const CrossEntropy& a, const Member& m)
      : a(a),
        label(a.soft || !m.there ? -1 : label_at(a, m.position)),
        ignored(!a.soft && label == a.ignore_index),
        known(label >= 0 && label < a.shape.length),
        kept(static_cast<T>(1 - a.smoothing)),
        spread(static_cast<T>(a.smoothing / static_cast<double>(a.shape.length))) {}
  LAMINA_INLINE T weight(std::int64_t c) const { return a.weight ? static_cast<const T*>(a.weight)[c] : T(1); }
  // Every class takes part: with distributions as targets, or where labels are smoothed.
  LAMINA_INLINE bool all_take_part() const { return a.soft || a.smoothing != 0; }
  // The share w q of a class, without what a label adds to its own.
  LAMINA_INLINE T share(std::int64_t c, std::int64_t at) const {
    if (!a.soft) return weight(c) * spread;
    return weight(c) * fma(static_cast<T>(widen(static_cast<const In*>(a.target)[at])), kept, spread);
  }
};

struct Sum {
  LAMINA_INLINE double operator()(double a, double b) const { return a + b; }
};

template <class In>
struct Forward {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = true;
  using T = Wide<In>;
  struct Shared {
    Totals<ExpSum> exponentials;
    Totals<double> losses;
  };
  CrossEntropy a;
  int group;
  In* each;          // the losses themselves, or null
  T* statistics;     // or null
  LossPartial* all;  // of each position

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<Forward>();
    const Member m(t, a.shape, group);
    const Expected<In> target(a, m);
    const In* x = static_cast<const In*>(a.x);
    T largest = 0, sum = 1;
    if (!a.log_probabilities) {
      const ExpSum s = exp_sum<T>(t, m, shared.exponentials, x, a.shape.length);
      largest = static_cast<T>(s.largest);
      sum = isinf(largest) ? static_cast<T>(NAN) : static_cast<T>(s.sum);
    }
    const T log_sum = a.log_probabilities ? T(0) : log(Vec<T>(sum)).v;
    const auto distance = [&](std::int64_t at) { return (largest - static_cast<T>(widen(x[at]))) + log_sum; };

    double loss = 0;
    if (target.all_take_part()) {
      if (m.there)
        for (std::int64_t c = m.number; c < a.shape.length; c += group) {
          const std::int64_t at = m.first + c * m.step;
          loss += static_cast<double>(target.share(c, at) * distance(at));
        }
      loss = m.join(t, shared.losses, loss, Sum());
    }
    if (!m.there || m.number != 0) return;
    LossPartial p{loss, 1, -1};
    if (target.ignored) {
      p = {0, 0, -1};
    } else if (!a.soft && !target.known) {
      p = {NAN, 0, m.position};
    } else if (!a.soft) {
      p.weight = static_cast<double>(target.weight(target.label));
      p.loss +=
          static_cast<double>(target.kept) * p.weight * static_cast<double>(distance(m.first + target.label * m.step));
    }
    if (each) each[m.position] = convert<In>(p.loss);
    if (statistics) {
      statistics[m.position] = largest;
      statistics[a.shape.outer * a.shape.inner + m.position] = sum;
    }
    all[m.position] = p;
  }
};

// One block joins what all positions have left.
template <class In>
struct Finish {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<LossPartial>;
  const LossPartial* all;
  std::int64_t positions;
  LossReduction reduction;
  In* out;
  double* divisor;
  std::int64_t* fault;

  LAMINA_INLINE static LossPartial join(LossPartial a, LossPartial b) {
    const bool first = b.fault < 0 || (a.fault >= 0 && a.fault < b.fault);
    return {a.loss + b.loss, a.weight + b.weight, first ? a.fault : b.fault};
  }
  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<Finish>();
    LossPartial p{0, 0, -1};
    for (std::int64_t i = t.thread(); i < positions; i += kThreads) p = join(p, all[i]);
    const Member m(t, {1, positions, 1}, kThreads);
    p = m.join(t, shared, p, [](LossPartial a, LossPartial b) { return join(a, b); });
    if (t.thread() != 0) return;
    *fault = p.fault;
    *divisor = p.weight;
    if (reduction == LossReduction::mean) *out = convert<In>(p.loss / p.weight);
    if (reduction == LossReduction::sum) *out = convert<In>(p.loss);
  }
};

template <class In>
void forward(CrossEntropy a, void* out, void* statistics, double* divisor, LossPartial*, std::int64_t* fault) {
  const std::int64_t positions = a.shape.outer * a.shape.inner;
  const std::size_t bytes = static_cast<std::size_t>(positions > 0 ? positions : 1) * sizeof(LossPartial);
  auto* const all = static_cast<LossPartial*>(cuda_runtime::workspace(bytes));
  if (!all) return;
  const int group = group_for(a.shape);
  In* const result = static_cast<In*>(out);
  if (positions > 0)
    launch("cross_entropy", grid_of(a.shape, group),
           Forward<In>{a, group, a.reduction == LossReduction::none ? result : nullptr,
                       static_cast<Wide<In>*>(statistics), all});
  launch("cross_entropy", {}, Finish<In>{all, positions, a.reduction, result, divisor, fault});
}

// dx = scale (p Σ w q - w q)
template <class In>
struct Backward {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = true;
  using T = Wide<In>;
  using Shared = Totals<double>;
  CrossEntropy a;
  int group;
  const In* dy;
  const T* statistics;
  const double* divisor;
  In* dx;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const Member m(t, a.shape, group);
    const Expected<In> target(a, m);
    double shares = 0;
    if (target.all_take_part()) {
      if (m.there)
        for (std::int64_t c = m.number; c < a.shape.length; c += group)
          shares += static_cast<double>(target.share(c, m.first + c * m.step));
      shares = m.join(t, t.shared<Backward>(), shares, Sum());
    }
    if (!m.there) return;
    const T of_label = target.known && !target.ignored ? target.kept * target.weight(target.label) : T(0);
    T scale = static_cast<T>(widen(dy[a.reduction == LossReduction::none ? m.position : 0]));
    if (a.reduction == LossReduction::mean) scale = static_cast<T>(static_cast<double>(scale) / *divisor);
    if (target.ignored) scale = 0;
    if (!a.soft && !target.ignored && !target.known) scale = static_cast<T>(NAN);
    const bool softmax = !a.log_probabilities && !target.ignored;
    const T largest = softmax ? statistics[m.position] : T(0);
    const T sum = softmax ? statistics[a.shape.outer * a.shape.inner + m.position] : T(1);
    const T factor = softmax ? scale * static_cast<T>(static_cast<double>(of_label) + shares) / sum : T(0);
    for (std::int64_t c = m.number; c < a.shape.length; c += group) {
      const std::int64_t at = m.first + c * m.step;
      T d = 0;
      if (softmax) d = exp(Vec<T>(static_cast<T>(widen(static_cast<const In*>(a.x)[at])) - largest)).v * factor;
      if (target.all_take_part()) d = fnma(target.share(c, at), scale, d);
      if (c == target.label) d -= of_label * scale;
      if (target.ignored) d = 0;
      dx[at] = convert<In>(d);
    }
  }
};

template <class In>
void backward(CrossEntropy a, const void* dy, const void* statistics, const double* divisor, void* dx) {
  if (a.shape.outer * a.shape.inner == 0) return;
  const int group = group_for(a.shape);
  launch("cross_entropy", grid_of(a.shape, group),
         Backward<In>{a, group, static_cast<const In*>(dy), static_cast<const Wide<In>*>(statistics), divisor,
                      static_cast<In*>(dx)});
}

template <class In>
void fill(LossTable& t, DType type) {
  t.cross_entropy[static_cast<int>(type)] = forward<In>;
  t.cross_entropy_grad[static_cast<int>(type)] = backward<In>;
}

}  // namespace

void fill_loss_terms(LossTable&);

void fill_loss(LossTable& t) {
  fill_loss_terms(t);
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
