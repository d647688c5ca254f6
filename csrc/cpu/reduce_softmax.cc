// softmax, log_softmax and their gradients. Each is a statistic of every row (S::Reducer, a reduction as in
// reduce_driver.h) and a formula that makes the result of an element and its row's statistic (a, b).
#include "cpu/reduce_log_sum_exp.h"
#include "cpu/reduce_tile.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Operands {
  const void* x;   // forward: the input; backward: the output
  const void* dy;  // backward
  void* out;
};

template <class T>
struct Statistic {
  T a, b;
};

// The sum of f(j) for j < n. In four parts, so that additions do not wait for each other.
template <class V, class F>
LAMINA_INLINE V sum_of(std::int64_t n, F f) {
  V a[4];
#pragma GCC unroll 4
  for (V& v : a) v = V(0);
  std::int64_t j = 0;
  for (; j + 4 <= n; j += 4)
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) a[k] += f(j + k);
  for (; j < n; ++j) a[0] += f(j);
  return join_tree(a, plus<V>);
}

// y = exp(x - a) b or (x - a) - b, where a is the largest element and b stands for the sum of exp(x - a). A row whose
// largest element is infinite has no softmax: NaN, as in PyTorch.
template <class In_, bool logarithm>
struct Forward {
  using In = In_;
  using T = FloatLane<In>;
  using V = Vec<T>;
  static constexpr bool has_dy = false;
  // The exponentials are stored where the result goes and only scaled later: one exp for each element.
  static constexpr bool in_place = !logarithm && std::is_same_v<In, T>;

  static Statistic<T> statistic(ExpSum p) {
    if (isinf(p.shift)) return {static_cast<T>(p.shift), static_cast<T>(NAN)};
    return {static_cast<T>(p.shift), static_cast<T>(logarithm ? log(p.sum) : 1 / p.sum)};
  }
  struct Reducer : LogSumExp<In> {
    static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, ExpSum p) {
      const Statistic<T> s = statistic(p);
      static_cast<T*>(g.out)[at] = s.a;
      static_cast<T*>(g.second)[at] = s.b;
    }
  };
  // Of a tile, in place: x has one row to a lane, the elements of a row kTileRows apart.
  static LAMINA_INLINE void lanes(T* x, const T*, std::int64_t n) {
    const auto at = [x](std::int64_t j) { return V::load(x + j * kTileRows); };
    V top = at(0);
    for (std::int64_t j = 1; j < n; ++j) top = maximum(top, at(j));
    if constexpr (logarithm) {
      const V b = log(sum_of<V>(n, [&](std::int64_t j) { return exp(at(j) - top); }));
      for (std::int64_t j = 0; j < n; ++j) formula(at(j), V(0), top, b).store(x + j * kTileRows);
    } else {
      const V scale = V(1) / sum_of<V>(n, [&](std::int64_t j) {
                        const V e = exp(at(j) - top);
                        e.store(x + j * kTileRows);
                        return e;
                      });
      for (std::int64_t j = 0; j < n; ++j) (at(j) * scale).store(x + j * kTileRows);
    }
  }
  static LAMINA_INLINE V formula(V x, V, V a, V b) {
    if constexpr (logarithm)
      return (x - a) - b;
    else
      return exp(x - a) * b;
  }
};

// dx = y (dy - Σ dy y), and for log_softmax dx = dy - exp(y) Σ dy.
template <class In_, bool logarithm>
struct Backward {
  using In = In_;
  using T = FloatLane<In>;
  using V = Vec<T>;
  static constexpr bool has_dy = true, in_place = false;

  static Statistic<T> statistic(double sum) { return {static_cast<T>(sum), T(0)}; }
  struct Reducer {
    using In = In_;
    using Partial = double;
    static constexpr int W = V::width;
    static constexpr std::int64_t kBlock = kVectorBlock<T>;
    static constexpr bool kOrdered = false;

