// A fold (kernels/reduce.h) as the driver wants it: blocks of rows, bands of columns.
#pragma once
#include "cpu/elementwise_move.h"
#include "cpu/reduce_driver.h"
#include "cpu/reduce_lanes.h"
#include "kernels/reduce_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Integers in the vocabulary of Vec, one at a time: the loops around them are left to the compiler's vectoriser.
template <class T>
struct One {
  static constexpr int width = 1;
  T v;
  One() = default;
  LAMINA_INLINE One(T x) : v(x) {}
  template <class In>
  static LAMINA_INLINE One load(const In* p) {
    return static_cast<T>(*p);
  }
  LAMINA_INLINE void store(T* p) const { *p = v; }
};

template <class Op, class In_, class Lane_, class Out>
struct Fold {
  using In = In_;
  using T = Lane_;  // the type of one lane
  static constexpr bool floating = kIsFloating<In>;
  using V = std::conditional_t<floating, Vec<std::conditional_t<floating, T, float>>, One<T>>;
  using Wide = typename Op::template Wide<T>;
  using Partial = Wide;
  static constexpr int W = V::width;
  static constexpr bool kOrdered = false;
  static constexpr std::int64_t kBlock = floating ? kVectorBlock<FloatLane<In>> : 2048;

  static LAMINA_INLINE V get(const In* x, double p) {
    if constexpr (floating)
      return Op::map(V::load(x), p);
    else
      return V(Op::map(V::load(x).v, p));
  }
  static LAMINA_INLINE V join(V a, V b) {
    if constexpr (floating)
      return Op::join(a, b);
    else
      return V(static_cast<T>(Op::join(a.v, b.v)));
  }
  static Wide merge(Wide a, Wide b) { return static_cast<Wide>(Op::join(a, b)); }

  [[gnu::noinline]] static Partial block(const In* x, std::int64_t n, std::int64_t, const Reduction& g) {
    const double p = g.p;
    const V neutral(Op::template neutral<T>());
    if constexpr (floating) {
      const V total = join_block<T>(
          x, n, neutral, [p](V v) { return Op::map(v, p); }, join);
      return static_cast<Wide>(fold(total, [](V a, V b) { return join(a, b); }));
    } else {
      V a[kInFlight];
#pragma GCC unroll 8
      for (V& v : a) v = neutral;
      std::int64_t i = 0;
      for (; i + kInFlight <= n; i += kInFlight)
#pragma GCC unroll 8
        for (int k = 0; k < kInFlight; ++k) a[k] = join(a[k], get(x + i + k, p));
      for (; i < n; ++i) a[0] = join(a[0], get(x + i, p));
      return static_cast<Wide>(join_tree(a, join).v);
    }
  }

  struct Band {
    alignas(64) T lane[kStripColumns];
  };

  // Joins to what is there, unless these rows are the first, f(from) of every vector of columns.
  template <class F>
  static LAMINA_INLINE void add(Band& b, const In* x, std::int64_t n, bool first, double p, F f) {
    std::int64_t c = 0;
    const auto put = [&](V v) { (first ? v : join(V::load(b.lane + c), v)).store(b.lane + c); };
    for (; c + W <= n; c += W) put(f(x + c, [p](const In* from) { return get(from, p); }));
    if constexpr (floating) {
      if (const int rest = static_cast<int>(n - c))
        put(f(x + c, [p, rest](const In* from) { return Op::map(V::load(from, rest), p); }));
    }
  }
  static constexpr int kRows = 8;  // are joined among themselves as a tree
  [[gnu::noinline]] static void band(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n,
                                     std::int64_t, const Reduction& g) {
    std::int64_t r = 0;
    for (; r + kRows <= rows; r += kRows)
      add(b, x + r * stride, n, r == 0, g.p, [stride](const In* from, auto load) {
        V v[kRows];
#pragma GCC unroll 8
        for (int k = 0; k < kRows; ++k) v[k] = load(from + k * stride);
        return join_tree(v, join);
      });
    if (const std::int64_t few = rows - r)
      add(b, x + r * stride, n, r == 0, g.p, [stride, few](const In* from, auto load) {
        V v = load(from);
        for (std::int64_t k = 1; k < few; ++k) v = join(v, load(from + k * stride));
        return v;
      });
  }
  static LAMINA_INLINE Partial partial(const Band& b, std::int64_t c) { return static_cast<Wide>(b.lane[c]); }

  static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, Partial total) {
    static_cast<Out*>(g.out)[at] = convert<Out>(Op::finish(total, folds::Finish{g.count, g.p}));
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
