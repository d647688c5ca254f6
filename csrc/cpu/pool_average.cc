// Average pooling, over windows of fixed size and adaptive ones.
#include "cpu/pool_line.h"
#include "cpu/reduce_lanes.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Is it the same for all outputs?
LAMINA_INLINE bool divides_evenly(const Pool& p) {
  for (const PoolAxis& a : p.axis) {
    const std::int64_t last = (a.out - 1) * a.stride - a.padding + a.kernel;
    if (a.kernel == 0 || last > a.in + (p.count_padding ? a.padding : 0) || (a.padding && !p.count_padding))
      return p.divisor != 0;
  }
  return true;
}

template <class T>
LAMINA_INLINE T sum_of(const T* x, std::int64_t n) {
  using V = Vec<T>;
  double total = 0;
  for (std::int64_t i = 0; i < n; i += kVectorBlock<T>)
    total += sum(join_block<T>(
        x + i, smaller(kVectorBlock<T>, n - i), V(0), [](V v) { return v; }, plus<V>));
  return static_cast<T>(total);
}

// A window of any size: the sum row by row.
template <class T>
LAMINA_INLINE T window_sum(const Pool& p, const T* x, const Window& d, const Window& h, const Window& w) {
  double total = 0;
  for (std::int64_t z = d.begin; z < d.end; ++z)
    for (std::int64_t y = h.begin; y < h.end; ++y) {
      const T* row = x + (z * p.axis[1].in + y) * p.axis[2].in;
      for (std::int64_t u = w.begin; u < w.end; ++u) total += row[u];
    }
  return static_cast<T>(total);
}

// Windows that halve height and width.
bool is_two_by_two(const Pool& p) {
  const auto halves = [](const PoolAxis& a) {
    return a.kernel == 2 && a.stride == 2 && a.padding == 0 && 2 * a.out <= a.in;
  };
  return p.axis[0].in == 1 && p.axis[0].out == 1 && p.axis[0].kernel == 1 && halves(p.axis[1]) && halves(p.axis[2]);
}
template <class T>
LAMINA_INLINE Vec<T> share_of_four(const Pool& p) {
  return static_cast<T>(p.divisor ? 1.0 / static_cast<double>(p.divisor) : 0.25);
}
template <class T>
LAMINA_INLINE void average_two_by_two(const Pool& p, const T* x, T* y) {
  using V = Vec<T>;
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  const V share = share_of_four<T>(p);
  for (std::int64_t o = 0; o < h.out; ++o, x += 2 * w.in, y += w.out)
    for_vectors<V::width>(w.out, [&](std::int64_t i, int lanes) {
      V a, b, c, d;
      load_pairs(x + 2 * i, lanes, a, b);
      load_pairs(x + w.in + 2 * i, lanes, c, d);
      store(((a + b) + (c + d)) * share, y + i, lanes);
    });
}

template <class T>
void average(Pool p, const void* in, void* out) {
  using V = Vec<T>;
  const std::int64_t from = plane_in(p), to = plane_out(p);
  const bool even = divides_evenly(p), whole = is_global(p), by_line = fits_run(p.axis[2]),
             two_by_two = is_two_by_two(p);
  for_planes(p, [&](std::int64_t plane) {
    const T* x = static_cast<const T*>(in) + plane * from;
    T* y = static_cast<T*>(out) + plane * to;
    if (whole) {
      *y = static_cast<T>(sum_of(x, from) / (p.divisor ? static_cast<double>(p.divisor) : static_cast<double>(from)));
      return;
    }
    if (two_by_two) return average_two_by_two(p, x, y);
    for (std::int64_t od = 0; od < p.axis[0].out; ++od)
      for (std::int64_t oh = 0; oh < p.axis[1].out; ++oh, y += p.axis[2].out) {
        const Window d = window_of(p.axis[0], od), h = window_of(p.axis[1], oh);
        if (by_line) {
          const V share(even ? static_cast<T>(1 / divisor(p, d, h, window_of(p.axis[2], 0))) : T(1));
          for_joined<SumJoin>(p, x, od, oh, [&](std::int64_t ow, int lanes, V v) { store(v * share, y + ow, lanes); });
          if (even) continue;
        }
        for (std::int64_t ow = 0; ow < p.axis[2].out; ++ow) {
          const Window w = window_of(p.axis[2], ow);
          y[ow] = static_cast<T>((by_line ? y[ow] : window_sum(p, x, d, h, w)) / divisor(p, d, h, w));
        }
      }
  });
}

// One value goes to four places.
template <class T>
LAMINA_INLINE void spread_two_by_two(const Pool& p, const T* dy, T* dx) {
  using V = Vec<T>;
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  const V share = share_of_four<T>(p);
  for (std::int64_t o = 0; o < h.out; ++o, dy += w.out) {
    T *upper = dx + 2 * o * w.in, *lower = upper + w.in;
    for_vectors<V::width>(w.out, [&](std::int64_t i, int lanes) {
      const V g = load(dy + i, lanes) * share;
      store_pairs(g, g, upper + 2 * i, lanes);
      store_pairs(g, g, lower + 2 * i, lanes);
    });
    for (std::int64_t i = 2 * w.out; i < w.in; ++i) upper[i] = lower[i] = 0;
  }
  for (std::int64_t i = 2 * h.out * w.in; i < h.in * w.in; ++i) dx[i] = 0;
}

