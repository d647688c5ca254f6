// Resizing by the nearest element, or by blends of the two nearest along each dimension.
#include "cpu/pool_window.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Outputs of a row whose sources lie within one run: begin and end, and the sources relative to `left`.
template <class T>
struct Columns {
  std::int64_t begin, end, left, right;
  std::int32_t near[kSpan], next[kSpan];
  T far[kSpan];

  Columns(const ResizeAxis& a, std::int64_t first) : begin(first), end(first) {
    left = right = source_of(a, first).near;
    for (; end < a.out && end - begin < kSpan; ++end) {
      const Source s = source_of(a, end);
      if (s.next + 1 - left > kSpan) break;
      right = larger(right, s.next + 1);
      near[end - begin] = static_cast<std::int32_t>(s.near - left);
      next[end - begin] = static_cast<std::int32_t>(s.next - left);
      far[end - begin] = static_cast<T>(s.far);
    }
  }
};

// before(plane) once for each plane, then f(plane, depth, height, columns, output row) for each row of a plane's
// outputs, a run of columns at a time.
template <class T, class Before, class F>
LAMINA_INLINE void for_rows(const Resize& r, Before before, F f) {
  const std::int64_t rows = r.axis[1].out, width = r.axis[2].out;
  parallel_for(r.planes, planes_of_cut(plane_in(r), plane_out(r)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) before(plane);
    for (std::int64_t column = 0; column < width;) {
      const Columns<T> columns(r.axis[2], column);
      for (std::int64_t plane = begin; plane < end; ++plane)
        for (std::int64_t od = 0; od < r.axis[0].out; ++od)
          for (std::int64_t oh = 0; oh < rows; ++oh)
            f(plane, source_of(r.axis[0], od), source_of(r.axis[1], oh), columns,
              ((plane * r.axis[0].out + od) * rows + oh) * width + column);
      column = columns.end;
    }
  });
}

template <class T>
void nearest(Resize r, const void* in, void* out) {
  const auto* x = static_cast<const T*>(in);
  auto* y = static_cast<T*>(out);
  for_rows<T>(
      r, [](std::int64_t) {},
      [&](std::int64_t plane, Source d, Source h, const Columns<T>& c, std::int64_t to) {
        const T* row = x + ((plane * r.axis[0].in + d.near) * r.axis[1].in + h.near) * r.axis[2].in + c.left;
        for (std::int64_t i = 0; i < c.end - c.begin; ++i) y[to + i] = row[c.near[i]];
      });
}

// Each element of dx sums the gradients of the outputs that read it.
template <class T>
void nearest_grad(Resize r, const void* in, void* out) {
  const auto* dy = static_cast<const T*>(in);
  auto* dx = static_cast<T*>(out);
  const std::int64_t elements = plane_in(r);
  for_rows<T>(
      r,
      [&](std::int64_t plane) {
        __builtin_memset(dx + plane * elements, 0, static_cast<std::size_t>(elements) * sizeof(T));
      },
      [&](std::int64_t plane, Source d, Source h, const Columns<T>& c, std::int64_t from) {
        T* row = dx + ((plane * r.axis[0].in + d.near) * r.axis[1].in + h.near) * r.axis[2].in + c.left;
        for (std::int64_t i = 0; i < c.end - c.begin; ++i) row[c.near[i]] += dy[from + i];
      });
}

// The rows that an output row is a blend of, with their parts; those without a part are left out.
template <class T, class F>
LAMINA_INLINE void for_parts(const Resize& r, T* plane, const Source& d, const Source& h, F f) {
  for (int k = 0; k < 4; ++k) {
    const double part = (k & 2 ? d.far : 1 - d.far) * (k & 1 ? h.far : 1 - h.far);
    if (part == 0) continue;
    f(plane + ((k & 2 ? d.next : d.near) * r.axis[1].in + (k & 1 ? h.next : h.near)) * r.axis[2].in, part);
  }
}

template <class T>
void linear(Resize r, const void* in, void* out) {
  using V = Vec<T>;
  auto* y = static_cast<T*>(out);
  const std::int64_t elements = plane_in(r);
  for_rows<T>(
      r, [](std::int64_t) {},
      [&](std::int64_t plane, const Source& d, const Source& h, const Columns<T>& c, std::int64_t to) {
        T line[kSpan];
        bool first = true;
        for_parts(r, static_cast<const T*>(in) + plane * elements, d, h, [&](const T* row, double part) {
          const V by(static_cast<T>(part));
          for_vectors<V::width>(c.right - c.left, [&](std::int64_t i, int lanes) {
            const V v = load(row + c.left + i, lanes) * by;
            store(first ? v : v + load(line + i, lanes), line + i, lanes);
          });
          first = false;
        });
        for (std::int64_t i = 0; i < c.end - c.begin; ++i) {
          const T near = line[c.near[i]], next = line[c.next[i]];
          y[to + i] = near + c.far[i] * (next - near);
        }
      });
}

template <class T>
void linear_grad(Resize r, const void* in, void* out) {
  using V = Vec<T>;
  const auto* dy = static_cast<const T*>(in);
  auto* dx = static_cast<T*>(out);
  const std::int64_t elements = plane_in(r);
  for_rows<T>(
      r,
      [&](std::int64_t plane) {
        __builtin_memset(dx + plane * elements, 0, static_cast<std::size_t>(elements) * sizeof(T));
      },
      [&](std::int64_t plane, const Source& d, const Source& h, const Columns<T>& c, std::int64_t from) {
        T line[kSpan];
        for (std::int64_t i = 0; i < c.right - c.left; ++i) line[i] = 0;
        for (std::int64_t i = 0; i < c.end - c.begin; ++i) {
          const T g = dy[from + i], far = g * c.far[i];
          line[c.near[i]] += g - far;
          line[c.next[i]] += far;
        }
        for_parts(r, dx + plane * elements, d, h, [&](T* row, double part) {
          const V by(static_cast<T>(part));
          for_vectors<V::width>(c.right - c.left, [&](std::int64_t i, int lanes) {
            store(fma(load(line + i, lanes), by, load(row + c.left + i, lanes)), row + c.left + i, lanes);
          });
        });
      });
}

template <class T>
void fill(PoolTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.nearest[i] = nearest<T>;
  t.nearest_grad[i] = nearest_grad<T>;
  t.linear[i] = linear<T>;
  t.linear_grad[i] = linear_grad<T>;
}

}  // namespace

void fill_pool_resize(PoolTable& t) {
  fill<float>(t, DType::f32);
  fill<double>(t, DType::f64);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
