// Losses element by element, their terms summed as they are made, and their gradients.
#include "core/parallel.h"
#include "cpu/elementwise_move.h"
#include "cpu/loss_partial.h"
#include "cpu/reduce_lanes.h"
#include "kernels/loss_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// A vector of each operand at element i, `lanes` of them if not a whole one. An absent third operand is 1.
template <class F, class In>
struct Loaded {
  using V = Vec<FloatLane<In>>;
  V x, y, w;
  Loaded(const LossOperands& a, std::int64_t i) : x(V::load(of(a.first, i))), y(V::load(of(a.second, i))), w(1) {
    if (F::operands == 3 && a.third) w = V::load(of(a.third, i));
  }
  Loaded(const LossOperands& a, std::int64_t i, int lanes)
      : x(V::load(of(a.first, i), lanes)), y(V::load(of(a.second, i), lanes)), w(1) {
    if (F::operands == 3 && a.third) w = V::load(of(a.third, i), lanes);
  }
  static LAMINA_INLINE const In* of(const void* operand, std::int64_t i) { return static_cast<const In*>(operand) + i; }
};

// Terms [begin, end), written to `out` unless that is null.
template <class F, class In>
LossPartial terms(const LossOperands& a, std::int64_t begin, std::int64_t end, In* out) {
  using T = FloatLane<In>;
  using V = Vec<T>;
  constexpr int W = V::width, flight = 4;
  LossPartial total{0, 0, -1};
  const auto term = [&](const Loaded<F, In>& v, std::int64_t i, Mask<T> present) {
    V t = F::template term<V>(v.x, v.y, v.w, a.p);
    if constexpr (F::checked) {
      const Mask<T> allowed = F::template allowed<V>(v.x, v.y, v.w);
      if (total.fault < 0 && any(~allowed & present)) total.fault = i;
      t = select(allowed, t, V(static_cast<T>(NAN)));
    }
    return select(present, t, V(0));
  };
  const Mask<T> all_lanes = first_lanes<T>(W);
  for (std::int64_t block = begin; block < end; block += kVectorBlock<T>) {
    const std::int64_t last = block + kVectorBlock<T> < end ? block + kVectorBlock<T> : end;
    V sums[flight];
    for (V& s : sums) s = V(0);
    std::int64_t i = block;
    const auto next = [&](V& into, std::int64_t at) {
      const V t = term(Loaded<F, In>(a, at), at, all_lanes);
      if (out) t.store(out + at);
      into += t;
    };
    for (; i + flight * W <= last; i += flight * W)
      for (int k = 0; k < flight; ++k) next(sums[k], i + k * W);
    for (; i + W <= last; i += W) next(sums[0], i);
    if (const int rest = static_cast<int>(last - i)) {
      const V t = term(Loaded<F, In>(a, i, rest), i, first_lanes<T>(rest));
      if (out) t.store(out + i, rest);
      sums[1] += t;
    }
    total.loss += sum(join_tree(sums, plus<V>));
  }
  return total;
}

// Which of the elements of the vector at `fault` it was.
template <class F, class In>
std::int64_t exact_fault(const LossOperands& a, std::int64_t fault) {
  if constexpr (F::checked) {
    using V = Vec<FloatLane<In>>;
    for (; fault < a.n; ++fault) {
      const Loaded<F, In> v(a, fault, 1);
      if (any(~F::template allowed<V>(v.x, v.y, v.w) & first_lanes<FloatLane<In>>(1))) break;
    }
  }
  return fault;
}

template <class F, class In>
void forward(LossOperands a, void* out, LossPartial* partials, std::int64_t* fault) {
  LossPartial single;
  if (!partials) partials = &single;
  In* each = a.reduction == LossReduction::none ? static_cast<In*>(out) : nullptr;
  parallel_for(a.n, kLossCut, [&](std::int64_t begin, std::int64_t end) {
    partials[begin / kLossCut] = terms<F, In>(a, begin, end, each);
  });
  const LossPartial total = join_partials(partials, (a.n + kLossCut - 1) / kLossCut);
  *fault = total.fault < 0 ? -1 : exact_fault<F, In>(a, total.fault);
  if (!each)
    *static_cast<In*>(out) =
        convert<In>(a.reduction == LossReduction::mean ? total.loss / static_cast<double>(a.n) : total.loss);
}

template <class F, int which, class V>
LAMINA_INLINE V derivative(V x, V y, V w, const double* p) {
  if constexpr (which == 0) return F::template d0<V>(x, y, w, p);
  if constexpr (which == 1) return F::template d1<V>(x, y, w, p);
  if constexpr (which == 2) return F::template d2<V>(x, y, w, p);
}

template <class F, class In, int which>
void gradient(const LossOperands& a, const In* dy, In* dx) {
  using T = FloatLane<In>;
  using V = Vec<T>;
  constexpr int W = V::width;
  const bool each = a.reduction == LossReduction::none;
  const double share = a.reduction == LossReduction::mean ? 1 / static_cast<double>(a.n) : 1;
  const V common(each ? T(1) : static_cast<T>(convert<T>(*dy) * share));
  parallel_for(a.n, kLossCut, [&](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + W <= end; i += W) {
      const Loaded<F, In> v(a, i);
      (derivative<F, which>(v.x, v.y, v.w, a.p) * (each ? V::load(dy + i) : common)).store(dx + i);
    }
    if (const int rest = static_cast<int>(end - i)) {
      const Loaded<F, In> v(a, i, rest);
      (derivative<F, which>(v.x, v.y, v.w, a.p) * (each ? V::load(dy + i, rest) : common)).store(dx + i, rest);
    }
  });
}

template <class F, class In>
void backward(LossOperands a, int which, const void* dy, void* dx) {
  const auto* from = static_cast<const In*>(dy);
  auto* to = static_cast<In*>(dx);
  if (which == 0) gradient<F, In, 0>(a, from, to);
  if (which == 1) gradient<F, In, 1>(a, from, to);
  if constexpr (F::operands == 3)
    if (which == 2) gradient<F, In, 2>(a, from, to);
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

void fill_loss_cross_entropy(LossTable&);

void fill_loss(LossTable& t) {
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
  fill_loss_cross_entropy(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
