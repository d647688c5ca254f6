// What an operation R must bring to be reduced by:
//
//   In, Partial                element type; result of some elements, plain data of at most kPartialBytes
//   none(g)                    the Partial of no elements
//   add(p, x, at, g)           p with one element more: element `at` of those that go into the output
//   merge(a, b)                the Partial of both, in any order of elements
//   store(g, offset, p)        finishes p and writes it
//
// The pieces are those that the plan cuts (kernels/reduce.h). A group of threads takes a piece, each of them every so
// many elements, and joins its partials as a tree; a second kernel joins the pieces. All of it in an order that follows
// from the shape alone.
#pragma once
#include "cuda/launch.h"
#include "kernels/reduce.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kReduceThreads = 256;
constexpr std::int64_t kWarpsWork = 2048;  // elements that are left to a single warp
constexpr int kStrip = 32;                 // columns of a block

struct Place {
  std::int64_t in, out;
};
LAMINA_INLINE Place locate(const Axis* axes, int count, std::int64_t flat) {
  Place p{0, 0};
  for (int d = count - 1; d >= 0; --d) {
    const std::int64_t rest = flat / axes[d].size, i = flat - rest * axes[d].size;
    flat = rest;
    p.in += i * axes[d].in;
    p.out += i * axes[d].out;
  }
  return p;
}
LAMINA_INLINE std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// all[0] of every group of `size` neighbouring threads becomes the join of its partials; all threads of a block call
// it.
template <class R>
LAMINA_KERNEL void join_groups(const Thread& t, typename R::Partial* all, int size) {
  const int member = t.thread() % size;
  for (int half = size / 2; half > 0; half /= 2) {
    t.sync();
    if (member < half) all[t.thread()] = R::merge(all[t.thread()], all[t.thread() + half]);
  }
  t.sync();
}

template <class R>
struct PartialsOf {
  typename R::Partial all[kReduceThreads];
};

// A group takes one piece of one output.
template <class R>
struct ReduceRows {
  static constexpr int kThreads = kReduceThreads;
  static constexpr bool kCollective = true;
  using Shared = PartialsOf<R>;
  using Partial = typename R::Partial;
  Reduction g;
  int group;  // threads

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<ReduceRows>();
    const std::int64_t task = static_cast<std::int64_t>(t.block()) * (kThreads / group) + t.thread() / group;
    const int member = t.thread() % group;
    const bool there = task < g.outputs * g.pieces;
    const std::int64_t output = there ? task / g.pieces : 0, piece = there ? task - output * g.pieces : 0;
    const Place place = locate(g.kept, g.kept_count, output);
    Partial p = R::none(g);
    if (there) {
      const auto* base = static_cast<const typename R::In*>(g.in) + place.in;
      const std::int64_t first = g.cuts > 1 ? piece / g.cuts : piece * g.group;
      const std::int64_t last = g.cuts > 1 ? first + 1 : smaller(first + g.group, g.runs);
      const std::int64_t begin = g.cuts > 1 ? piece % g.cuts * g.chunk : 0;
      const std::int64_t end = g.cuts > 1 ? smaller(begin + g.chunk, g.length) : g.length;
      for (std::int64_t run = first; run < last; ++run) {
        const auto* x = base + locate(g.reduced, g.reduced_count, run).in;
        for (std::int64_t i = begin + member; i < end; i += group) R::add(p, x[i], run * g.length + i, g);
      }
    }
    shared.all[t.thread()] = p;
    join_groups<R>(t, shared.all, group);
    if (!there || member != 0) return;
    if (g.pieces == 1)
      R::store(g, place.out, shared.all[t.thread()]);
    else
      static_cast<Partial*>(g.scratch)[task] = shared.all[t.thread()];
  }
};

// A block takes one piece of a strip of columns: each warp every so many rows of it.
template <class R>
struct ReduceColumns {
  static constexpr int kThreads = kReduceThreads;
  static constexpr bool kCollective = true;
  using Shared = PartialsOf<R>;
  using Partial = typename R::Partial;
  Reduction g;
  std::int64_t strips;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    constexpr int warps = kThreads / kStrip;
    Shared& shared = t.shared<ReduceColumns>();
    const std::int64_t task = t.block() / strips, strip = t.block() - task * strips;
    const std::int64_t output = task / g.pieces, piece = task - output * g.pieces;
    const std::int64_t column = strip * kStrip + t.lane();
    const Place place = locate(g.kept, g.kept_count, output);
    Partial p = R::none(g);
    if (column < g.width) {
      const std::int64_t run = piece / g.cuts, begin = piece % g.cuts * g.chunk;
      const std::int64_t end = smaller(begin + g.chunk, g.length);
      const auto* x =
          static_cast<const typename R::In*>(g.in) + place.in + locate(g.reduced, g.reduced_count, run).in + column;
      for (std::int64_t i = begin + t.warp(); i < end; i += warps)
        R::add(p, x[i * g.row_stride], run * g.length + i, g);
    }
    // Partials of one column lie side by side, to be joined as a group.
    shared.all[t.lane() * warps + t.warp()] = p;
    join_groups<R>(t, shared.all, warps);
    if (t.warp() != 0 || column >= g.width) return;
    const Partial& whole = shared.all[t.lane() * warps];
    if (g.pieces == 1)
      R::store(g, place.out + column * g.width_out, whole);
    else
      static_cast<Partial*>(g.scratch)[task * g.width + column] = whole;
  }
};

// Joins the pieces: a warp to each number of the result.
template <class R>
struct ReducePieces {
  static constexpr int kThreads = kReduceThreads;
  static constexpr bool kCollective = true;
  using Shared = PartialsOf<R>;
  using Partial = typename R::Partial;
  Reduction g;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.shared<ReducePieces>();
    const std::int64_t width = g.columns ? g.width : 1;
    const std::int64_t task = static_cast<std::int64_t>(t.block()) * (kThreads / kWarp) + t.warp();
    const bool there = task < g.outputs * width;
    const std::int64_t output = there ? task / width : 0, column = there ? task - output * width : 0;
    Partial p = R::none(g);
    const auto* partials = static_cast<const Partial*>(g.scratch) + output * g.pieces * width + column;
    if (there)
      for (std::int64_t i = t.lane(); i < g.pieces; i += kWarp) p = R::merge(p, partials[i * width]);
    shared.all[t.thread()] = p;
    join_groups<R>(t, shared.all, kWarp);
    if (there && t.lane() == 0)
      R::store(g, locate(g.kept, g.kept_count, output).out + column * g.width_out, shared.all[t.thread()]);
  }
};

template <class R>
void reduce(Reduction g) {
  static_assert(sizeof(typename R::Partial) <= kPartialBytes);
  if (g.columns) {
    const std::int64_t strips = (g.width + kStrip - 1) / kStrip;
    launch(R::name, grid_for(g.outputs * g.pieces * strips, 1), ReduceColumns<R>{g, strips});
  } else {
    const std::int64_t work = g.cuts > 1 ? g.chunk : g.group * g.length;
    const int group = work <= kWarpsWork && g.outputs * g.pieces > 1 ? kWarp : kReduceThreads;
    launch(R::name, grid_for(g.outputs * g.pieces, kReduceThreads / group), ReduceRows<R>{g, group});
  }
  if (g.pieces == 1) return;
  launch(R::name, grid_for(g.outputs * (g.columns ? g.width : 1), kReduceThreads / kWarp), ReducePieces<R>{g});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
