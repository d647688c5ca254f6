// Max pooling of a plane to half its height and width: windows of 2 × 2 that do not touch.
#pragma once
#include "cpu/pool_window.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
struct Largest {
  Vec<T> value, position;
};
// Of the four places of a window, line by line. Without `kept` the position is not told.
template <bool kept, class T>
LAMINA_INLINE Largest<T> largest_of(Vec<T> a, Vec<T> b, Vec<T> c, Vec<T> d) {
  if constexpr (!kept) return {maximum(maximum(a, b), maximum(c, d)), Vec<T>(T(0))};
  Largest<T> best{a, Vec<T>(T(0))};
  const auto challenge = [&](Vec<T> v, T place) __attribute__((always_inline)) {
    const Mask<T> won = beats(v, best.value);
    best.value = select(won, v, best.value);
    best.position = select(won, Vec<T>(place), best.position);
  };
  challenge(b, 1);
  challenge(c, 2);
  challenge(d, 3);
  return best;
}

template <class T, bool kept>
LAMINA_INLINE void max_two_by_two(const Pool& p, const T* x, T* y, std::uint8_t* positions) {
  using V = Vec<T>;
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  for (std::int64_t z = 0; z < p.axis[0].out; ++z)
    for (std::int64_t o = 0; o < h.out; ++o, y += w.out, positions += kept ? w.out : 0) {
      const T *upper = x + (z * h.in + 2 * o) * w.in, *lower = upper + w.in;
      for_vectors<V::width>(
          w.out, [&](std::int64_t i, int lanes) __attribute__((always_inline)) {
            V a, b, c, d;
            load_pairs(upper + 2 * i, lanes, a, b);
            load_pairs(lower + 2 * i, lanes, c, d);
            const Largest<T> best = largest_of<kept>(a, b, c, d);
            store(best.value, y + i, lanes);
            if constexpr (kept) to_bytes(best.position, positions + i, lanes);
          });
    }
}

// The same for windows that fill no vector: zeros, then one element to each.
template <class T>
LAMINA_INLINE void max_grad_of_few(const Pool& p, const T* dy, const std::uint8_t* positions, T* dx) {
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  const std::int64_t offset[] = {0, 1, w.in, w.in + 1, 0};
  __builtin_memset(dx, 0, static_cast<std::size_t>(plane_in(p)) * sizeof(T));
  for (std::int64_t z = 0; z < p.axis[0].out; ++z)
    for (std::int64_t o = 0; o < h.out; ++o, dy += w.out, positions += w.out) {
      T* const upper = dx + (z * h.in + 2 * o) * w.in;
      for (std::int64_t i = 0; i < w.out; ++i) upper[2 * i + offset[positions[i]]] = positions[i] < 4 ? dy[i] : T(0);
    }
}

// Every element of dx is written once, in order; a fifth position puts zeros into all four places.
template <class T>
LAMINA_INLINE void max_grad_two_by_two(const Pool& p, const T* dy, const std::uint8_t* positions, T* dx) {
  using V = Vec<T>;
  const PoolAxis &h = p.axis[1], &w = p.axis[2];
  if (w.out < V::width) return max_grad_of_few(p, dy, positions, dx);
  for (std::int64_t z = 0; z < p.axis[0].out; ++z) {
    for (std::int64_t o = 0; o < h.out; ++o, dy += w.out, positions += w.out) {
      T *upper = dx + (z * h.in + 2 * o) * w.in, *lower = upper + w.in;
      for_vectors<V::width>(
          w.out, [&](std::int64_t i, int lanes) __attribute__((always_inline)) {
            const V g = load(dy + i, lanes), place = from_bytes<T>(positions + i, lanes);
            const auto at = [&](T k) { return select(place == V(k), g, V(0)); };
            store_pairs(at(0), at(1), upper + 2 * i, lanes);
            store_pairs(at(2), at(3), lower + 2 * i, lanes);
          });
      for (std::int64_t i = 2 * w.out; i < w.in; ++i) upper[i] = lower[i] = 0;
    }
    for (std::int64_t i = (z * h.in + 2 * h.out) * w.in; i < (z + 1) * h.in * w.in; ++i) dx[i] = 0;
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
