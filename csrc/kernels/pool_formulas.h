// Where windows lie and what their elements come to.
#pragma once
#include "kernels/pool.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

LAMINA_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
LAMINA_INLINE std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// The places begin, begin + step … below end, of which the first is number `first` of the whole window; `padded` counts
// those of the padding too.
struct Window {
  std::int64_t begin, end, step, first, padded;
};
LAMINA_INLINE Window window_of(const PoolAxis& a, std::int64_t o) {
  if (a.kernel == 0) {
    const std::int64_t begin = o * a.in / a.out, end = ((o + 1) * a.in + a.out - 1) / a.out;
    return {begin, end, 1, 0, end - begin};
  }
  const std::int64_t start = o * a.stride - a.padding, last = start + (a.kernel - 1) * a.dilation;
  const std::int64_t first = start < 0 ? (-start + a.dilation - 1) / a.dilation : 0;
  return {start + first * a.dilation, smaller(last + 1, a.in), a.dilation, first,
          smaller(last + 1, a.in + a.padding) - start};
}

LAMINA_INLINE std::int64_t plane_in(const Pool& p) { return p.axis[0].in * p.axis[1].in * p.axis[2].in; }
LAMINA_INLINE std::int64_t plane_out(const Pool& p) { return p.axis[0].out * p.axis[1].out * p.axis[2].out; }

// Like PyTorch: a later element takes the place if it is greater, or NaN.
template <class V>
LAMINA_INLINE MaskFor<V> beats(V later, V best) {
  return (later > best) | isnan(later);
}

LAMINA_INLINE std::int64_t inside(const Window& w) { return (w.end - w.begin + w.step - 1) / w.step; }

// What the sum of a window is divided by.
LAMINA_INLINE double divisor(const Pool& p, const Window& d, const Window& h, const Window& w) {
  const std::int64_t n = p.divisor         ? p.divisor
                         : p.count_padding ? d.padded * h.padded * w.padded
                                           : inside(d) * inside(h) * inside(w);
  return static_cast<double>(n);
}
inline bool is_global(const Pool& p) {
  for (const PoolAxis& a : p.axis)
    if (a.out != 1 || (a.kernel != 0 && (a.kernel != a.in || a.padding || a.dilation != 1))) return false;
  return true;
}

// ---- resizing ----

// Output o is (1 - far) · element `near` + far · element `next`.
struct Source {
  std::int64_t near, next;
  double far;
};
LAMINA_INLINE double place_of(const ResizeAxis& a, std::int64_t o) {
  const double place = (static_cast<double>(o) + a.offset) * a.from / a.to + a.shift;
  return place > 0 ? place : 0;
}
LAMINA_INLINE Source source_of(const ResizeAxis& a, std::int64_t o) {
  const double place = place_of(a, o);
  const std::int64_t near = smaller(static_cast<std::int64_t>(place), a.in - 1);
  return {near, smaller(near + 1, a.in - 1), place - static_cast<double>(near)};
}

LAMINA_INLINE std::int64_t plane_in(const Resize& r) { return r.axis[0].in * r.axis[1].in * r.axis[2].in; }
LAMINA_INLINE std::int64_t plane_out(const Resize& r) { return r.axis[0].out * r.axis[1].out * r.axis[2].out; }

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
