// x[a, b, …]: elements move between a dense tensor and the places that index tensors name. Positions are turned into
// offsets a block at a time on the stack; a block then serves every run of the dimensions beside them.
#include "core/parallel.h"
#include "cpu/index_move.h"
#include "cpu/index_positions.h"
#include "cpu/walk.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_index_along(IndexTable&);
void fill_index_mask(IndexTable&);

namespace {

// ---- check ----

// Indices run from -below to size - 1; unsigned arithmetic makes that one comparison.
LAMINA_INLINE bool outside(std::int64_t v, std::int64_t size, std::int64_t below) {
  return static_cast<std::uint64_t>(v) + static_cast<std::uint64_t>(below) >= static_cast<std::uint64_t>(size + below);
}

// The first of n positions that is out of range, or n.
template <class I>
std::int64_t first_outside(const I* index, std::int64_t stride, std::int64_t n, std::int64_t size, std::int64_t below) {
  for (std::int64_t at = 0; at < n; at += kPositionBlock) {
    const std::int64_t end = smaller(n, at + kPositionBlock);
    bool any = false;
    for (std::int64_t i = at; i < end; ++i) any |= outside(index[i * stride], size, below);
    for (std::int64_t i = at; any && i < end; ++i)
      if (outside(index[i * stride], size, below)) return i;
  }
  return n;
}

std::int64_t index_at(const IndexOperand& o, std::int64_t offset) {
  return o.dtype == DType::i64 ? static_cast<const std::int64_t*>(o.data)[offset]
                               : static_cast<const std::int32_t*>(o.data)[offset];
}

void lower(std::int64_t* least, std::int64_t value) {
  std::int64_t seen = __atomic_load_n(least, __ATOMIC_RELAXED);
  while (value < seen && !__atomic_compare_exchange_n(least, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

void check(Positions p, IndexFault* fault) {
  std::int64_t first = p.count;
  parallel_for(p.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for_each_stretch(p, begin, end, [&](int k, std::int64_t offset, std::int64_t at, std::int64_t n) {
      const IndexOperand& o = p.operands[k];
      const std::int64_t stride = o.strides[p.ndim - 1], below = p.from_end ? o.size : 0;
      const std::int64_t bad =
          o.dtype == DType::i64
              ? first_outside(static_cast<const std::int64_t*>(o.data) + offset, stride, n, o.size, below)
              : first_outside(static_cast<const std::int32_t*>(o.data) + offset, stride, n, o.size, below);
      if (bad < n) lower(&first, at + bad);
    });
  });
  *fault = {-1, 0};
  if (first == p.count) return;
  for_each_stretch(p, first, first + 1, [&](int k, std::int64_t offset, std::int64_t, std::int64_t) {
    const IndexOperand& o = p.operands[k];
    const std::int64_t v = index_at(o, offset);
    if (fault->operand < 0 && outside(v, o.size, p.from_end ? o.size : 0)) *fault = {k, v};
  });
}

// ---- move ----

// Elements [first, last) of the loop at positions [begin, end), in the order of the positions.
template <class T, template <class> class Op>
void move_block(const IndexedLoop& l, std::int64_t first, std::int64_t last, std::int64_t begin, std::int64_t end) {
  std::int64_t offsets[kPositionBlock];
  const int inner = l.loop.ndim - 1;
  const std::int64_t dense_stride = l.loop.operands[0].strides[inner],
                     indexed_stride = l.loop.operands[1].strides[inner];
  for (std::int64_t at = begin; at < end; at += kPositionBlock) {
    const std::int64_t n = smaller(kPositionBlock, end - at);
    position_offsets(l.positions, at, n, offsets);
    for_each_run(l.loop, first, last, [&](const Cursor& c, std::int64_t, std::int64_t length) {
      T* dense = static_cast<T*>(l.loop.operands[0].data) + c.offset[0] + at * l.dense_step;
      T* indexed = static_cast<T*>(l.loop.operands[1].data) + c.offset[1];
      if (length == 1 && l.dense_step == 1)
        for (std::int64_t i = 0; i < n; ++i) Op<T>::one(dense[i], indexed[offsets[i]]);
      else if (length == 1)
        for (std::int64_t i = 0; i < n; ++i) Op<T>::one(dense[i * l.dense_step], indexed[offsets[i]]);
      else
        for (std::int64_t i = 0; i < n; ++i)
          Op<T>::run(dense + i * l.dense_step, dense_stride, indexed + offsets[i], indexed_stride, length);
    });
  }
}

// Any chunk may run at any time: no two write the same element.
template <class T, template <class> class Op>
void move_free(const IndexedLoop& l) {
  const std::int64_t wide = smaller(l.loop.numel, kGrain), high = larger(1, kGrain / wide);
  const std::int64_t across = pieces(l.loop.numel, wide);
  parallel_for(across * pieces(l.positions.count, high), 1, [&](std::int64_t chunk, std::int64_t last_chunk) {
    for (; chunk < last_chunk; ++chunk) {
      const std::int64_t first = chunk % across * wide, begin = chunk / across * high;
      move_block<T, Op>(l, first, smaller(l.loop.numel, first + wide), begin, smaller(l.positions.count, begin + high));
    }
  });
}

// Positions may repeat: each chunk goes through all of them in order, for a part of the loop's elements.
template <class T, template <class> class Op>
void move_in_order(const IndexedLoop& l) {
  constexpr std::int64_t kNarrowest = 32;  // a chunk must be worth working out the offsets anew
  const std::int64_t wide = larger(kNarrowest, kGrain / l.positions.count);
  parallel_for(l.loop.numel, wide,
               [&](std::int64_t first, std::int64_t last) { move_block<T, Op>(l, first, last, 0, l.positions.count); });
}

void gather(IndexedLoop l) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) { move_free<decltype(bits), Gather>(l); });
}
void put(IndexedLoop l, bool distinct) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) {
    if (distinct)
      move_free<decltype(bits), Put>(l);
    else
      move_in_order<decltype(bits), Put>(l);
  });
}
template <class T>
void add(IndexedLoop l) {
  move_in_order<T, Add>(l);
}

}  // namespace

void fill_index(IndexTable& t) {
  t.check = check;
  t.gather = gather;
  t.put = put;
  t.add[static_cast<int>(DType::f32)] = add<float>;
  t.add[static_cast<int>(DType::f64)] = add<double>;
  t.add[static_cast<int>(DType::i64)] = add<std::int64_t>;
  t.add[static_cast<int>(DType::i32)] = add<std::int32_t>;
  t.add[static_cast<int>(DType::u8)] = add<std::uint8_t>;
  t.add[static_cast<int>(DType::b8)] = add<Truth>;
  fill_index_along(t);
  fill_index_mask(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