    static LAMINA_INLINE V term(V y, V dy) {
      if constexpr (logarithm)
        return dy;
      else
        return y * dy;
    }
    static const In* beside(const In* y, const Reduction& g) {
      return static_cast<const In*>(g.other) + (y - static_cast<const In*>(g.in));
    }
    static Partial merge(Partial a, Partial b) { return a + b; }
    [[gnu::noinline]] static Partial block(const In* y, std::int64_t n, std::int64_t, const Reduction& g) {
      const In* dy = beside(y, g);
      V a[kInFlight / 2];
      for (V& v : a) v = V(0);
      std::int64_t i = 0;
      for (; i + kInFlight / 2 * W <= n; i += kInFlight / 2 * W)
        for (int k = 0; k < kInFlight / 2; ++k) a[k] += term(V::load(y + i + k * W), V::load(dy + i + k * W));
      for (; i + W <= n; i += W) a[0] += term(V::load(y + i), V::load(dy + i));
      if (const int rest = static_cast<int>(n - i)) a[1] += term(V::load(y + i, rest), V::load(dy + i, rest));
      return sum(join_tree(a, plus<V>));
    }
    struct Band {
      alignas(64) T sum[kStripColumns];
    };
    template <int rows>
    static void add_rows(Band& b, const In* y, const In* dy, std::int64_t stride, std::int64_t n) {
      const auto group = [&](std::int64_t c, auto load) {
        V v[rows];
        for (int r = 0; r < rows; ++r) v[r] = term(load(y + r * stride + c), load(dy + r * stride + c));
        (V::load(b.sum + c) + join_tree(v, plus<V>)).store(b.sum + c);
      };
      std::int64_t c = 0;
      for (; c + W <= n; c += W) group(c, [](const In* p) { return V::load(p); });
      if (const int rest = static_cast<int>(n - c)) group(c, [rest](const In* p) { return V::load(p, rest); });
    }
    [[gnu::noinline]] static void band(Band& b, const In* y, std::int64_t rows, std::int64_t stride, std::int64_t n,
                                       std::int64_t, const Reduction& g) {
      const In* dy = beside(y, g);
      for (T& s : b.sum) s = 0;
      std::int64_t r = 0;
      for (; r + 8 <= rows; r += 8) add_rows<8>(b, y + r * stride, dy + r * stride, stride, n);
      for (; r < rows; ++r) add_rows<1>(b, y + r * stride, dy + r * stride, stride, n);
    }
    static LAMINA_INLINE Partial partial(const Band& b, std::int64_t c) { return b.sum[c]; }
    static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, Partial p) {
      static_cast<T*>(g.out)[at] = static_cast<T>(p);
    }
  };
  static LAMINA_INLINE void lanes(T* y, const T* dy, std::int64_t n) {
    const auto in = [y](std::int64_t j) { return V::load(y + j * kTileRows); };
    const auto of = [dy](std::int64_t j) { return V::load(dy + j * kTileRows); };
    const V a = sum_of<V>(n, [&](std::int64_t j) { return Reducer::term(in(j), of(j)); });
    for (std::int64_t j = 0; j < n; ++j) formula(in(j), of(j), a, V(0)).store(y + j * kTileRows);
  }
  static LAMINA_INLINE V formula(V y, V dy, V a, V) {
    if constexpr (logarithm)
      return fnma(exp(y), a, dy);
    else
      return y * (dy - a);
  }
};

// out[i] = formula of elements at … at + n; a(i) and b(i) give the statistics of the vector at at + i.
template <class S, class A, class B>
LAMINA_INLINE void apply(const Operands& p, std::int64_t at, std::int64_t n, A a, B b) {
  using V = typename S::V;
  const auto* x = static_cast<const typename S::In*>(p.x) + at;
  const auto* dy = static_cast<const typename S::In*>(p.dy) + (S::has_dy ? at : 0);
  auto* out = static_cast<typename S::In*>(p.out) + at;
  std::int64_t i = 0;
  for (; i + V::width <= n; i += V::width) {
    V g(0);
    if constexpr (S::has_dy) g = V::load(dy + i);
    S::formula(V::load(x + i), g, a(i), b(i)).store(out + i);
  }
  if (const int rest = static_cast<int>(n - i)) {
    V g(0);
    if constexpr (S::has_dy) g = V::load(dy + i, rest);
    S::formula(V::load(x + i, rest), g, a(i), b(i)).store(out + i, rest);
  }
}
template <class S>
void apply_to_row(const Operands& p, std::int64_t at, std::int64_t n, Statistic<typename S::T> s) {
  const typename S::V a(s.a), b(s.b);
  apply<S>(
      p, at, n, [a](std::int64_t) { return a; }, [b](std::int64_t) { return b; });
}
// `a` and `b` are vectors of n statistics, padded to whole vectors.
template <class S>
void apply_to_columns(const Operands& p, std::int64_t at, std::int64_t rows, std::int64_t stride, std::int64_t n,
                      const typename S::T* a, const typename S::T* b) {
  using V = typename S::V;
  for (std::int64_t r = 0; r < rows; ++r)
    apply<S>(
        p, at + r * stride, n, [a](std::int64_t c) { return V::load(a + c); },
        [b](std::int64_t c) { return V::load(b + c); });
}

