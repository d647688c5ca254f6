// gather and scatter: an index of the tensor's own rank stands for one of its dimensions. Elements can only meet along
// that dimension, so work is cut across the others, and along it too where they are only read.
#include "core/parallel.h"
#include "cpu/index_move.h"
#include "cpu/walk.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Is the dimension the one in which memory runs?
bool runs_along(const AlongLoop& l) {
  const std::int64_t other = l.loop.operands[0].strides[l.loop.ndim - 1];
  return l.loop.numel == 1 || l.dense_stride < other || other == 0;
}

// Places [begin, end) along the dimension, for elements [first, last) of the others; ascending along the dimension.
template <class T, class I, template <class> class Op>
void move_block(const AlongLoop& l, std::int64_t first, std::int64_t last, std::int64_t begin, std::int64_t end) {
  const int inner = l.loop.ndim - 1;
  const Operand &dense = l.loop.operands[0], &index = l.loop.operands[1], &indexed = l.loop.operands[2];
  const bool along = runs_along(l);
  for_each_run(l.loop, first, last, [&](const Cursor& c, std::int64_t, std::int64_t n) {
    T* const d = static_cast<T*>(dense.data) + c.offset[0];
    const I* const x = static_cast<const I*>(index.data) + c.offset[1];
    T* const t = static_cast<T*>(indexed.data) + c.offset[2];
    const std::int64_t ds = dense.strides[inner], xs = index.strides[inner], ts = indexed.strides[inner];
    if (along) {
      for (std::int64_t i = 0; i < n; ++i) {
        T* const di = d + i * ds;
        const I* const xi = x + i * xs;
        T* const ti = t + i * ts;
        if (l.dense_stride == 1 && l.index_stride == 1 && l.indexed_stride == 1)
          for (std::int64_t j = begin; j < end; ++j) Op<T>::one(di[j], ti[xi[j]]);
        else
          for (std::int64_t j = begin; j < end; ++j)
            Op<T>::one(di[j * l.dense_stride], ti[xi[j * l.index_stride] * l.indexed_stride]);
      }
    } else {
      for (std::int64_t j = begin; j < end; ++j) {
        T* const dj = d + j * l.dense_stride;
        const I* const xj = x + j * l.index_stride;
        if (ds == 1 && xs == 1 && ts == 1)
          for (std::int64_t i = 0; i < n; ++i) Op<T>::one(dj[i], t[i + xj[i] * l.indexed_stride]);
        else
          for (std::int64_t i = 0; i < n; ++i) Op<T>::one(dj[i * ds], t[i * ts + xj[i * xs] * l.indexed_stride]);
      }
    }
  });
}

template <class T, class I>
void gather_of(const AlongLoop& l) {
  constexpr std::int64_t kWide = 4096;  // of the other dimensions, where memory runs in them
  const bool along = runs_along(l);
  const std::int64_t wide = along ? larger(1, kGrain / l.length) : smaller(l.loop.numel, kWide);
  const std::int64_t high = along ? smaller(l.length, kGrain) : larger(1, kGrain / wide);
  const std::int64_t across = pieces(l.loop.numel, wide);
  parallel_for(across * pieces(l.length, high), 1, [&](std::int64_t chunk, std::int64_t last_chunk) {
    for (; chunk < last_chunk; ++chunk) {
      const std::int64_t first = chunk % across * wide, begin = chunk / across * high;
      move_block<T, I, Gather>(l, first, smaller(l.loop.numel, first + wide), begin, smaller(l.length, begin + high));
    }
  });
}

template <class T, class I, template <class> class Op>
void scatter_of(const AlongLoop& l) {
  constexpr std::int64_t kNarrowest = 16;  // memory that runs across is not cut finer than this
  const std::int64_t wide = larger(runs_along(l) ? 1 : kNarrowest, kGrain / l.length);
  parallel_for(l.loop.numel, wide,
               [&](std::int64_t first, std::int64_t last) { move_block<T, I, Op>(l, first, last, 0, l.length); });
}

bool long_index(const AlongLoop& l) { return l.loop.operands[1].dtype == DType::i64; }

void gather(AlongLoop l) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) {
    using T = decltype(bits);
    long_index(l) ? gather_of<T, std::int64_t>(l) : gather_of<T, std::int32_t>(l);
  });
}
void put(AlongLoop l) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) {
    using T = decltype(bits);
    long_index(l) ? scatter_of<T, std::int64_t, Put>(l) : scatter_of<T, std::int32_t, Put>(l);
  });
}
template <class T, template <class> class Op>
void fold(AlongLoop l) {
  long_index(l) ? scatter_of<T, std::int64_t, Op>(l) : scatter_of<T, std::int32_t, Op>(l);
}
template <class T>
void fill_folds(IndexTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.along_add[i] = fold<T, Add>;
  t.along_multiply[i] = fold<T, Multiply>;
  t.along_largest[i] = fold<T, Largest>;
  t.along_smallest[i] = fold<T, Smallest>;
}

}  // namespace

void fill_index_along(IndexTable& t) {
  t.along_gather = gather;
  t.along_put = put;
  fill_folds<float>(t, DType::f32);
  fill_folds<double>(t, DType::f64);
  fill_folds<std::int64_t>(t, DType::i64);
  fill_folds<std::int32_t>(t, DType::i32);
  fill_folds<std::uint8_t>(t, DType::u8);
  t.along_add[static_cast<int>(DType::b8)] = fold<Truth, Add>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
