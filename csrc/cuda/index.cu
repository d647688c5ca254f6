// x[a, b, …]: elements move between a dense tensor and the places that index tensors name. Where a place is named more
// than once the first position that names it does the work of all of them, in their order: the bits are those of the
// CPU.
//
// An index out of range is told by `check`; as the host may learn of it late, or in a replay never, it here names no
// place at all: nothing is written for it, and 0 is read.
#include "cuda/elementwise_walk.h"
#include "kernels/bits.h"
#include "kernels/index.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kIndexThreads = 256;
constexpr std::int64_t kNowhere = INT64_MIN;

// ---- positions ----

LAMINA_INLINE std::int64_t index_at(const IndexOperand& o, std::int64_t offset) {
  return o.dtype == DType::i64 ? static_cast<const std::int64_t*>(o.data)[offset]
                               : static_cast<const std::int32_t*>(o.data)[offset];
}
LAMINA_INLINE bool outside(std::int64_t v, std::int64_t size, bool from_end) {
  return v >= size || v < (from_end ? -size : 0);
}

// f(operand, its index) for every operand at a position.
template <class F>
LAMINA_INLINE void for_each_index(const Positions& p, std::int64_t position, F f) {
  std::int64_t at[kLoopDims];
  for (int d = p.ndim - 1; d >= 0; --d) {
    at[d] = position % p.shape[d];
    position /= p.shape[d];
  }
  for (int k = 0; k < p.operand_count; ++k) {
    std::int64_t offset = 0;
    for (int d = 0; d < p.ndim; ++d) offset += at[d] * p.operands[k].strides[d];
    f(k, index_at(p.operands[k], offset));
  }
}

struct FirstOf {
  std::int64_t all[kIndexThreads];
};
// The least of all threads' numbers, to each of them.
LAMINA_KERNEL inline std::int64_t least_of_block(const Thread& t, FirstOf& shared, std::int64_t mine) {
  t.sync();  // whoever still reads the one before
  shared.all[t.thread()] = mine;
  for (int half = kIndexThreads / 2; half > 0; half /= 2) {
    t.sync();
    if (t.thread() < half && shared.all[t.thread() + half] < shared.all[t.thread()])
      shared.all[t.thread()] = shared.all[t.thread() + half];
  }
  t.sync();
  return shared.all[0];
}

constexpr std::int64_t kCheckedByBlock = kIndexThreads * 16;

struct CheckPositions {  // first[block]: its first position with an index out of range
  static constexpr int kThreads = kIndexThreads;
  static constexpr bool kCollective = true;
  using Shared = FirstOf;
  Positions p;
  std::int64_t* first;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t begin = t.block() * kCheckedByBlock;
    const std::int64_t end = begin + kCheckedByBlock < p.count ? begin + kCheckedByBlock : p.count;
    std::int64_t bad = p.count;
    for (std::int64_t i = begin + t.thread(); i < end && bad == p.count; i += kThreads)
      for_each_index(p, i, [&](int k, std::int64_t v) {
        if (outside(v, p.operands[k].size, p.from_end)) bad = i;
      });
    bad = least_of_block(t, t.shared<CheckPositions>(), bad);
    if (t.thread() == 0) first[t.block()] = bad;
  }
};
struct ReportFault {
  static constexpr int kThreads = kIndexThreads;
  static constexpr bool kCollective = true;
  using Shared = FirstOf;
  Positions p;
  const std::int64_t* first;
  std::int64_t blocks;
  IndexFault* fault;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    std::int64_t bad = p.count;
    for (std::int64_t i = t.thread(); i < blocks; i += kThreads) bad = first[i] < bad ? first[i] : bad;
    bad = least_of_block(t, t.shared<ReportFault>(), bad);
    if (t.thread() != 0) return;
    IndexFault found{-1, 0};
    if (bad < p.count)
      for_each_index(p, bad, [&](int k, std::int64_t v) {
        if (found.operand < 0 && outside(v, p.operands[k].size, p.from_end)) found = {k, v};
      });
    *fault = found;
  }
};
void check(Positions p, IndexFault* fault) {
  const Grid grid = grid_for(p.count, kCheckedByBlock);
  auto* const first =
      static_cast<std::int64_t*>(cuda_runtime::workspace(static_cast<std::size_t>(grid.x) * sizeof(std::int64_t)));
  if (!first) return;
  launch("index", grid, CheckPositions{p, first});
  launch("index", {}, ReportFault{p, first, grid.x, fault});
}

struct Offsets {  // out[i]: the element offset of position i
  static constexpr int kThreads = kIndexThreads;
  static constexpr bool kCollective = false;
  Positions p;
  std::int64_t* out;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= p.count) return;
    std::int64_t offset = 0;
    bool inside = true;
    for_each_index(p, i, [&](int k, std::int64_t v) {
      const IndexOperand& o = p.operands[k];
      inside = inside && !outside(v, o.size, true);
      offset += (v < 0 ? v + o.size : v) * o.step;
    });
    out[i] = inside ? offset : kNowhere;
  }
};
const std::int64_t* offsets_of(const Positions& p) {
  auto* const out = static_cast<std::int64_t*>(cuda_runtime::workspace(static_cast<std::size_t>(p.count) * 8));
  if (out) launch("index", grid_for(p.count, kIndexThreads), Offsets{p, out});
  return out;
}

// ---- moving ----

