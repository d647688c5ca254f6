// Losses element by element: terms are summed in cuts of fixed size, and one block joins what the cuts come to.
#include "cuda/along.h"
#include "kernels/loss_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kLossThreads = 256;
constexpr std::int64_t kTermsOfBlock = kLossThreads * 8;

struct JoinPartials {
  LAMINA_INLINE LossPartial operator()(LossPartial a, LossPartial b) const {
    const bool first = b.fault < 0 || (a.fault >= 0 && a.fault < b.fault);
    return {a.loss + b.loss, 0, first ? a.fault : b.fault};
  }
};

// An absent third operand is 1.
template <class F, class In>
struct Loaded {
  using V = Vec<Wide<In>>;
  V x, y, w;
  LAMINA_INLINE Loaded(const LossOperands& a, std::int64_t i)
      : x(at(a.first, i)), y(at(a.second, i)), w(F::operands == 3 && a.third ? at(a.third, i) : V(1)) {}
  LAMINA_INLINE static V at(const void* p, std::int64_t i) {
    return V(static_cast<Wide<In>>(widen(static_cast<const In*>(p)[i])));
  }
};

template <class F, class In>
struct Terms {
  static constexpr int kThreads = kLossThreads;
  static constexpr bool kCollective = true;
  using T = Wide<In>;
  using V = Vec<T>;
  using Shared = Totals<LossPartial>;
  LossOperands a;
  In* each;  // the terms themselves, or null
  LossPartial* partials;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t begin = t.block() * kTermsOfBlock;
    const std::int64_t end = begin + kTermsOfBlock < a.n ? begin + kTermsOfBlock : a.n;
    LossPartial mine{0, 0, -1};
    for (std::int64_t i = begin + t.thread(); i < end; i += kThreads) {
      const Loaded<F, In> v(a, i);
      T term = F::template term<V>(v.x, v.y, v.w, a.p).v;
      if constexpr (F::checked)
        if (!any(F::template allowed<V>(v.x, v.y, v.w))) {
          term = static_cast<T>(NAN);
          if (mine.fault < 0) mine.fault = i;
        }
      if (each) each[i] = convert<In>(term);
      mine.loss += static_cast<double>(term);
    }
    const Member m(t, {1, 1, 1}, kThreads);
    mine = m.join(t, t.template shared<Terms>(), mine, JoinPartials());
    if (t.thread() == 0) partials[t.block()] = mine;
  }
};

template <class In>
struct JoinTerms {
  static constexpr int kThreads = kLossThreads;
  static constexpr bool kCollective = true;
  using Shared = Totals<LossPartial>;
  const LossPartial* partials;
  std::int64_t count, n;
  LossReduction reduction;
  In* out;
  std::int64_t* fault;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    LossPartial p{0, 0, -1};
    for (std::int64_t i = t.thread(); i < count; i += kThreads) p = JoinPartials()(p, partials[i]);
    const Member m(t, {1, 1, 1}, kThreads);
    p = m.join(t, t.template shared<JoinTerms>(), p, JoinPartials());
    if (t.thread() != 0) return;
    *fault = p.fault;
    if (reduction != LossReduction::none)
      *out = convert<In>(reduction == LossReduction::mean ? p.loss / static_cast<double>(n) : p.loss);
  }
};

template <class F, class In>
void forward(LossOperands a, void* out, LossPartial*, std::int64_t* fault) {
  const Grid grid = grid_for(a.n, kTermsOfBlock);
  auto* const partials =
      static_cast<LossPartial*>(cuda_runtime::workspace((static_cast<std::size_t>(grid.x) + 1) * sizeof(LossPartial)));
  if (!partials) return;
  In* const result = static_cast<In*>(out);
  if (a.n > 0) launch("loss", grid, Terms<F, In>{a, a.reduction == LossReduction::none ? result : nullptr, partials});
  launch("loss", {}, JoinTerms<In>{partials, a.n > 0 ? grid.x : 0, a.n, a.reduction, result, fault});
}

template <class F, class In>
struct LossGradient {
  static constexpr int kThreads = kLossThreads;
  static constexpr bool kCollective = false;
  using T = Wide<In>;
  using V = Vec<T>;
  LossOperands a;
  int which;
  const In* dy;
  In* dx;
  double share;  // of each term in the loss

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= a.n) return;
    const Loaded<F, In> v(a, i);
    V d(0);
    if (which == 0)
      d = F::template d0<V>(v.x, v.y, v.w, a.p);
    else if (which == 1)
      d = F::template d1<V>(v.x, v.y, v.w, a.p);
    else if constexpr (F::operands == 3)
      d = F::template d2<V>(v.x, v.y, v.w, a.p);
    const T g = static_cast<T>(widen(dy[a.reduction == LossReduction::none ? i : 0]));
    dx[i] = convert<In>(d.v * static_cast<T>(static_cast<double>(g) * share));
  }
};
template <class F, class In>
void backward(LossOperands a, int which, const void* dy, void* dx) {
  const double share = a.reduction == LossReduction::mean ? 1 / static_cast<double>(a.n) : 1;
  if (a.n > 0)
    launch("gradient of a loss", grid_for(a.n, kLossThreads),
           LossGradient<F, In>{a, which, static_cast<const In*>(dy), static_cast<In*>(dx), share});
}

template <class F>
void fill(LossTable& t, LossOp op) {
  const auto add = [&]<class In>(DType type, In) {
    t.forward[static_cast<int>(op)][static_cast<int>(type)] = forward<F, In>;
    t.backward[static_cast<int>(op)][static_cast<int>(type)] = backward<F, In>;
  };
  add(DType::f32, float());
  add(DType::f64, double());
  add(DType::f16, float16());
  add(DType::bf16, bfloat16());
}

}  // namespace

void fill_loss_terms(LossTable& t) {
  fill<losses::mse>(t, LossOp::mse);
  fill<losses::half_squared>(t, LossOp::half_squared);
  fill<losses::l1>(t, LossOp::l1);
  fill<losses::smooth_l1>(t, LossOp::smooth_l1);
  fill<losses::huber>(t, LossOp::huber);
  fill<losses::binary_cross_entropy>(t, LossOp::binary_cross_entropy);
  fill<losses::binary_cross_entropy_with_logits>(t, LossOp::binary_cross_entropy_with_logits);
  fill<losses::kl_div>(t, LossOp::kl_div);
  fill<losses::gaussian_nll>(t, LossOp::gaussian_nll);
  fill<losses::poisson_nll>(t, LossOp::poisson_nll);
  fill<losses::soft_margin>(t, LossOp::soft_margin);
  fill<losses::hinge_embedding>(t, LossOp::hinge_embedding);
  fill<losses::margin_ranking>(t, LossOp::margin_ranking);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
