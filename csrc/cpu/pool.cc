// Max pooling.
#include "kernels/pool.h"

#include "cpu/pool_halves.h"
#include "cpu/pool_line.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

bool is_two_by_two(const Pool& p) {
  const PoolAxis &d = p.axis[0], &h = p.axis[1], &w = p.axis[2];
  const auto halves = [](const PoolAxis& a) {
    return a.kernel == 2 && a.stride == 2 && a.padding == 0 && a.dilation == 1 && 2 * a.out <= a.in;
  };
  return d.kernel == 1 && d.stride == 1 && d.padding == 0 && halves(h) && halves(w);
}

// The best so far of each output of a run and its position lie in memory, and one row of the windows after the other
// challenges them.
template <class T>
void max_row(const Pool& p, const T* x, std::int64_t od, std::int64_t oh, T* y, std::uint8_t* positions) {
  using V = Vec<T>;
  const PoolAxis& row = p.axis[2];
  const Window d = window_of(p.axis[0], od), h = window_of(p.axis[1], oh);
  const T lowest = static_cast<T>(MaxJoin::neutral);
  T padded[kSpan], best[kSpan], place[kSpan];
  for (std::int64_t begin = 0; begin < row.out;) {
    const RowRun r = run_from(row, begin);
    const std::int64_t n = r.end - r.begin;
    for (std::int64_t i = 0; i < n; ++i) {
      best[i] = lowest;
      place[i] = static_cast<T>((d.first * p.axis[1].kernel + h.first) * row.kernel);
    }
    for (std::int64_t i = 0; i < n && (begin + i) * row.stride < row.padding; ++i)
      place[i] += static_cast<T>(window_of(row, begin + i).first);
    const bool inside = r.left == r.from && r.right == r.to;
    for (std::int64_t i = r.left; i < r.from; ++i) padded[i - r.left] = lowest;
    for (std::int64_t i = r.to; i < r.right; ++i) padded[i - r.left] = lowest;
    std::int64_t plane_row = d.first * p.axis[1].kernel;
    for (std::int64_t z = d.begin; z < d.end; z += d.step, plane_row += p.axis[1].kernel) {
      std::int64_t first = (plane_row + h.first) * row.kernel;
      for (std::int64_t v = h.begin; v < h.end; v += h.step, first += row.kernel) {
        const T* line = x + (z * p.axis[1].in + v) * row.in + r.left;
        if (!inside) {
          for_vectors<V::width>(r.to - r.from, [&](std::int64_t i, int lanes) {
            store(load(line + (r.from - r.left) + i, lanes), padded + (r.from - r.left) + i, lanes);
          });
          line = padded;
        }
        for_vectors<V::width>(n, [&](std::int64_t i, int lanes) {
          V top = load(best + i, lanes), where = load(place + i, lanes);
          for (std::int64_t k = 0; k < row.kernel; ++k) {
            const V v = load_strided(line + i * row.stride + k * row.dilation, row.stride, lanes);
            const Mask<T> won = beats(v, top);
            top = select(won, v, top);
            where = select(won, V(static_cast<T>(first + k)), where);
          }
          store(top, best + i, lanes);
          store(where, place + i, lanes);
        });
      }
    }
    for_vectors<V::width>(n, [&](std::int64_t i, int lanes) {
      store(load(best + i, lanes), y + begin + i, lanes);
      to_bytes(load(place + i, lanes), positions + begin + i, lanes);
    });
    begin = r.end;
  }
}

template <class T>
void max_forward(Pool p, const void* in, void* out, std::uint8_t* positions) {
  const std::int64_t from = plane_in(p), to = plane_out(p), rows = p.axis[1].out, width = p.axis[2].out;
  const bool two_by_two = is_two_by_two(p);
  for_planes(p, [&](std::int64_t plane) {
    const T* x = static_cast<const T*>(in) + plane * from;
    T* y = static_cast<T*>(out) + plane * to;
    std::uint8_t* kept = positions ? positions + plane * to : nullptr;
    if (two_by_two) return kept ? max_two_by_two<T, true>(p, x, y, kept) : max_two_by_two<T, false>(p, x, y, kept);
    for (std::int64_t od = 0; od < p.axis[0].out; ++od)
      for (std::int64_t oh = 0; oh < rows; ++oh, y += width) {
        if (kept) {
          max_row(p, x, od, oh, y, kept);
          kept += width;
          continue;
        }
        for_joined<MaxJoin>(p, x, od, oh, [&](std::int64_t ow, int lanes, Vec<T> v) { store(v, y + ow, lanes); });
      }
  });
}

