// Cross-entropy from logits. Forward keeps two numbers of each position, the largest logit and the sum of the
// exponentials relative to it; backward makes the softmax from them again, which costs less than storing it.
#include "cpu/loss_partial.h"
#include "cpu/reduce_log_sum_exp.h"
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

// What both directions need to know of the classes.
template <class In_>
struct Classes {
  using In = In_;
  using T = FloatLane<In>;
  using V = Vec<T>;
  const CrossEntropy& a;
  std::int64_t count;
  const T* weight;  // or null
  T kept, spread;   // 1 - smoothing, and what every class gets of the rest
  double weights;   // of all classes

  explicit Classes(const CrossEntropy& a)
      : a(a),
        count(a.shape.length),
        weight(static_cast<const T*>(a.weight)),
        kept(static_cast<T>(1 - a.smoothing)),
        spread(static_cast<T>(a.smoothing / static_cast<double>(a.shape.length))),
        weights(static_cast<double>(count)) {
    if (!weight || a.smoothing == 0) return;
    weights = 0;
    for (std::int64_t c = 0; c < count; ++c) weights += weight[c];
  }
  LAMINA_INLINE T weight_of(std::int64_t c) const { return weight ? weight[c] : T(1); }
  LAMINA_INLINE V weights_at(std::int64_t c) const { return weight ? V::load(weight + c) : V(1); }
  LAMINA_INLINE V weights_at(std::int64_t c, int n) const { return weight ? V::load(weight + c, n) : V(1); }
  // Every class takes part: with distributions as targets, or where labels are smoothed.
  bool all_take_part() const { return a.soft || a.smoothing != 0; }
  // The share w q of a class in a position's target distribution, without what a label adds to its own class.
  LAMINA_INLINE V share(V target, V w) const { return w * (a.soft ? fma(target, V(kept), V(spread)) : V(spread)); }
  bool is_class(std::int64_t label) const { return label >= 0 && label < count; }
};

// -log p = (largest - x) + log_sum, for each of up to kStripColumns positions.
template <class T>
struct Normalisers {
  alignas(64) T largest[kStripColumns];
  alignas(64) T sum[kStripColumns];
  alignas(64) T log_sum[kStripColumns];

  void of_log_probabilities(std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) {
      largest[i] = log_sum[i] = 0;
      sum[i] = 1;
    }
  }
  // largest and sum are there. Where the largest logit is infinite there is no softmax: NaN, as in PyTorch.
  void finish(std::int64_t n) {
    using V = Vec<T>;
    for (std::int64_t i = 0; i < n; i += V::width) {  // the arrays have room for whole vectors
      const V s = select(isinf(V::load(largest + i)), V(static_cast<T>(NAN)), V::load(sum + i));
      s.store(sum + i);
      log(s).store(log_sum + i);
    }
  }
};

// Σ f(c, load) over the classes of a row; load(p) reads those of them that p's row holds.
template <class T, class F>
double sum_over(std::int64_t n, F f) {
  using V = Vec<T>;
  constexpr int W = V::width;
  double total = 0;
  for (std::int64_t block = 0; block < n; block += kVectorBlock<T>) {
    const std::int64_t end = smaller(block + kVectorBlock<T>, n);
    V s(0), t(0);
    std::int64_t c = block;
    for (; c + W <= end; c += W) s += f(c, [c](const auto* p) { return V::load(p + c); });
    if (const int rest = static_cast<int>(end - c))
      t = select(first_lanes<T>(rest), f(c, [c, rest](const auto* p) { return V::load(p + c, rest); }), V(0));
    total += sum(s + t);
  }
  return total;
}

// ---- forward ----

// The loss of a position that a label names, beside what smoothing adds. False: the label is no class.
template <class In, class T>
LAMINA_INLINE bool add_label(const Classes<In>& k, std::int64_t label, const In* x, std::int64_t stride, T largest,
                             T log_sum, double& loss, double& weight) {
  if (!k.is_class(label)) return false;
  const T distance = (largest - convert<T>(x[label * stride])) + log_sum;
  weight = k.weight_of(label);
  loss += static_cast<double>(k.kept) * weight * distance;
  return true;
}

// Where a position's loss and statistics go.
template <class In, class T>
struct Ledger {
  In* each;          // or null
  T *largest, *sum;  // or null
  LossPartial total{0, 0, -1};

  void keep(std::int64_t position, std::int64_t n, const Normalisers<T>& z) {
    if (!largest) return;
    __builtin_memcpy(largest + position, z.largest, static_cast<std::size_t>(n) * sizeof(T));
    __builtin_memcpy(sum + position, z.sum, static_cast<std::size_t>(n) * sizeof(T));
  }
  LAMINA_INLINE void enter(std::int64_t position, double loss, double weight) {
    if (each) each[position] = convert<In>(loss);
    total.loss += loss;
    total.weight += weight;
  }
  LAMINA_INLINE void enter_fault(std::int64_t position) {
    enter(position, NAN, 0);
    if (total.fault < 0) total.fault = position;
  }
};