template <class T>
void softmax_in_place(const T* x, T* y, std::int64_t n) {
  using V = Vec<T>;
  constexpr int W = V::width, flight = 4;
  const V by(hmax(join_block<T>(
      x, n, V(static_cast<T>(-HUGE_VAL)), [](V v) { return v; }, [](V a, V b) { return maximum(a, b); })));
  double total = 0;
  for (std::int64_t block = 0; block < n; block += kVectorBlock<T>) {
    const std::int64_t end = smaller(block + kVectorBlock<T>, n);
    V a[flight];
    for (V& v : a) v = V(0);
    std::int64_t i = block;
    const auto next = [&](V& into, std::int64_t at) {
      const V e = exp(V::load(x + at) - by);
      e.store(y + at);
      into += e;
    };
    for (; i + flight * W <= end; i += flight * W)
      for (int k = 0; k < flight; ++k) next(a[k], i + k * W);
    for (; i + W <= end; i += W) next(a[0], i);
    if (const int rest = static_cast<int>(end - i)) {
      const V e = exp(V::load(x + i, rest) - by);
      e.store(y + i, rest);
      a[1] += select(first_lanes<T>(rest), e, V(0));
    }
    total += sum(join_tree(a, plus<V>));
  }
  const V scale(static_cast<T>(1 / total));
  std::int64_t i = 0;
  for (; i + W <= n; i += W) (V::load(y + i) * scale).store(y + i);
  if (const int rest = static_cast<int>(n - i)) (V::load(y + i, rest) * scale).store(y + i, rest);
}

template <class S>
void short_rows(const Along& shape, const Operands& p) {
  using T = typename S::T;
  const std::int64_t n = shape.length;
  parallel_for(shape.outer, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    alignas(64) T x[kTile], dy[S::has_dy ? kTile : 1];
    for (std::int64_t row = begin; row < end; row += kTileRows) {
      const std::int64_t rows = smaller(kTileRows, end - row), readable = (shape.outer - row) * n;
      turn_into_tile(static_cast<const T*>(p.x) + row * n, n, rows, n, readable, x);
      if constexpr (S::has_dy) turn_into_tile(static_cast<const T*>(p.dy) + row * n, n, rows, n, readable, dy);
      for (std::int64_t c = 0; c < rows; c += S::V::width) S::lanes(x + c, dy + (S::has_dy ? c : 0), n);
      turn_from_tile(x, rows, n, static_cast<T*>(p.out) + row * n);
    }
  });
}

template <class S>
void whole_rows(const Along& shape, const Reduction& g, const Operands& p) {
  using In = typename S::In;
  const std::int64_t n = shape.length;
  parallel_for(shape.outer, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin * n; at < end * n; at += n) {
      const In* x = static_cast<const In*>(p.x) + at;
      if constexpr (S::in_place)
        softmax_in_place(x, static_cast<In*>(p.out) + at, n);
      else
        apply_to_row<S>(p, at, n, S::statistic(reduce_run<typename S::Reducer>(x, n, 0, g)));
    }
  });
}

constexpr std::int64_t kStripBytes = 131072;  // of a strip of columns that one thread takes at once

