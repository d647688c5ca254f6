// Running sums, products, extremes and logarithms of sums, and their gradients: what each carries along.
#include "cuda/scan.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Plus {
  template <class A>
  LAMINA_INLINE static A join(A a, A b) {
    return a + b;
  }
};
struct Times {
  template <class A>
  LAMINA_INLINE static A join(A a, A b) {
    return a * b;
  }
};

// Wider than the elements, so that rounding does not pile up; integers wrap around.
template <class In>
using Carry = std::conditional_t<std::is_same_v<In, std::int64_t>, std::uint64_t, double>;

template <class Join, class In>
struct Running {
  using State = Carry<In>;
  const In* x;
  In* y;
  LAMINA_INLINE State load(const Line& l, std::int64_t i) const { return static_cast<State>(widen(x[l.place(i)])); }
  LAMINA_INLINE static State join(State a, State b) { return Join::join(a, b); }
  LAMINA_INLINE void store(const Line& l, std::int64_t i, State s) const { y[l.place(i)] = convert<In>(s); }
};
template <class Join, class In>
void running(Along s, bool reverse, const void* x, void* y, void* scratch) {
  scan("running total", s, reverse, Running<Join, In>{static_cast<const In*>(x), static_cast<In*>(y)},
       scan_in_two_steps(s) ? scratch : nullptr);
}

// The last of equal elements counts; a NaN stays.
template <class In, bool largest>
struct Extreme {
  using Value = decltype(widen(In{}));
  struct State {
    Value value;
    std::int64_t index;
  };
  const In* x;
  In* y;
  std::int64_t* indices;
  LAMINA_INLINE State load(const Line& l, std::int64_t i) const { return {widen(x[l.place(i)]), i}; }
  LAMINA_INLINE static State join(State best, State now) {
    const bool further =
        now.value != now.value || (largest ? now.value >= best.value : now.value <= best.value);  // false: best is NaN
    return further ? now : best;
  }
  LAMINA_INLINE void store(const Line& l, std::int64_t i, State s) const {
    y[l.place(i)] = x[l.place(s.index)];
    indices[l.place(i)] = s.index;
  }
};
template <class In, bool largest>
void extreme(Along s, const void* x, void* y, std::int64_t* indices) {
  scan("running extreme", s, false, Extreme<In, largest>{static_cast<const In*>(x), static_cast<In*>(y), indices});
}

LAMINA_INLINE double share(double a, double b) {  // exp(a - b) for a ≤ b, where both may be infinite
  return a == b ? 1.0 : exp(Vec<double>(a - b)).v;
}

// The sum is kept relative to the largest element so far: nothing overflows.
template <class In>
struct LogSum {
  struct State {
    double largest, sum;
  };
  const In* x;
  In* y;
  LAMINA_INLINE State load(const Line& l, std::int64_t i) const { return {static_cast<double>(x[l.place(i)]), 1}; }
  LAMINA_INLINE static State join(State a, State b) {
    if (b.largest > a.largest) return {b.largest, b.sum + a.sum * share(a.largest, b.largest)};
    return {a.largest, a.sum + b.sum * share(b.largest, a.largest)};
  }
  LAMINA_INLINE void store(const Line& l, std::int64_t i, State s) const {
    y[l.place(i)] = static_cast<In>(s.largest + log(Vec<double>(s.sum)).v);
  }
};
template <class In>
void log_sum(Along s, const void* x, void* y) {
  scan("logcumsumexp", s, false, LogSum<In>{static_cast<const In*>(x), static_cast<In*>(y)});
}

// Both gradients are sums that flow back, s[k] = dy[k] + factor[k] s[k + 1]; several such steps are one of their kind.
struct Flow {
  double factor, sum;
  LAMINA_INLINE static Flow join(Flow later, Flow here) {  // later in memory, earlier in the walk
    // What nothing flows back from is of no account, be it infinite.
    return {here.factor * later.factor, later.sum != 0 ? here.sum + here.factor * later.sum : here.sum};
  }
};
template <class In>
struct Gradient {
  using State = Flow;
  const In *x, *y, *dy;
  In* dx;
  LAMINA_INLINE double at(const In* p, const Line& l, std::int64_t i) const {
    return static_cast<double>(widen(p[l.place(i)]));
  }
  LAMINA_INLINE static Flow join(Flow a, Flow b) { return Flow::join(a, b); }
};