template <class T>
void max_backward(Pool p, const void* gradient, const std::uint8_t* positions, void* out) {
  const PoolAxis &d = p.axis[0], &h = p.axis[1], &w = p.axis[2];
  const std::int64_t in = plane_in(p), windows = plane_out(p);
  const bool two_by_two = is_two_by_two(p);
  std::int64_t offset[kPositions];  // of a window's places from its first
  for (std::int64_t k = 0; !two_by_two && k < d.kernel * h.kernel * w.kernel; ++k) {
    const std::int64_t row = k / w.kernel;
    offset[k] = (row / h.kernel * d.dilation * h.in + row % h.kernel * h.dilation) * w.in + k % w.kernel * w.dilation;
  }
  for_planes(p, [&](std::int64_t plane) {
    const T* dy = static_cast<const T*>(gradient) + plane * windows;
    const std::uint8_t* position = positions + plane * windows;
    T* dx = static_cast<T*>(out) + plane * in;
    if (two_by_two) return max_grad_two_by_two(p, dy, position, dx);
    __builtin_memset(dx, 0, static_cast<std::size_t>(in) * sizeof(T));
    for (std::int64_t od = 0; od < d.out; ++od)
      for (std::int64_t oh = 0; oh < h.out; ++oh) {
        std::int64_t first = ((od * d.stride - d.padding) * h.in + oh * h.stride - h.padding) * w.in - w.padding;
        for (std::int64_t ow = 0; ow < w.out; ++ow, first += w.stride) dx[first + offset[*position++]] += *dy++;
      }
  });
}

template <class T>
void indexed_max(Pool p, const void* in, void* out, std::int64_t* indices) {
  const std::int64_t from = plane_in(p), to = plane_out(p);
  for_planes(p, [&](std::int64_t plane) {
    const T* x = static_cast<const T*>(in) + plane * from;
    T* y = static_cast<T*>(out) + plane * to;
    std::int64_t* index = indices + plane * to;
    for (std::int64_t od = 0; od < p.axis[0].out; ++od)
      for (std::int64_t oh = 0; oh < p.axis[1].out; ++oh)
        for (std::int64_t ow = 0; ow < p.axis[2].out; ++ow) {
          const Window d = window_of(p.axis[0], od), h = window_of(p.axis[1], oh), w = window_of(p.axis[2], ow);
          std::int64_t where = (d.begin * p.axis[1].in + h.begin) * p.axis[2].in + w.begin;
          T best = static_cast<T>(MaxJoin::neutral);
          for (std::int64_t z = d.begin; z < d.end; z += d.step)
            for (std::int64_t v = h.begin; v < h.end; v += h.step)
              for (std::int64_t u = w.begin; u < w.end; u += w.step) {
                const std::int64_t i = (z * p.axis[1].in + v) * p.axis[2].in + u;
                if (beats(x[i], best)) best = x[i], where = i;
              }
          *y++ = best;
          *index++ = where;
        }
  });
}

template <class T>
void indexed_max_backward(Pool p, const void* gradient, const std::int64_t* indices, void* out) {
  const std::int64_t in = plane_in(p), windows = plane_out(p);
  for_planes(p, [&](std::int64_t plane) {
    T* dx = static_cast<T*>(out) + plane * in;
    __builtin_memset(dx, 0, static_cast<std::size_t>(in) * sizeof(T));
    for (std::int64_t i = plane * windows; i < (plane + 1) * windows; ++i)
      dx[indices[i]] += static_cast<const T*>(gradient)[i];
  });
}

template <class T>
void fill(PoolTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.max[i] = max_forward<T>;
  t.max_grad[i] = max_backward<T>;
  t.indexed_max[i] = indexed_max<T>;
  t.indexed_max_grad[i] = indexed_max_backward<T>;
}

}  // namespace

void fill_pool_average(PoolTable& t);
void fill_pool_resize(PoolTable& t);

void fill_pool(PoolTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
  fill_pool_average(t);
  fill_pool_resize(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
