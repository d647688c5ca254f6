// Windows by halves: the rows of a window are joined element by element into one line, then the elements of each
// window in that line. A sum or maximum over kh · kw elements so costs about kh / stride + kw joins.
#pragma once
#include "cpu/pool_window.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct SumJoin {
  static constexpr double neutral = 0;
  template <class V>
  LAMINA_INLINE V operator()(V a, V b) const {
    return a + b;
  }
};
struct MaxJoin {
  static constexpr double neutral = -HUGE_VAL;
  template <class V>
  LAMINA_INLINE V operator()(V a, V b) const {
    return maximum(a, b);
  }
};

// f(ow, lanes, joined) for all outputs of row (od, oh) of a plane.
template <class Join, class T, class F>
LAMINA_INLINE void for_joined(const Pool& p, const T* x, std::int64_t od, std::int64_t oh, F f) {
  using V = Vec<T>;
  constexpr int W = V::width;
  const Join join;
  const V neutral(static_cast<T>(Join::neutral));
  const PoolAxis& row = p.axis[2];
  const Window d = window_of(p.axis[0], od), h = window_of(p.axis[1], oh);
  T line[kSpan];
  for (std::int64_t begin = 0; begin < row.out;) {
    const RowRun r = run_from(row, begin);
    for (std::int64_t i = r.left; i < r.from; ++i) line[i - r.left] = static_cast<T>(Join::neutral);
    for (std::int64_t i = r.to; i < r.right; ++i) line[i - r.left] = static_cast<T>(Join::neutral);
    for_vectors<W>(r.to - r.from, [&](std::int64_t i, int lanes) {
      V all = neutral;
      for (std::int64_t z = d.begin; z < d.end; z += d.step)
        for (std::int64_t y = h.begin; y < h.end; y += h.step)
          all = join(all, load(x + (z * p.axis[1].in + y) * row.in + r.from + i, lanes));
      store(all, line + (r.from - r.left) + i, lanes);
    });
    for_vectors<W>(r.end - r.begin, [&](std::int64_t i, int lanes) {
      V all = load_strided(line + i * row.stride, row.stride, lanes);
      for (std::int64_t k = 1; k < row.kernel; ++k)
        all = join(all, load_strided(line + i * row.stride + k * row.dilation, row.stride, lanes));
      f(begin + i, lanes, all);
    });
    begin = r.end;
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
