// The largest or smallest element and where it stands first. NaN outranks every number.
#include "cpu/elementwise_move.h"
#include "cpu/reduce_driver.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Largest {
  template <class V>
  static LAMINA_INLINE auto beats(V a, V b) {
    return a > b;
  }
  template <class V>
  static LAMINA_INLINE V pick(V a, V b) {
    return maximum(a, b);
  }
};
struct Smallest {
  template <class V>
  static LAMINA_INLINE auto beats(V a, V b) {
    return a < b;
  }
  template <class V>
  static LAMINA_INLINE V pick(V a, V b) {
    return minimum(a, b);
  }
};

template <class Order, class In_>
struct Extreme {
  using In = In_;
  static constexpr bool floating = kIsFloating<In>;
  using T = std::conditional_t<floating, FloatLane<In>, In>;
  struct Partial {
    T value;
    std::int64_t index;
  };
  static constexpr std::int64_t kBlock = 2048;
  static constexpr bool kOrdered = true;  // of equals the first

  // Does a outrank what came before it?
  template <class V>
  static LAMINA_INLINE auto outranks(V a, V before) {
    const auto beats = Order::beats(a, before);
    if constexpr (floating) {
      const auto first_nan = isnan(a) & (before == before);
      return beats | first_nan;
    } else {
      return beats;
    }
  }
  static Partial merge(Partial a, Partial b) { return outranks(b.value, a.value) ? b : a; }

  // First the extreme, then where it is: two fast passes over a block that fits the first cache.
  [[gnu::noinline]] static Partial block(const In* x, std::int64_t n, std::int64_t at, const Reduction&) {
    if constexpr (floating) {
      using V = Vec<T>;
      constexpr int W = V::width;
      const V first(widen(x[0]));
      const T best = fold(join_block<T>(
                              x, n, first, [](V v) { return v; }, Order::template pick<V>),
                          Order::template pick<V>);
      const auto found = [best](V v) { return best == best ? v == V(best) : isnan(v); };
      std::int64_t i = 0;
      while (i + W <= n && !any(found(V::load(x + i)))) i += W;
      while (i < n - 1 && !(best == best ? widen(x[i]) == best : isnan(widen(x[i])))) ++i;
      return {widen(x[i]), at + i};
    } else {
      T best = x[0];
      for (std::int64_t i = 1; i < n; ++i) best = Order::pick(best, x[i]);
      std::int64_t i = 0;
      while (x[i] != best) ++i;
      return {best, at + i};
    }
  }

  using Row = std::conditional_t<sizeof(T) == 1, std::int32_t, T>;  // exact for all rows of a band
  struct Band {
    alignas(64) T value[kStripColumns];
    alignas(64) Row row[kStripColumns];  // counted from the band's first
    std::int64_t at;
  };
  template <int rows>
  static void add_rows(Band& b, const In* x, std::int64_t stride, std::int64_t n, int first_row) {
    std::int64_t c = 0;
    if constexpr (floating) {
      using V = Vec<T>;
      const auto join = [&](std::int64_t c, auto load) {
        V best = V::load(b.value + c), row = V::load(b.row + c);
        for (int r = 0; r < rows; ++r) {
          const V v = load(x + r * stride + c);
          const auto better = outranks(v, best);
          best = select(better, v, best);
          row = select(better, V(static_cast<T>(first_row + r)), row);
        }
        best.store(b.value + c);
        row.store(b.row + c);
      };
      for (; c + V::width <= n; c += V::width) join(c, [](const In* p) { return V::load(p); });
      if (const int rest = static_cast<int>(n - c)) join(c, [rest](const In* p) { return V::load(p, rest); });
    } else {
      for (; c < n; ++c)
        for (int r = 0; r < rows; ++r) {
          const T v = x[r * stride + c];
          const bool better = outranks(v, b.value[c]);
          b.value[c] = better ? v : b.value[c];
          b.row[c] = better ? static_cast<Row>(first_row + r) : b.row[c];
        }
    }
  }
  [[gnu::noinline]] static void band(Band& b, const In* x, std::int64_t rows, std::int64_t stride, std::int64_t n,
                                     std::int64_t at, const Reduction&) {
    b.at = at;
    for (std::int64_t c = 0; c < n; ++c) b.value[c] = static_cast<T>(widen(x[c])), b.row[c] = 0;
    std::int64_t r = 1;
    for (; r + 4 <= rows; r += 4) add_rows<4>(b, x + r * stride, stride, n, static_cast<int>(r));
    for (; r < rows; ++r) add_rows<1>(b, x + r * stride, stride, n, static_cast<int>(r));
  }
  static LAMINA_INLINE Partial partial(const Band& b, std::int64_t c) {
    return {b.value[c], b.at + static_cast<std::int64_t>(b.row[c])};
  }

  static LAMINA_INLINE void store(const Reduction& g, std::int64_t at, Partial p) {
    if (g.out) static_cast<In*>(g.out)[at] = convert<In>(p.value);
    static_cast<std::int64_t*>(g.second)[at] = p.index;
  }
};

template <class Order>
void fill(Reduce* row) {
  row[static_cast<int>(DType::f32)] = reduce<Extreme<Order, float>>;
  row[static_cast<int>(DType::f64)] = reduce<Extreme<Order, double>>;
  row[static_cast<int>(DType::i64)] = reduce<Extreme<Order, std::int64_t>>;
  row[static_cast<int>(DType::i32)] = reduce<Extreme<Order, std::int32_t>>;
  row[static_cast<int>(DType::u8)] = reduce<Extreme<Order, std::uint8_t>>;
  row[static_cast<int>(DType::b8)] = reduce<Extreme<Order, std::uint8_t>>;
}

}  // namespace

void fill_reduce_extreme(ReduceTable& t) {
  fill<Largest>(t.max);
  fill<Smallest>(t.min);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