// dx[k] = y[k - 1] s[k], the factor x[k + 1]: no division, so that zeros are like any other number.
template <class In>
struct ProductGradient : Gradient<In> {
  LAMINA_INLINE Flow load(const Line& l, std::int64_t i) const {
    return {i + 1 < l.length ? this->at(this->x, l, i + 1) : 0.0, this->at(this->dy, l, i)};
  }
  LAMINA_INLINE void store(const Line& l, std::int64_t i, Flow f) const {
    this->dx[l.place(i)] = convert<In>((i > 0 ? this->at(this->y, l, i - 1) : 1.0) * f.sum);
  }
};
// dx[k] = exp(x[k] - y[k]) s[k], the factor exp(y[k] - y[k + 1]): y never falls, and no exponential is above 1.
template <class In>
struct LogSumGradient : Gradient<In> {
  LAMINA_INLINE Flow load(const Line& l, std::int64_t i) const {
    return {i + 1 < l.length ? share(this->at(this->y, l, i), this->at(this->y, l, i + 1)) : 0.0,
            this->at(this->dy, l, i)};
  }
  LAMINA_INLINE void store(const Line& l, std::int64_t i, Flow f) const {
    this->dx[l.place(i)] = convert<In>(share(this->at(this->x, l, i), this->at(this->y, l, i)) * f.sum);
  }
};
template <template <class> class Op, class In>
void gradient(Along s, const void* x, const void* y, const void* dy, void* dx) {
  scan(
      "gradient of a running total", s, true,
      Op<In>{{static_cast<const In*>(x), static_cast<const In*>(y), static_cast<const In*>(dy), static_cast<In*>(dx)}});
}

// Of a product: dy · y / x or, where that cannot be told from y, dy times the product of what stands before and what
// stands after, which the first thread of a line then works out alone.
template <class In>
struct WholeProductGradient {
  static constexpr int kThreads = kScanThreads;
  static constexpr bool kCollective = false;
  Along s;
  const In *x, *y, *dy;
  In* dx;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() >= s.outer * s.inner * s.length) return;
    const std::int64_t inside = s.length * s.inner, outer = t.global() / inside, rest = t.global() % inside;
    const std::int64_t position = outer * s.inner + rest % s.inner, index = rest / s.inner;
    const Line line(s, position, false);
    const double product = static_cast<double>(widen(y[position])), g = static_cast<double>(widen(dy[position]));
    if (product != 0 && !isinf(product)) {
      dx[line.place(index)] = convert<In>(g * product / static_cast<double>(widen(x[line.place(index)])));
    } else if (index == 0) {
      double before = 1, after = g;
      for (std::int64_t i = 0; i < s.length; ++i) {
        dx[line.place(i)] = convert<In>(before);
        before *= static_cast<double>(widen(x[line.place(i)]));
      }
      for (std::int64_t i = s.length - 1; i >= 0; --i) {
        dx[line.place(i)] = convert<In>(after * static_cast<double>(widen(dx[line.place(i)])));
        after *= static_cast<double>(widen(x[line.place(i)]));
      }
    }
  }
};
template <class In>
void product_gradient(Along s, const void* x, const void* y, const void* dy, void* dx) {
  launch("prod", grid_for(s.outer * s.inner * s.length, kScanThreads),
         WholeProductGradient<In>{s, static_cast<const In*>(x), static_cast<const In*>(y), static_cast<const In*>(dy),
                                  static_cast<In*>(dx)});
}

template <class In>
void fill_running(ReduceTable& t, DType type) {
  t.cumsum[static_cast<int>(type)] = running<Plus, In>;
  t.cumprod[static_cast<int>(type)] = running<Times, In>;
}
template <class In>
void fill_gradients(ReduceTable& t, DType type) {
  t.cumprod_grad[static_cast<int>(type)] = gradient<ProductGradient, In>;
  t.prod_grad[static_cast<int>(type)] = product_gradient<In>;
}
template <class In>
void fill_extreme(ReduceTable& t, DType type) {
  t.cummax[static_cast<int>(type)] = extreme<In, true>;
  t.cummin[static_cast<int>(type)] = extreme<In, false>;
}
template <class In>
void fill_log(ReduceTable& t, DType type) {
  t.logcumsumexp[static_cast<int>(type)] = log_sum<In>;
  t.logcumsumexp_grad[static_cast<int>(type)] = gradient<LogSumGradient, In>;
}

}  // namespace

void fill_reduce_scan(ReduceTable& t) {
  const auto floating = [&]<class In>(DType type, In) {
    fill_running<In>(t, type);
    fill_gradients<In>(t, type);
    fill_extreme<In>(t, type);
  };
  floating(DType::f32, float());
  floating(DType::f64, double());
  floating(DType::f16, float16());
  floating(DType::bf16, bfloat16());
  fill_running<std::int64_t>(t, DType::i64);
  fill_extreme<std::int64_t>(t, DType::i64);
  fill_extreme<std::int32_t>(t, DType::i32);
  fill_extreme<std::uint8_t>(t, DType::u8);
  fill_extreme<std::uint8_t>(t, DType::b8);
  fill_log<float>(t, DType::f32);
  fill_log<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
