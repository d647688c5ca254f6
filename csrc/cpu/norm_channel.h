// Mean and variance of many elements in one reading, and the gradient of normalising by them.
#pragma once
#include "core/parallel.h"
#include "cpu/reduce_lanes.h"
#include "kernels/norm_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
LAMINA_INLINE Vec<T> load(const T* p, int lanes) {
  return lanes ? Vec<T>::load(p, lanes) : Vec<T>::load(p);
}
template <class T>
LAMINA_INLINE void store(Vec<T> v, T* p, int lanes) {
  lanes ? v.store(p, lanes) : v.store(p);
}
// f(i, lanes): whole vectors with lanes = 0, then what is left.
template <int W, class F>
LAMINA_INLINE void for_vectors(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + W <= n; i += W) f(i, 0);
  if (i < n) f(i, static_cast<int>(n - i));
}

// Of `runs` runs of n elements, `stride` apart.
struct Runs {
  std::int64_t runs, n, stride;
  std::int64_t elements() const { return runs * n; }
};

// Sums of vectors: in a few accumulators, a block of elements at a time, the blocks in double.
constexpr std::int64_t kSummedBlock = 2048;  // elements, or one run if that is less
template <int sums, class T>
struct Accumulators {
  using V = Vec<T>;
  static constexpr int W = V::width, flight = 4;
  V a[sums][flight];

  LAMINA_INLINE Accumulators() {
#pragma GCC unroll 8
    for (int k = 0; k < sums * flight; ++k) a[k / flight][k % flight] = V(0);
  }
  // f(i, lanes, v) gives what elements i … add; lanes that are no elements must give 0.
  template <class F>
  LAMINA_INLINE void add(std::int64_t begin, std::int64_t end, F f) {
    const auto one = [&](int to, std::int64_t i, int lanes) {
      V v[sums];
      f(i, lanes, v);
#pragma GCC unroll 2
      for (int k = 0; k < sums; ++k) a[k][to] += lanes ? select(first_lanes<T>(lanes), v[k], V(0)) : v[k];
    };
    std::int64_t i = begin;
    for (; i + flight * W <= end; i += flight * W)
#pragma GCC unroll 4
      for (int k = 0; k < flight; ++k) one(k, i + k * W, 0);
    for (; i + W <= end; i += W) one(0, i, 0);
    if (i < end) one(1, i, static_cast<int>(end - i));
  }
  LAMINA_INLINE void join(double (&totals)[sums]) {
#pragma GCC unroll 2
    for (int k = 0; k < sums; ++k) totals[k] = sum(join_tree(a[k], plus<V>));
  }
};

// each(totals, count) for the sums over one block after the other; f(place, lanes, v) as above. What f reads may change
// from block to block.
template <int sums, class T, class F, class Each>
LAMINA_INLINE void for_blocks(const Runs& r, F f, Each each) {
  const std::int64_t joined = r.n >= kSummedBlock ? 1 : kSummedBlock / r.n;
  for (std::int64_t run = 0; run < r.runs; run += joined) {
    const std::int64_t last = run + joined < r.runs ? run + joined : r.runs;
    for (std::int64_t from = 0; from < r.n; from += kSummedBlock) {
      const std::int64_t to = from + kSummedBlock < r.n ? from + kSummedBlock : r.n;
      Accumulators<sums, T> a;
      for (std::int64_t k = run; k < last; ++k) a.add(k * r.stride + from, k * r.stride + to, f);
      double totals[sums];
      a.join(totals);
      each(totals, static_cast<double>((last - run) * (to - from)));
    }
  }
}

// Squares are summed around the mean of what came before, so that x is read once; the distance of a block's mean from
// it is part of the variance, which thus never is a small difference of large sums. The first block is read twice.
// Blocks are joined as in T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, 1983.
// Equal elements give exactly 0.
template <class T>
LAMINA_INLINE Moments moments(const T* x, const Runs& r) {
  using V = Vec<T>;
  const V first(*x);
  double begun[1];
  Accumulators<1, T> start;
  start.add(0, r.n < kSummedBlock ? r.n : kSummedBlock,
            [&](std::int64_t i, int lanes, V* v) { v[0] = load(x + i, lanes) - first; });
  start.join(begun);
  double guess = *x + begun[0] / static_cast<double>(r.n < kSummedBlock ? r.n : kSummedBlock);
  V center(static_cast<T>(guess));
  Moments m{0, 0};
  double count = 0;
  for_blocks<2, T>(
      r,
      [&](std::int64_t i, int lanes, V* v) {
        v[0] = load(x + i, lanes) - center;
        v[1] = v[0] * v[0];
      },
      [&](const double(&totals)[2], double n) {
        const double around = static_cast<double>(static_cast<T>(guess)), off = totals[0] / n,
                     distance = around + off - m.mean, all = count + n;
        m.squares += totals[1] - totals[0] * off + distance * distance * count * (n / all);
        m.mean += distance * (n / all);
        count = all;
        guess = m.mean;
        center = V(static_cast<T>(guess));
      });
  if (m.squares < 0) m.squares = 0;
  return m;
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
