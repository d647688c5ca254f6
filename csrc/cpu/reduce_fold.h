// A fold (kernels/reduce.h) as the driver wants it: blocks of rows, bands of columns.
#pragma once
#include "cpu/elementwise_move.h"
#include "cpu/reduce_driver.h"
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

// What elements of type In are folded in: 16-bit floats in float; integers in themselves or, if they are summed, in
// uint64, where overflow wraps around.
template <class In>
constexpr bool kIsFloating = Real<In> || std::is_same_v<In, float16> || std::is_same_v<In, bfloat16>;
template <class In>
using FloatLane = std::conditional_t<std::is_same_v<In, double>, double, float>;

template <class T>
LAMINA_INLINE Mask<T> first_lanes(int n) {
  alignas(64) static constexpr T lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return Vec<T>::load(lanes) < Vec<T>(static_cast<T>(n));
}

template <class Op, class In_, class Lane_, class Out>
struct Fold {
  using In = In_;
  using T = Lane_;  // the type of one lane
  static constexpr bool floating = kIsFloating<In>;
  using V = std::conditional_t<floating, Vec<std::conditional_t<floating, T, float>>, One<T>>;
  using Wide = typename Op::template Wide<T>;
  using Partial = Wide;
  static constexpr int W = V::width;
  static constexpr int kLanes = 8;  // vectors in flight: enough to hide the latency of an addition
  static constexpr std::int64_t kBlock = floating ? 16 * kLanes * W : 2048;

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

  static Partial block(const In* x, std::int64_t n, std::int64_t, const Reduction& g) {
    const double p = g.p;
    const V neutral(Op::template neutral<T>());
    V a[kLanes];
    for (V& v : a) v = neutral;
    std::int64_t i = 0;
    for (; i + kLanes * W <= n; i += kLanes * W)
      for (int k = 0; k < kLanes; ++k) a[k] = join(a[k], get(x + i + k * W, p));
    for (; i + W <= n; i += W) a[0] = join(a[0], get(x + i, p));
    if constexpr (floating) {
      if (const int rest = static_cast<int>(n - i))
        a[1] = join(a[1], select(first_lanes<T>(rest), Op::map(V::load(x + i, rest), p), neutral));
    }
    for (int step = 1; step < kLanes; step *= 2)
      for (int k = 0; k < kLanes; k += 2 * step) a[k] = join(a[k], a[k + step]);
    if constexpr (floating)
      return static_cast<Wide>(fold(a[0], [](V b, V c) { return join(b, c); }));
    else
      return static_cast<Wide>(a[0].v);
  }

  struct Band {
    alignas(64) T lane[kStripColumns];
  };

  // Joins `rows` rows, at most 8, column by column: among themselves as a tree, then to what is there.
  template <int rows, bool first>
  static void add_rows(Band& b, const In* x, std::int64_t stride, std::int64_t n, double p) {
    const auto tree = [&](std::int64_t c, auto load) {
      V v[rows];
      for (int r = 0; r < rows; ++r) v[r] = load(x + r * stride + c);
      for (int step = 1; step < rows; step *= 2)
        for (int r = 0; r < rows; r += 2 * step) v[r] = join(v[r], v[r + step]);
      return v[0];
    };
    const auto whole = [p](const In* from) { return get(from, p); };
    std::int64_t c = 0;
    for (; c + W <= n; c += W) {
      const V v = tree(c, whole);
      (first ? v : join(V::load(b.lane + c), v)).store(b.lane + c);
    }
    if constexpr (floating) {
      if (const int rest = static_cast<int>(n - c)) {
        const V v = tree(c, [p, rest](const In* from) { return Op::map(V::load(from, rest), p); });
        (first ? v : join(V::load(b.lane + c), v)).store(b.lane + c);
      }
    }
  }
  template <bool first>
  static std::int64_t add_up_to_8(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n,
                                  double p) {
    if (rows >= 8) return add_rows<8, first>(b, x, stride, n, p), 8;
    if (rows >= 4) return add_rows<4, first>(b, x, stride, n, p), 4;
    if (rows >= 2) return add_rows<2, first>(b, x, stride, n, p), 2;
    return add_rows<1, first>(b, x, stride, n, p), 1;
  }
  static void band(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n, std::int64_t,
                   const Reduction& g) {
    std::int64_t r = add_up_to_8<true>(b, x, rows, stride, n, g.p);
    while (r < rows) r += add_up_to_8<false>(b, x + r * stride, rows - r, stride, n, g.p);
  }
  static LAMINA_INLINE Partial partial(const Band& b, std::int64_t c) { return static_cast<Wide>(b.lane[c]); }

  static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, Partial total) {
    static_cast<Out*>(g.out)[at] = convert<Out>(Op::finish(total, folds::Finish{g.count, g.p}));
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
