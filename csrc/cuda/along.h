// Work along one dimension of a contiguous tensor of outer × length × inner elements: a group of threads takes one
// position (outer, inner) and walks its elements together. Where positions lie side by side (inner > 1) a group is one
// thread, and neighbours read neighbours.
#pragma once
#include "cuda/launch.h"
#include "kernels/elementwise_convert.h"
#include "kernels/reduce.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// What elements of a type are computed in.
template <class In>
using Wide = std::conditional_t<std::is_same_v<In, double>, double, float>;

constexpr int kAlongThreads = 256;

template <class Total>
struct Totals {
  Total all[kAlongThreads];
};

// Where a thread stands.
struct Member {
  std::int64_t position, first, step;  // first: its position's first element; step: from one element to the next
  int number, group;
  bool there;

  LAMINA_KERNEL Member(const Thread& t, const Along& shape, int group)
      : position(static_cast<std::int64_t>(t.block()) * (kAlongThreads / group) + t.thread() / group),
        step(shape.inner),
        number(t.thread() % group),
        group(group),
        there(position < shape.outer * shape.inner) {
    const std::int64_t outer = position / shape.inner;
    first = outer * shape.length * shape.inner + (position - outer * shape.inner);
  }
  // The group's totals joined, for each of its threads; every thread of the block calls it.
  template <class Total, class Join>
  LAMINA_KERNEL Total join(const Thread& t, Totals<Total>& shared, Total mine, Join join) const {
    t.sync();  // whoever still reads what was joined before
    shared.all[t.thread()] = mine;
    for (int half = group / 2; half > 0; half /= 2) {
      t.sync();
      if (number < half) shared.all[t.thread()] = join(shared.all[t.thread()], shared.all[t.thread() + half]);
    }
    t.sync();
    return shared.all[t.thread() - number];
  }
};

inline int group_for(const Along& a) { return a.inner > 1 ? 1 : a.length <= 1024 ? kWarp : kAlongThreads; }
inline Grid grid_of(const Along& a, int group) { return grid_for(a.outer * a.inner, kAlongThreads / group); }

// The largest element and the sum of the exponentials relative to it.
struct ExpSum {
  double largest, sum;
};
template <class T>
LAMINA_INLINE double exp_of(double x) {
  return static_cast<double>(exp(Vec<T>(static_cast<T>(x))).v);
}
template <class T>
struct JoinExpSums {
  LAMINA_INLINE ExpSum operator()(ExpSum a, ExpSum b) const {
    const double most = maximum(a.largest, b.largest);
    return {most, scaled(a, most) + scaled(b, most)};
  }
  LAMINA_INLINE static double scaled(ExpSum a, double most) {
    return a.largest == most ? a.sum : a.sum * exp_of<T>(a.largest - most);
  }
};
template <class T, class In>
LAMINA_KERNEL ExpSum exp_sum(const Thread& t, const Member& m, Totals<ExpSum>& shared, const In* x,
                             std::int64_t length) {
  ExpSum s{-HUGE_VAL, 0};
  const JoinExpSums<T> join;
  if (m.there)
    for (std::int64_t c = m.number; c < length; c += m.group)
      s = join(s, {static_cast<double>(widen(x[m.first + c * m.step])), 1});
  return m.join(t, shared, s, join);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
