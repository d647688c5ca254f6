// How much boxes have in common, in double.
#pragma once
#include "kernels/detect.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

struct Box {
  double x1, y1, x2, y2, area;
};
template <class T>
LAMINA_INLINE Box box_of(const T* p) {
  Box b{p[0], p[1], p[2], p[3], 0};
  b.area = max(b.x2 - b.x1, 0.) * max(b.y2 - b.y1, 0.);
  return b;
}

template <class V>
LAMINA_INLINE V overlap(V x1, V y1, V x2, V y2, V area, V u1, V v1, V u2, V v2, V other) {
  const V common = max(min(x2, u2) - max(x1, u1), V(0)) * max(min(y2, v2) - max(y1, v1), V(0));
  const V all = area + other - common;
  return select(all > V(0), common / all, V(0));
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
