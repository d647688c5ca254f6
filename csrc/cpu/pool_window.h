// Rows of elements that are a stride apart.
#pragma once
#include "core/parallel.h"
#include "kernels/pool_formulas.h"
#include "simd/interleave.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Planes that one thread takes at once.
constexpr std::int64_t kPoolCut = 16384;  // elements
LAMINA_INLINE std::int64_t planes_of_cut(std::int64_t in, std::int64_t out) {
  return larger(1, kPoolCut / larger(1, in + out));
}
template <class F>
LAMINA_INLINE void for_planes(const Pool& p, F f) {
  parallel_for(p.planes, planes_of_cut(plane_in(p), plane_out(p)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) f(plane);
  });
}

// f(i, lanes) for whole vectors with lanes = W, then for what is left.
template <int W, class F>
LAMINA_INLINE void for_vectors(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) f(i, W);
  if (i < n) f(i, static_cast<int>(n - i));
}
template <class T>
LAMINA_INLINE Vec<T> load(const T* p, int lanes) {
  return lanes == Vec<T>::width ? Vec<T>::load(p) : Vec<T>::load(p, lanes);
}
template <class T>
LAMINA_INLINE void store(Vec<T> v, T* p, int lanes) {
  lanes == Vec<T>::width ? v.store(p) : v.store(p, lanes);
}

// p[0], p[1] … to 2 · lanes elements as even and odd ones.
template <class T>
LAMINA_INLINE void load_pairs(const T* p, int lanes, Vec<T>& even, Vec<T>& odd) {
  constexpr int W = Vec<T>::width;
  const int rest = 2 * (lanes & (W - 1)) - W;  // the mask tells the compiler that it is less than a vector
  if (lanes == W)
    deinterleave(Vec<T>::load(p), Vec<T>::load(p + W), even, odd);
  else
    deinterleave(Vec<T>::load(p, rest < 0 ? rest + W : W), rest > 0 ? Vec<T>::load(p + W, rest) : Vec<T>(0), even, odd);
}
template <class T>
LAMINA_INLINE void store_pairs(Vec<T> even, Vec<T> odd, T* p, int lanes) {
  constexpr int W = Vec<T>::width;
  Vec<T> a, b;
  interleave(even, odd, a, b);
  const int rest = 2 * (lanes & (W - 1)) - W;  // the mask tells the compiler that it is less than a vector
  if (lanes == W) {
    a.store(p);
    b.store(p + W);
  } else {
    a.store(p, rest < 0 ? rest + W : W);
    if (rest > 0) b.store(p + W, rest);
  }
}

// p[0], p[stride] …; nothing beyond the last one is read.
template <class T>
LAMINA_INLINE Vec<T> load_strided(const T* p, std::int64_t stride, int lanes) {
  constexpr int W = Vec<T>::width;
  if (stride == 1) return load(p, lanes);
  if (stride == 2 && lanes == W && W > 1) {
    Vec<T> even, odd;
    deinterleave(Vec<T>::load(p), Vec<T>::load(p + W, W - 1), even, odd);
    return even;
  }
  T apart[W];
  for (int i = 0; i < W; ++i) apart[i] = i < lanes ? p[i * stride] : T(0);
  return Vec<T>::load(apart);
}

// A run of outputs of a row, and the elements that their windows reach: from `left`, maybe in the padding, to below
// `right`; those inside the row begin at `from` and end at `to`.
constexpr std::int64_t kSpan = 1024;  // elements at most
struct RowRun {
  std::int64_t begin, end;  // outputs
  std::int64_t left, right, from, to;
};
LAMINA_INLINE std::int64_t reach(const PoolAxis& a) { return (a.kernel - 1) * a.dilation + 1; }
// Does a window fit into a run?
LAMINA_INLINE bool fits_run(const PoolAxis& a) { return a.kernel > 0 && reach(a) <= kSpan; }
LAMINA_INLINE RowRun run_from(const PoolAxis& a, std::int64_t begin) {
  const std::int64_t end = smaller(a.out, begin + 1 + (kSpan - reach(a)) / a.stride);
  const std::int64_t left = begin * a.stride - a.padding, right = (end - 1) * a.stride - a.padding + reach(a);
  const std::int64_t from = larger(left, 0);
  return {begin, end, left, right, from, larger(from, smaller(right, a.in))};
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
