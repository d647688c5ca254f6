// A function of plain numbers applied lane by lane: for rare lanes of a vector function and for functions that are not
// worth vectorising.
#pragma once
#include "simd/math_plain.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T, class F>
LAMINA_INLINE Vec<T> each_lane(Vec<T> x, F f) {
  T lanes[Vec<T>::width];
  x.store(lanes);
  for (T& lane : lanes) lane = f(lane);
  return Vec<T>::load(lanes);
}
template <class T, class F>
LAMINA_INLINE Vec<T> each_lane(Vec<T> x, Vec<T> y, F f) {
  T xs[Vec<T>::width], ys[Vec<T>::width];
  x.store(xs);
  y.store(ys);
  for (int i = 0; i < Vec<T>::width; ++i) xs[i] = f(xs[i], ys[i]);
  return Vec<T>::load(xs);
}

// y, but f(x) in the lanes of m. Not inlined: a slow path must not spoil the registers of the loop around it.
template <class T, class F>
[[gnu::noinline]] LAMINA_DEVICE Vec<T> replace_lanes(Mask<T> m, Vec<T> y, Vec<T> x, F f) {
  T xs[Vec<T>::width], ys[Vec<T>::width];
  uint8_t wanted[Vec<T>::width];
  x.store(xs);
  y.store(ys);
  m.store_bytes(wanted);
  for (int i = 0; i < Vec<T>::width; ++i) {
    if (wanted[i]) ys[i] = f(xs[i]);
  }
  return Vec<T>::load(ys);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