// What an output row gives to each place of a row, from `begin` on in a run, is put together once and then added to all
// rows of the windows.
template <class T>
void spread(const Pool& p, const T* dy, T* dx) {
  using V = Vec<T>;
  const PoolAxis& row = p.axis[2];
  T line[kSpan];
  for (std::int64_t od = 0; od < p.axis[0].out; ++od)
    for (std::int64_t oh = 0; oh < p.axis[1].out; ++oh, dy += row.out) {
      const Window d = window_of(p.axis[0], od), h = window_of(p.axis[1], oh);
      for (std::int64_t begin = 0, left, right; begin < row.out;) {
        left = window_of(row, begin).begin;
        std::int64_t next = begin;
        for (right = left; next < row.out; ++next) {
          const Window w = window_of(row, next);
          if (w.end - left > kSpan) break;
          for (std::int64_t u = right; u < w.end; ++u) line[u - left] = 0;
          right = larger(right, w.end);
          const T share = static_cast<T>(dy[next] / divisor(p, d, h, w));
          for (std::int64_t u = w.begin; u < w.end; ++u) line[u - left] += share;
        }
        for (std::int64_t z = d.begin; z < d.end; ++z)
          for (std::int64_t y = h.begin; y < h.end; ++y) {
            T* to = dx + (z * p.axis[1].in + y) * row.in + left;
            for_vectors<V::width>(right - left, [&](std::int64_t i, int lanes) {
              store(load(to + i, lanes) + load(line + i, lanes), to + i, lanes);
            });
          }
        if (next > begin) {
          begin = next;
          continue;
        }
        // A window wider than a run.
        const Window w = window_of(row, begin);
        const T share = static_cast<T>(dy[begin] / divisor(p, d, h, w));
        for (std::int64_t z = d.begin; z < d.end; ++z)
          for (std::int64_t y = h.begin; y < h.end; ++y)
            for (std::int64_t u = w.begin; u < w.end; ++u) dx[(z * p.axis[1].in + y) * row.in + u] += share;
        ++begin;
      }
    }
}

// The same where all windows have one divisor and fit into a run, paddings and all.
template <class T>
void spread_evenly(const Pool& p, const T* dy, T* dx) {
  using V = Vec<T>;
  const PoolAxis& row = p.axis[2];
  const T share =
      static_cast<T>(1 / divisor(p, window_of(p.axis[0], 0), window_of(p.axis[1], 0), window_of(p.axis[2], 0)));
  T line[kSpan];
  for (std::int64_t od = 0; od < p.axis[0].out; ++od)
    for (std::int64_t oh = 0; oh < p.axis[1].out; ++oh, dy += row.out) {
      const Window d = window_of(p.axis[0], od), h = window_of(p.axis[1], oh);
      for (std::int64_t begin = 0; begin < row.out;) {
        const RowRun r = run_from(row, begin);
        for (std::int64_t i = 0; i < r.right - r.left; ++i) line[i] = 0;
        T* at = line;
        for (std::int64_t o = begin; o < r.end; ++o, at += row.stride) {
          const T g = dy[o] * share;
          for (std::int64_t k = 0; k < row.kernel; ++k) at[k] += g;
        }
        for (std::int64_t z = d.begin; z < d.end; ++z)
          for (std::int64_t y = h.begin; y < h.end; ++y) {
            T* to = dx + (z * p.axis[1].in + y) * row.in + r.from;
            const T* add = line + (r.from - r.left);
            for_vectors<V::width>(r.to - r.from, [&](std::int64_t i, int lanes) {
              store(load(to + i, lanes) + load(add + i, lanes), to + i, lanes);
            });
          }
        begin = r.end;
      }
    }
}

template <class T>
void average_grad(Pool p, const void* in, void* out) {
  using V = Vec<T>;
  const std::int64_t to = plane_in(p), from = plane_out(p);
  const bool whole = is_global(p), two_by_two = is_two_by_two(p), even = divides_evenly(p) && fits_run(p.axis[2]);
  for_planes(p, [&](std::int64_t plane) {
    const T* dy = static_cast<const T*>(in) + plane * from;
    T* dx = static_cast<T*>(out) + plane * to;
    if (whole) {
      const V share(static_cast<T>(*dy / (p.divisor ? static_cast<double>(p.divisor) : static_cast<double>(to))));
      for_vectors<V::width>(to, [&](std::int64_t i, int lanes) { store(share, dx + i, lanes); });
      return;
    }
    if (two_by_two) return spread_two_by_two(p, dy, dx);
    __builtin_memset(dx, 0, static_cast<std::size_t>(to) * sizeof(T));
    even ? spread_evenly(p, dy, dx) : spread(p, dy, dx);
  });
}

template <class T>
void fill(PoolTable& t, DType type) {
  t.average[static_cast<int>(type)] = average<T>;
  t.average_grad[static_cast<int>(type)] = average_grad<T>;
}

}  // namespace

void fill_pool_average(PoolTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
