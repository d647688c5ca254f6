// Running sums and products, and the gradients that need running products. All are one walk along a row; rows are
// walked by different threads, and a long running sum is cut: first the sums of its chunks, then every chunk from its
// offset.
#include "cpu/elementwise_move.h"
#include "cpu/reduce_driver.h"
#include "cpu/reduce_lanes.h"
#include "cpu/reduce_strips.h"
#include "cpu/reduce_tile.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Plus {
  template <class A>
  static LAMINA_INLINE A join(A a, A b) {
    return a + b;
  }
  static constexpr int neutral = 0;
};
struct Times {
  template <class A>
  static LAMINA_INLINE A join(A a, A b) {
    return a * b;
  }
  static constexpr int neutral = 1;
};

// What a scan of In carries along: wider than the elements, so that rounding does not pile up; integers wrap around.
template <class In>
using Carry = std::conditional_t<kIsFloating<In>, double, std::uint64_t>;

// out[i] = carry ∘ x[0] ∘ … ∘ x[i]. Four elements are joined among themselves first: the carry waits for one operation
// in four.
template <class Op, class In>
Carry<In> scan_run(const In* x, In* out, std::int64_t n, std::int64_t step, Carry<In> carry) {
  using A = Carry<In>;
  const auto at = [x, step](std::int64_t i) { return static_cast<A>(widen(x[i * step])); };
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const A a = at(i), b = at(i + 1), c = at(i + 2), d = at(i + 3);
    const A ab = Op::join(a, b), cd = Op::join(c, d);
    out[i * step] = convert<In>(Op::join(carry, a));
    out[(i + 1) * step] = convert<In>(Op::join(carry, ab));
    out[(i + 2) * step] = convert<In>(Op::join(carry, Op::join(ab, c)));
    carry = Op::join(carry, Op::join(ab, cd));
    out[(i + 3) * step] = convert<In>(carry);
  }
  for (; i < n; ++i) {
    carry = Op::join(carry, at(i));
    out[i * step] = convert<In>(carry);
  }
  return carry;
}
template <class Op, class In>
Carry<In> join_run(const In* x, std::int64_t n, std::int64_t step) {
  using A = Carry<In>;
  A a[4] = {Op::neutral, Op::neutral, Op::neutral, Op::neutral};
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; ++k) a[k] = Op::join(a[k], static_cast<A>(widen(x[(i + k) * step])));
  for (; i < n; ++i) a[0] = Op::join(a[0], static_cast<A>(widen(x[i * step])));
  return Op::join(Op::join(a[0], a[1]), Op::join(a[2], a[3]));
}

template <class Op, class In>
void scan_columns(const In* x, In* out, const Along& s, std::int64_t step, std::int64_t columns) {
  alignas(64) Carry<In> carry[kColumns];
  for (std::int64_t c = 0; c < columns; ++c) carry[c] = Op::neutral;
  for (std::int64_t r = 0; r < s.length; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      carry[c] = Op::join(carry[c], static_cast<Carry<In>>(widen(x[r * step + c])));
      out[r * step + c] = convert<In>(carry[c]);
    }
}

// A vector of the tile's columns, in place.
template <class Op, class T>
LAMINA_INLINE void scan_lanes(T* x, std::int64_t n, std::int64_t step) {
  constexpr int kParts = Vec<T>::width / Vec<double>::width;
  Vec<double> carry[kParts], part[kParts];
#pragma GCC unroll 2
  for (Vec<double>& c : carry) c = Vec<double>(Op::neutral);
  for (std::int64_t i = 0; i < n; ++i, x += step) {
    if constexpr (std::is_same_v<T, float>)
      widen(Vec<T>::load(x), part);
    else
      part[0] = Vec<T>::load(x);
#pragma GCC unroll 2
    for (int k = 0; k < kParts; ++k) carry[k] = Op::join(carry[k], part[k]);
    if constexpr (std::is_same_v<T, float>)
      narrow(carry).store(x);
    else
      carry[0].store(x);
  }
}

// Contiguous rows, many at once: as the columns of a tile.
template <class Op, class In>
void scan_short_rows(const In* x, In* out, const Along& s, bool reverse) {
  const std::int64_t n = s.length, start = reverse ? (n - 1) * kTileRows : 0, step = reverse ? -kTileRows : kTileRows;
  parallel_for(s.outer, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
    alignas(64) In tile[kTile];
    for (std::int64_t row = begin; row < end; row += kTileRows) {
      const std::int64_t rows = smaller(kTileRows, end - row);
      turn_into_tile(x + row * n, n, rows, n, (s.outer - row) * n, tile);
      for (std::int64_t c = 0; c < rows; c += Vec<In>::width) scan_lanes<Op>(tile + start + c, n, step);
      turn_from_tile(tile, rows, n, out + row * n);
    }
  });
}