// The largest logit of a row and the sum of the exponentials relative to it.
template <class In, class T>
LAMINA_INLINE void exp_sum(const In* x, std::int64_t n, T& largest, T& total) {
  using V = Vec<T>;
  if (n <= V::width) {
    const Mask<T> lanes = first_lanes<T>(static_cast<int>(n));
    const V v = V::load(x, static_cast<int>(n));
    largest = hmax(select(lanes, v, V(static_cast<T>(-HUGE_VAL))));
    total = sum(select(lanes, exp(v - V(largest)), V(0)));
  } else {
    const ExpSum s = reduce_run<LogSumExp<In>>(x, n, 0, Reduction{});
    largest = static_cast<T>(s.shift);
    total = static_cast<T>(s.sum);
  }
}

// Rows [first, first + n), at most kStripColumns.
template <class In, class T>
void forward_rows(const Classes<In>& k, std::int64_t first, std::int64_t n, Ledger<In, T>& ledger) {
  using V = Vec<T>;
  const CrossEntropy& a = k.a;
  const In* x = static_cast<const In*>(a.x) + first * k.count;
  Normalisers<T> z;
  if (a.log_probabilities) {
    z.of_log_probabilities(n);
  } else {
    for (std::int64_t r = 0; r < n; ++r) exp_sum(x + r * k.count, k.count, z.largest[r], z.sum[r]);
    z.finish(n);
  }
  ledger.keep(first, n, z);
  for (std::int64_t r = 0; r < n; ++r, x += k.count) {
    const std::int64_t row = first + r, label = a.soft ? 0 : label_at(a, row);
    if (!a.soft && label == a.ignore_index) {
      ledger.enter(row, 0, 0);
      continue;
    }
    double loss = 0, weight = 1;
    if (k.all_take_part()) {
      const V largest(z.largest[r]), log_sum(z.log_sum[r]);
      const In* target = static_cast<const In*>(a.target) + (a.soft ? row * k.count : 0);
      loss = sum_over<T>(k.count, [&](std::int64_t, auto load) {
        const V share = k.share(a.soft ? load(target) : V(0), k.weight ? load(k.weight) : V(1));
        return share * ((largest - load(x)) + log_sum);
      });
    }
    if (a.soft || add_label(k, label, x, 1, z.largest[r], z.log_sum[r], loss, weight))
      ledger.enter(row, loss, weight);
    else
      ledger.enter_fault(row);
  }
}

// n columns from `first` on, of the classes × inner matrix number `outer`.
template <class In, class T>
void forward_columns(const Classes<In>& k, std::int64_t outer, std::int64_t first, std::int64_t n,
                     Ledger<In, T>& ledger) {
  using V = Vec<T>;
  const CrossEntropy& a = k.a;
  const std::int64_t inner = a.shape.inner, at = outer * k.count * inner + first, position = outer * inner + first;
  const In* x = static_cast<const In*>(a.x) + at;
  Normalisers<T> z;
  if (a.log_probabilities) {
    z.of_log_probabilities(n);
  } else {
    typename LogSumExp<In>::Band band;
    LogSumExp<In>::band(band, x, k.count, inner, n);
    __builtin_memcpy(z.largest, band.shift, sizeof z.largest);
    __builtin_memcpy(z.sum, band.sum, sizeof z.sum);
    z.finish(n);
  }
  ledger.keep(position, n, z);
  alignas(64) T smooth[kStripColumns];
  for (std::int64_t c = 0; c < n; ++c) smooth[c] = 0;
  if (k.all_take_part()) {
    const In* target = static_cast<const In*>(a.target) + (a.soft ? at : 0);
    for (std::int64_t r = 0; r < k.count; ++r) {
      const V w(k.weight_of(r));
      const auto add = [&](std::int64_t c, auto load) {
        const V share = k.share(a.soft ? load(target + r * inner + c) : V(0), w);
        const V distance = (V::load(z.largest + c) - load(x + r * inner + c)) + V::load(z.log_sum + c);
        (V::load(smooth + c) + share * distance).store(smooth + c);
      };
      std::int64_t c = 0;
      for (; c + V::width <= n; c += V::width) add(c, [](const auto* p) { return V::load(p); });
      if (const int rest = static_cast<int>(n - c)) add(c, [rest](const auto* p) { return V::load(p, rest); });
    }
  }
  for (std::int64_t c = 0; c < n; ++c) {
    double loss = smooth[c], weight = 1;
    const std::int64_t label = a.soft ? 0 : label_at(a, position + c);
    if (!a.soft && label == a.ignore_index)
      ledger.enter(position + c, 0, 0);
    else if (a.soft || add_label(k, label, x + c, inner, z.largest[c], z.log_sum[c], loss, weight))
      ledger.enter(position + c, loss, weight);
    else
      ledger.enter_fault(position + c);
  }
}

