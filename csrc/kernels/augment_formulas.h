// Where a pixel of an augmented image comes from, and how it is stored.
#pragma once
#include "kernels/augment.h"
#include "simd/interleave.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class In>
LAMINA_INLINE In stored(float v) {
  if constexpr (std::is_same_v<In, float>)
    return v;
  else
    return to_byte(v);
}

// One coordinate of the input for pixel (u, v) of the output; m: a row of its matrix.
template <class V>
LAMINA_INLINE V mapped(const float* m, V u, float v) {
  return fma(V(m[0]), u, V(m[1] * v + m[2]));
}

// The four pixels around a place, by their numbers, and their parts in what is there; those outside have part 0, and
// the image's border counts in their place. Pixels are counted in float32, which can do so up to 2^24.
template <class V>
struct Blend {
  V at[4], part[4], outside;

  LAMINA_INLINE Blend(const Sampling& s, V x, V y) {
    const V width(static_cast<float>(s.in_width)), height(static_cast<float>(s.in_height)), one(1), zero(0);
    const V last_column(static_cast<float>(s.in_width - 1)), last_line(static_cast<float>(s.in_height - 1));
    if (s.edge) x = max(min(last_column, x), zero), y = max(min(last_line, y), zero);
    const auto near = (x > V(-1)) & (x < width) & (y > V(-1)) & (y < height);  // NaN is far
    x = select(near, x, zero), y = select(near, y, zero);
    const V left = floor(x), top = floor(y), far_x = x - left, far_y = y - top;
    const V w0 = select(near & (left >= zero), one - far_x, zero),
            w1 = select(near & (left < last_column), far_x, zero), h0 = select(top >= zero, one - far_y, zero),
            h1 = select(top < last_line, far_y, zero);
    const V c0 = max(left, zero), c1 = min(left + one, last_column);
    const V r0 = max(top, zero) * width, r1 = min(top + one, last_line) * width;
    at[0] = r0 + c0, at[1] = r0 + c1, at[2] = r1 + c0, at[3] = r1 + c1;
    part[0] = w0 * h0, part[1] = w1 * h0, part[2] = w0 * h1, part[3] = w1 * h1;
    outside = (one - (w0 + w1) * (h0 + h1)) * V(s.fill);
  }
};

// An image that is only moved by whole pixels and mirrored: column and row are c + along · u and r + down · v.
struct Move {
  std::int64_t c, r, along, down;
  bool whole;

  LAMINA_INLINE Move(const Sampling& s, std::int64_t image) {
    const float* m = s.matrices + image * 6;
    const float far = static_cast<float>(1 << 24);
    whole = !s.shifts && !s.edge && abs(m[0]) == 1 && abs(m[4]) == 1 && m[1] == 0 && m[3] == 0 && m[2] == floor(m[2]) &&
            m[5] == floor(m[5]) && abs(m[2]) < far && abs(m[5]) < far;
    if (!whole) return;
    along = m[0] > 0 ? 1 : -1, down = m[4] > 0 ? 1 : -1;
    c = static_cast<std::int64_t>(m[2]), r = static_cast<std::int64_t>(m[5]);
  }
};

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
