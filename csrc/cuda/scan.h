// Running totals along one dimension. What is carried along is joined in any grouping, but in its order: a block takes
// 256 neighbours at once and joins them in eight steps, or, where positions lie side by side, a thread walks alone.
#pragma once
#include "cuda/launch.h"
#include "kernels/elementwise_convert.h"
#include "kernels/reduce.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kScanThreads = 256;
constexpr std::int64_t kWalkedAlone = 32;  // rows so short are a thread's

// One position's elements. Number k of the walk is at place(k); the element before it in the walk is `step` back.
struct Line {
  std::int64_t first, step, length;
  bool reverse;

  LAMINA_INLINE Line(const Along& s, std::int64_t position, bool reverse)
      : first(position / s.inner * s.length * s.inner + position % s.inner),
        step(s.inner),
        length(s.length),
        reverse(reverse) {}
  LAMINA_INLINE std::int64_t index(std::int64_t k) const { return reverse ? length - 1 - k : k; }
  LAMINA_INLINE std::int64_t place(std::int64_t index) const { return first + index * step; }
};

// Op: a State; load(line, index), join(State, State) and store(line, index, State).
template <class Op>
struct WalkAlone {
  static constexpr int kThreads = kScanThreads;
  static constexpr bool kCollective = false;
  Op op;
  Along s;
  bool reverse;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() >= s.outer * s.inner) return;
    const Line line(s, t.global(), reverse);
    typename Op::State carry = op.load(line, line.index(0));
    op.store(line, line.index(0), carry);
    for (std::int64_t k = 1; k < s.length; ++k) {
      carry = Op::join(carry, op.load(line, line.index(k)));
      op.store(line, line.index(k), carry);
    }
  }
};

// A block walks one cut of one row. With `totals` it only says what the cut comes to; with `before` it knows what all
// cuts before it come to.
template <class Op>
struct WalkTogether {
  static constexpr int kThreads = kScanThreads;
  static constexpr bool kCollective = true;
  using State = typename Op::State;
  struct Shared {
    State all[kScanThreads];
  };
  Op op;
  Along s;
  bool reverse;
  std::int64_t cut, cuts;
  State* totals;
  const State* before;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.template shared<WalkTogether>();
    const Line line(s, t.block() / cuts, reverse);
    const std::int64_t number = t.block() % cuts, begin = number * cut;
    const std::int64_t end = begin + cut < s.length ? begin + cut : s.length;
    bool begun = before && number > 0;
    State carry{};
    if (begun) carry = before[t.block()];
    for (std::int64_t first = begin; first < end; first += kThreads) {
      const int n = static_cast<int>(end - first < kThreads ? end - first : kThreads), me = t.thread();
      State mine{};
      if (me < n) mine = op.load(line, line.index(first + me));
      shared.all[me] = mine;
      for (int reach = 1; reach < kThreads; reach *= 2) {
        t.sync();
        State left{};
        if (me >= reach) left = shared.all[me - reach];
        t.sync();
        if (me >= reach && me < n) shared.all[me] = mine = Op::join(left, mine);
      }
      t.sync();
      if (me < n && !totals) op.store(line, line.index(first + me), begun ? Op::join(carry, mine) : mine);
      const State last = shared.all[n - 1];
      carry = begun ? Op::join(carry, last) : last;
      begun = true;
      t.sync();  // before the next neighbours take its place
    }
    if (totals && t.thread() == 0) totals[t.block()] = carry;
  }
};

// What each cut comes to becomes what all before it come to.
template <class Op>
struct JoinCuts {
  static constexpr int kThreads = 64;
  static constexpr bool kCollective = false;
  using State = typename Op::State;
  State* cuts_of_rows;
  std::int64_t rows, cuts;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() >= rows) return;
    State* const of_row = cuts_of_rows + t.global() * cuts;
    State carry = of_row[0];
    for (std::int64_t c = 1; c < cuts; ++c) {
      const State here = of_row[c];
      of_row[c] = carry;
      carry = Op::join(carry, here);
    }
  }
};

// `scratch` has room for a State to a cut of kRowChunk elements where there are several, and else may be null.
template <class Op>
void scan(const char* name, const Along& s, bool reverse, const Op& op, void* scratch = nullptr) {
  const std::int64_t positions = s.outer * s.inner;
  if (positions == 0 || s.length == 0) return;
  if (s.inner > 1 || s.length <= kWalkedAlone)
    return launch(name, grid_for(positions, kScanThreads), WalkAlone<Op>{op, s, reverse});
  auto* const states = static_cast<typename Op::State*>(scratch);
  const std::int64_t cut = states ? kRowChunk : s.length, cuts = (s.length + cut - 1) / cut;
  const Grid grid = grid_for(positions * cuts, 1);
  if (cuts > 1) {
    launch(name, grid, WalkTogether<Op>{op, s, reverse, cut, cuts, states, nullptr});
    launch(name, grid_for(positions, JoinCuts<Op>::kThreads), JoinCuts<Op>{states, positions, cuts});
  }
  launch(name, grid, WalkTogether<Op>{op, s, reverse, cut, cuts, nullptr, cuts > 1 ? states : nullptr});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