template <class In>
void forward(CrossEntropy a, void* out, void* statistics, double* divisor, LossPartial* partials, std::int64_t* fault) {
  using T = FloatLane<In>;
  LossPartial single{0, 0, -1};
  if (!partials) partials = &single;
  const Classes<In> k(a);
  const LossCuts cuts = cuts_of(a.shape);
  const std::int64_t positions = a.shape.outer * a.shape.inner;
  T* kept = static_cast<T*>(statistics);
  parallel_for(cuts.tasks, cuts.grain, [&](std::int64_t begin, std::int64_t end) {
    Ledger<In, T> ledger{a.reduction == LossReduction::none ? static_cast<In*>(out) : nullptr, kept,
                         kept ? kept + positions : nullptr};
    for (std::int64_t t = begin; t < end;) {
      if (a.shape.inner == 1) {
        const std::int64_t n = smaller(kStripColumns, end - t);
        forward_rows(k, t, n, ledger);
        t += n;
      } else {
        const std::int64_t first = t % cuts.strips * kStripColumns;
        forward_columns(k, t / cuts.strips, first, smaller(kStripColumns, a.shape.inner - first), ledger);
        ++t;
      }
    }
    partials[begin / cuts.grain] = ledger.total;
  });
  const LossPartial total = join_partials(partials, cuts.count);
  *fault = total.fault;
  *divisor = total.weight;
  if (a.reduction == LossReduction::mean) *static_cast<In*>(out) = convert<In>(total.loss / total.weight);
  if (a.reduction == LossReduction::sum) *static_cast<In*>(out) = convert<In>(total.loss);
}

// ---- backward: dx = scale (p Σ w q - w q) ----

template <class In, class T>
void backward_row(const Classes<In>& k, std::int64_t row, T scale, T largest, T sum, In* dx) {
  using V = Vec<T>;
  constexpr int W = V::width;
  const CrossEntropy& a = k.a;
  const In* x = static_cast<const In*>(a.x) + row * k.count;
  const In* target = static_cast<const In*>(a.target) + (a.soft ? row * k.count : 0);
  const std::int64_t label = a.soft ? 0 : label_at(a, row);
  T of_label = 0, all;
  if (a.soft) {
    all = static_cast<T>(sum_over<T>(
        k.count, [&](std::int64_t, auto load) { return k.share(load(target), k.weight ? load(k.weight) : V(1)); }));
  } else {
    if (label == a.ignore_index)
      scale = 0;
    else if (!k.is_class(label))
      scale = static_cast<T>(NAN);
    else
      of_label = k.kept * k.weight_of(label);
    all = static_cast<T>(of_label + static_cast<double>(k.spread) * k.weights);
  }
  const bool ignored = !a.soft && label == a.ignore_index, spreads = k.all_take_part();
  const V shift(largest), factor(a.log_probabilities || ignored ? T(0) : scale * all / sum), by(scale);
  const auto derivative = [&](V v, V q, V w) {
    V d = a.log_probabilities || ignored ? V(0) : exp(v - shift) * factor;
    if (spreads) d = fnma(k.share(q, w), by, d);
    return d;
  };
  std::int64_t c = 0;
  for (; c + W <= k.count; c += W)
    derivative(V::load(x + c), a.soft ? V::load(target + c) : V(0), k.weights_at(c)).store(dx + c);
  if (const int rest = static_cast<int>(k.count - c))
    derivative(V::load(x + c, rest), a.soft ? V::load(target + c, rest) : V(0), k.weights_at(c, rest))
        .store(dx + c, rest);
  if (a.soft || ignored || !k.is_class(label)) return;
  // Once more for the label's class, from the numbers before they were rounded to the element's type.
  (derivative(V::load(x + label, 1), V(0), V(k.weight_of(label))) - V(of_label * scale)).store(dx + label, 1);
}