// `reverse`: from the last element to the first. `scratch` has room for one Carry a chunk of kRowChunk elements.
template <class Op, class In>
void scan(Along s, bool reverse, const void* input, void* output, void* scratch) {
  if constexpr (Real<In>)
    if (s.inner == 1 && s.length <= kShortRow && s.outer > 1)
      return scan_short_rows<Op>(static_cast<const In*>(input), static_cast<In*>(output), s, reverse);
  const std::int64_t n = s.length, step = reverse ? -s.inner : s.inner, start = reverse ? (n - 1) * s.inner : 0;
  const In* x = static_cast<const In*>(input) + start;
  In* out = static_cast<In*>(output) + start;
  if (s.inner > 1)
    return for_each_strip(
        s, [&](std::int64_t at, std::int64_t columns) { scan_columns<Op>(x + at, out + at, s, step, columns); });
  if (!scan_in_two_steps(s))
    return parallel_for(s.outer, grain_for(n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) scan_run<Op>(x + o * n, out + o * n, n, step, Carry<In>(Op::neutral));
    });
  const std::int64_t cuts = (n + kRowChunk - 1) / kRowChunk;
  auto* carries = static_cast<Carry<In>*>(scratch);
  parallel_for(s.outer * cuts, 1, [&](std::int64_t t, std::int64_t) {
    const std::int64_t first = t % cuts * kRowChunk, at = t / cuts * n + first * step;
    carries[t] = join_run<Op>(x + at, smaller(kRowChunk, n - first), step);
  });
  for (std::int64_t o = 0; o < s.outer; ++o) {
    Carry<In> before = Op::neutral;
    for (std::int64_t c = 0; c < cuts; ++c) {
      const Carry<In> here = carries[o * cuts + c];
      carries[o * cuts + c] = before;
      before = Op::join(before, here);
    }
  }
  parallel_for(s.outer * cuts, 1, [&](std::int64_t t, std::int64_t) {
    const std::int64_t first = t % cuts * kRowChunk, at = t / cuts * n + first * step;
    scan_run<Op>(x + at, out + at, smaller(kRowChunk, n - first), step, carries[t]);
  });
}

// The gradient of y = cumprod(x) is dx[k] = y[k - 1] s[k] with s[k] = dy[k] + x[k + 1] s[k + 1]: no division, so that
// zeros are like any other number.
template <class In>
void cumprod_grad(Along s, const void* input, const void* output, const void* out_grad, void* in_grad) {
  const In *x = static_cast<const In*>(input), *y = static_cast<const In*>(output),
           *dy = static_cast<const In*>(out_grad);
  In* dx = static_cast<In*>(in_grad);
  for_each_strip(s, [&](std::int64_t first, std::int64_t columns) {
    alignas(64) double sums[kColumns];
    for (std::int64_t c = 0; c < columns; ++c) sums[c] = 0;
    for (std::int64_t r = s.length - 1; r >= 0; --r)
      for (std::int64_t c = 0, i = first + r * s.inner; c < columns; ++c, ++i) {
        const double next = r + 1 < s.length ? static_cast<double>(widen(x[i + s.inner])) : 0.0;
        const double before = r > 0 ? static_cast<double>(widen(y[i - s.inner])) : 1.0;
        sums[c] = static_cast<double>(widen(dy[i])) + (r + 1 < s.length ? next * sums[c] : 0.0);
        dx[i] = convert<In>(before * sums[c]);
      }
  });
}

// The gradient of a product is dy · y / x or, where that cannot be told from y, dy times the product of what stands
// before and what stands after.
template <class In>
void prod_grad(Along s, const void* input, const void* output, const void* out_grad, void* in_grad) {
  const In *x = static_cast<const In*>(input), *y = static_cast<const In*>(output),
           *dy = static_cast<const In*>(out_grad);
  In* dx = static_cast<In*>(in_grad);
  for_each_strip(s, [&](std::int64_t first, std::int64_t columns) {
    const std::int64_t outer = first / (s.length * s.inner), y_first = outer * s.inner + first % s.inner;
    for (std::int64_t c = 0; c < columns; ++c) {
      const double product = widen(y[y_first + c]), g = widen(dy[y_first + c]);
      const In* from = x + first + c;
      In* to = dx + first + c;
      if (product != 0 && !isinf(product)) {
        for (std::int64_t i = 0; i < s.length; ++i)
          to[i * s.inner] = convert<In>(g * product / widen(from[i * s.inner]));
        continue;
      }
      double before = 1, after = g;
      for (std::int64_t i = 0; i < s.length; ++i) {
        to[i * s.inner] = convert<In>(before);
        before *= widen(from[i * s.inner]);
      }
      for (std::int64_t i = s.length - 1; i >= 0; --i) {
        to[i * s.inner] = convert<In>(after * widen(to[i * s.inner]));
        after *= widen(from[i * s.inner]);
      }
    }
  });
}

template <class In>
void fill(ReduceTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.cumsum[i] = scan<Plus, In>;
  t.cumprod[i] = scan<Times, In>;
  if constexpr (kIsFloating<In>) {
    t.cumprod_grad[i] = cumprod_grad<In>;
    t.prod_grad[i] = prod_grad<In>;
  }
}

}  // namespace

void fill_reduce_scan(ReduceTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill<float16>(t, DType::f16);
  fill<bfloat16>(t, DType::bf16);
  fill<std::int64_t>(t, DType::i64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