template <class S>
void whole_columns(const Along& shape, const Reduction& g, const Operands& p) {
  using R = typename S::Reducer;
  using T = typename S::T;
  const std::int64_t fitting = kStripBytes / static_cast<std::int64_t>(sizeof(T)) / shape.length / 64 * 64;
  const std::int64_t width = fitting < 64 ? 64 : smaller(fitting, kStripColumns);
  const std::int64_t strips = (shape.inner + width - 1) / width;
  parallel_for(shape.outer * strips, grain_for(shape.length * smaller(width, shape.inner)),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t t = begin; t < end; ++t) {
                   const std::int64_t first = t % strips * width, n = smaller(width, shape.inner - first);
                   const std::int64_t at = t / strips * shape.length * shape.inner + first;
                   typename R::Band band;
                   R::band(band, static_cast<const typename S::In*>(p.x) + at, shape.length, shape.inner, n, 0, g);
                   alignas(64) T a[kStripColumns], b[kStripColumns];
                   for (std::int64_t c = 0; c < n; ++c) {
                     const Statistic<T> s = S::statistic(R::partial(band, c));
                     a[c] = s.a, b[c] = s.b;
                   }
                   apply_to_columns<S>(p, at, shape.length, shape.inner, n, a, b);
                 }
               });
}

template <class S>
void in_two_steps(const Along& shape, const Reduction& g, const Operands& p) {
  using T = typename S::T;
  reduce<typename S::Reducer>(g);
  const T *a = static_cast<const T*>(g.out), *b = S::has_dy ? a : static_cast<const T*>(g.second);
  if (shape.inner == 1) {
    const std::int64_t cuts = (shape.length + kRowChunk - 1) / kRowChunk;
    return parallel_for(shape.outer * cuts, 1, [&](std::int64_t t, std::int64_t) {
      const std::int64_t row = t / cuts, first = t % cuts * kRowChunk;
      apply_to_row<S>(p, row * shape.length + first, smaller(kRowChunk, shape.length - first), {a[row], b[row]});
    });
  }
  const std::int64_t width = shape.inner, rows = width < kReduceGrain ? kReduceGrain / width : 1,
                     cuts = (shape.length + rows - 1) / rows;
  parallel_for(shape.outer * cuts, 1, [&](std::int64_t t, std::int64_t) {
    const std::int64_t o = t / cuts, first = t % cuts * rows, count = smaller(rows, shape.length - first);
    const std::int64_t at = (o * shape.length + first) * width;
    if (width * kFoldedRows > kStripColumns)
      return apply_to_columns<S>(p, at, count, width, width, a + o * width, b + o * width);
    // Rows so narrow that most of their vectors would be tails are written kFoldedRows at a time.
    alignas(64) T wide_a[kStripColumns], wide_b[kStripColumns];
    for (std::int64_t c = 0; c < kFoldedRows * width; ++c) {
      wide_a[c] = a[o * width + c % width];
      wide_b[c] = b[o * width + c % width];
    }
    const std::int64_t wide = kFoldedRows * width, whole = count / kFoldedRows, done = whole * wide;
    apply_to_columns<S>(p, at, whole, wide, wide, wide_a, wide_b);
    apply_to_columns<S>(p, at + done, 1, wide, count * width - done, wide_a, wide_b);
  });
}

template <class S>
void run(const Along& shape, const Reduction& g, const Operands& p) {
  if (softmax_in_two_steps(shape))
    in_two_steps<S>(shape, g, p);
  else if (shape.inner == 1 && shape.length <= kShortRow && shape.outer > 1)
    short_rows<S>(shape, p);
  else if (shape.inner == 1)
    whole_rows<S>(shape, g, p);
  else
    whole_columns<S>(shape, g, p);
}

template <class In, bool logarithm>
void softmax(Along shape, Reduction g, const void* x, void* y) {
  run<Forward<In, logarithm>>(shape, g, {x, nullptr, y});
}
template <class In, bool logarithm>
void softmax_grad(Along shape, Reduction g, const void* y, const void* dy, void* dx) {
  run<Backward<In, logarithm>>(shape, g, {y, dy, dx});
}

template <class In>
void fill(ReduceTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.logsumexp[i] = reduce<LogSumExp<In>>;
  t.softmax[i] = softmax<In, false>;
  t.log_softmax[i] = softmax<In, true>;
  t.softmax_grad[i] = softmax_grad<In, false>;
  t.log_softmax_grad[i] = softmax_grad<In, true>;
}

}  // namespace

void fill_reduce_softmax(ReduceTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