template <class In, class T>
void backward_columns(const Classes<In>& k, std::int64_t outer, std::int64_t first, std::int64_t n, const T* scales,
                      const T* largest, const T* sums, In* dx) {
  using V = Vec<T>;
  const CrossEntropy& a = k.a;
  const std::int64_t inner = a.shape.inner, at = outer * k.count * inner + first, position = outer * inner + first;
  const In* x = static_cast<const In*>(a.x) + at;
  const In* target = static_cast<const In*>(a.target) + (a.soft ? at : 0);
  alignas(64) T factor[kStripColumns], scale[kStripColumns], of_label[kStripColumns];
  const bool spreads = k.all_take_part();
  for (std::int64_t c = 0; c < n; ++c) factor[c] = of_label[c] = 0;
  if (a.soft)
    for (std::int64_t r = 0; r < k.count; ++r)
      for (std::int64_t c = 0; c < n; ++c)
        factor[c] += k.weight_of(r) * (convert<T>(target[r * inner + c]) * k.kept + k.spread);
  for (std::int64_t c = 0; c < n; ++c) {
    scale[c] = scales[c];
    if (!a.soft) {
      const std::int64_t label = label_at(a, position + c);
      if (label == a.ignore_index)
        scale[c] = 0;
      else if (!k.is_class(label))
        scale[c] = static_cast<T>(NAN);
      else
        of_label[c] = k.kept * k.weight_of(label);
      factor[c] = static_cast<T>(of_label[c] + static_cast<double>(k.spread) * k.weights);
    }
    const bool without_softmax = a.log_probabilities || scale[c] == 0;
    factor[c] = without_softmax ? T(0) : factor[c] * scale[c] / sums[position + c];
  }
  const auto derivative = [&](V v, V q, V w, V shift, V by, V from) {
    // Where the factor is 0, the softmax may be NaN or the logits no logits at all.
    V d = select(from == V(0), V(0), exp(v - shift) * from);
    if (spreads) d = fnma(k.share(q, w), by, d);
    return d;
  };
  for (std::int64_t r = 0; r < k.count; ++r) {
    const V w(k.weight_of(r));
    const In *xr = x + r * inner, *qr = target + (a.soft ? r * inner : 0);
    const auto largest_at = [&](std::int64_t c, int rest) {
      return a.log_probabilities ? V(0) : V::load(largest + position + c, rest);
    };
    std::int64_t c = 0;
    for (; c < n; c += V::width) {
      const int rest = static_cast<int>(smaller(V::width, n - c));
      derivative(V::load(xr + c, rest), a.soft ? V::load(qr + c, rest) : V(0), w, largest_at(c, rest),
                 V::load(scale + c, rest), V::load(factor + c, rest))
          .store(dx + at + r * inner + c, rest);
    }
  }
  if (a.soft) return;
  for (std::int64_t c = 0; c < n; ++c) {
    const std::int64_t label = label_at(a, position + c);
    if (label == a.ignore_index || !k.is_class(label)) continue;
    const V shift(a.log_probabilities ? T(0) : largest[position + c]);
    const V d =
        derivative(V::load(x + label * inner + c, 1), V(0), V(k.weight_of(label)), shift, V(scale[c]), V(factor[c]));
    (d - V(of_label[c] * scale[c])).store(dx + at + label * inner + c, 1);
  }
}

template <class In>
void backward(CrossEntropy a, const void* gradient, const void* statistics, const double* divisor, void* out) {
  using T = FloatLane<In>;
  const Classes<In> k(a);
  const LossCuts cuts = cuts_of(a.shape);
  const auto* dy = static_cast<const In*>(gradient);
  const auto* largest = static_cast<const T*>(statistics);
  const T* sums = largest ? largest + a.shape.outer * a.shape.inner : nullptr;
  auto* dx = static_cast<In*>(out);
  const bool each = a.reduction == LossReduction::none;
  const T common =
      each ? T(0) : static_cast<T>(convert<double>(*dy) / (a.reduction == LossReduction::mean ? *divisor : 1));
  parallel_for(cuts.tasks, cuts.grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      if (a.shape.inner == 1) {
        backward_row(k, t, each ? convert<T>(dy[t]) : common, largest ? largest[t] : T(0), largest ? sums[t] : T(1),
                     dx + t * k.count);
        continue;
      }
      const std::int64_t first = t % cuts.strips * kStripColumns, n = smaller(kStripColumns, a.shape.inner - first);
      const std::int64_t position = t / cuts.strips * a.shape.inner + first;
      alignas(64) T scales[kStripColumns];
      for (std::int64_t c = 0; c < n; ++c) scales[c] = each ? convert<T>(dy[position + c]) : common;
      backward_columns(k, t / cuts.strips, first, n, scales, largest, sums, dx);
    }
  });
}

template <class In>
void fill(LossTable& t, DType type) {
  t.cross_entropy[static_cast<int>(type)] = forward<In>;
  t.cross_entropy_grad[static_cast<int>(type)] = backward<In>;
}

}  // namespace

void fill_loss_cross_entropy(LossTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