// Each element by itself: T is an unsigned integer of its size. A thread takes one of the loop's elements at one
// position.
template <class T, bool reading>
struct MoveFree {
  static constexpr int kThreads = kIndexThreads;
  static constexpr bool kCollective = false;
  Walk walk;
  T *dense, *indexed;
  std::int64_t dense_step, count;
  const std::int64_t* offsets;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t position = t.global() / walk.numel;
    if (position >= count) return;
    std::int64_t at[2];
    walk.seek(static_cast<std::uint32_t>(t.global() - position * walk.numel), at);
    T& here = dense[at[0] + position * dense_step];
    const std::int64_t offset = offsets[position];
    if (reading)
      here = offset == kNowhere ? T(0) : indexed[at[1] + offset];
    else if (offset != kNowhere)
      indexed[at[1] + offset] = here;
  }
};

// How an element that several positions name is made of theirs.
template <class T>
struct LastStays {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) { to = from; }
};
template <class T>
struct AllAdd {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) { to = static_cast<T>(to + from); }
};
struct AnyIsTrue {
  using Element = std::uint8_t;
  LAMINA_INLINE static void join(Element& to, Element from) { to |= from; }
};

// A block to a position; it goes on only if none before names the same place, and then stands for all that do.
template <class Op>
struct MoveOwned {
  static constexpr int kThreads = kIndexThreads;
  static constexpr bool kCollective = true;
  using T = typename Op::Element;
  struct Shared {
    int same[kIndexThreads];
    int owned_before;
  };
  Walk walk;
  T *dense, *indexed;
  std::int64_t dense_step, count;
  const std::int64_t* offsets;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& s = t.shared<MoveOwned>();
    const std::int64_t mine = t.block(), place = offsets[mine];
    if (place == kNowhere) return;
    if (t.thread() == 0) s.owned_before = 0;
    t.sync();
    for (std::int64_t i = t.thread(); i < mine; i += kThreads)
      if (offsets[i] == place) s.owned_before = 1;  // whoever writes, writes the same
    t.sync();
    if (s.owned_before) return;
    for (std::int64_t first = mine; first < count; first += kThreads) {
      const std::int64_t i = first + t.thread();
      s.same[t.thread()] = i < count && offsets[i] == place;
      t.sync();
      for (int k = 0; k < kThreads; ++k)
        if (s.same[k]) join(t, first + k, place);
      t.sync();
    }
  }

 private:
  LAMINA_KERNEL void join(const Thread& t, std::int64_t position, std::int64_t place) const {
    for (std::uint32_t e = static_cast<std::uint32_t>(t.thread()); e < walk.numel; e += kThreads) {
      std::int64_t at[2];
      walk.seek(e, at);
      Op::join(indexed[at[1] + place], dense[at[0] + position * dense_step]);
    }
  }
};

// body(part of the loop, position to begin with, positions) for parts that a grid can count.
template <class Body>
void for_parts(const IndexedLoop& l, Body body) {
  in_parts(l.loop, [&](const Loop& part) {
    const std::int64_t most = kLargestPart / part.numel > 0 ? kLargestPart / part.numel : 1;
    for (std::int64_t first = 0; first < l.positions.count; first += most)
      body(part, first, l.positions.count - first < most ? l.positions.count - first : most);
  });
}

template <class T, bool reading>
void move_free(const IndexedLoop& l) {
  const std::int64_t* const offsets = offsets_of(l.positions);
  if (!offsets) return;
  for_parts(l, [&](const Loop& part, std::int64_t first, std::int64_t count) {
    launch("index", grid_for(part.numel * count, kIndexThreads),
           MoveFree<T, reading>{Walk(part), static_cast<T*>(part.operands[0].data) + first * l.dense_step,
                                static_cast<T*>(part.operands[1].data), l.dense_step, count, offsets + first});
  });
}
template <class Op>
void move_owned(const IndexedLoop& l) {
  using T = typename Op::Element;
  const std::int64_t* const offsets = offsets_of(l.positions);
  if (!offsets) return;
  in_parts(l.loop, [&](const Loop& part) {
    launch("index", grid_for(l.positions.count, 1),
           MoveOwned<Op>{Walk(part), static_cast<T*>(part.operands[0].data), static_cast<T*>(part.operands[1].data),
                         l.dense_step, l.positions.count, offsets});
  });
}

void gather(IndexedLoop l) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) { move_free<decltype(bits), true>(l); });
}
void put(IndexedLoop l, bool distinct) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) {
    if (distinct)
      move_free<decltype(bits), false>(l);
    else
      move_owned<LastStays<decltype(bits)>>(l);
  });
}
template <class T>
void add(IndexedLoop l) {
  move_owned<AllAdd<T>>(l);
}
void any_is_true(IndexedLoop l) { move_owned<AnyIsTrue>(l); }

}  // namespace

void fill_index_along(IndexTable&);
void fill_index_mask(IndexTable&);

void fill_index(IndexTable& t) {
  t.check = check;
  t.gather = gather;
  t.put = put;
  t.add[static_cast<int>(DType::f32)] = add<float>;
  t.add[static_cast<int>(DType::f64)] = add<double>;
  t.add[static_cast<int>(DType::i64)] = add<std::int64_t>;
  t.add[static_cast<int>(DType::i32)] = add<std::int32_t>;
  t.add[static_cast<int>(DType::u8)] = add<std::uint8_t>;
  t.add[static_cast<int>(DType::b8)] = any_is_true;
  fill_index_along(t);
  fill_index_mask(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
