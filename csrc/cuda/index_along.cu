// gather and scatter: an index of the tensor's own rank stands for one of its dimensions. Elements can only meet along
// that dimension, so one thread takes all that may meet, in their order: the bits are those of the CPU. An index out of
// range, told by a check before, names no place at all.
#include "cuda/elementwise_walk.h"
#include "kernels/bits.h"
#include "kernels/index.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kAlongThreads = 256;

// What the loop's elements and the places along the dimension have in common.
template <class T>
struct AlongOperands {
  Walk walk;
  T* dense;
  const void* index;
  T* indexed;
  std::int64_t length, dense_stride, index_stride, size, indexed_stride;
  bool long_index;

  AlongOperands(const AlongLoop& l, const Loop& part)
      : walk(part),
        dense(static_cast<T*>(part.operands[0].data)),
        index(part.operands[1].data),
        indexed(static_cast<T*>(part.operands[2].data)),
        length(l.length),
        dense_stride(l.dense_stride),
        index_stride(l.index_stride),
        size(l.size),
        indexed_stride(l.indexed_stride),
        long_index(part.operands[1].dtype == DType::i64) {}

  LAMINA_INLINE std::int64_t index_at(std::int64_t offset) const {
    return long_index ? static_cast<const std::int64_t*>(index)[offset]
                      : static_cast<const std::int32_t*>(index)[offset];
  }
};

// A thread takes one element; neighbours differ in whichever way memory runs.
template <class T>
struct GatherAlong {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = false;
  AlongOperands<T> o;
  bool runs_along;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() >= o.length * o.walk.numel) return;
    const std::int64_t other = runs_along ? t.global() / o.length : t.global() % o.walk.numel;
    const std::int64_t j = runs_along ? t.global() % o.length : t.global() / o.walk.numel;
    std::int64_t at[3];
    o.walk.seek(static_cast<std::uint32_t>(other), at);
    const std::int64_t place = o.index_at(at[1] + j * o.index_stride);
    o.dense[at[0] + j * o.dense_stride] =
        place >= 0 && place < o.size ? o.indexed[at[2] + place * o.indexed_stride] : T{};
  }
};

// A thread takes all places of one line, in order.
template <class Op>
struct ScatterLine {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = false;
  using T = typename Op::Element;
  AlongOperands<T> o;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() >= o.walk.numel) return;
    std::int64_t at[3];
    o.walk.seek(static_cast<std::uint32_t>(t.global()), at);
    for (std::int64_t j = 0; j < o.length; ++j) {
      const std::int64_t place = o.index_at(at[1] + j * o.index_stride);
      if (place >= 0 && place < o.size)
        Op::join(o.indexed[at[2] + place * o.indexed_stride], o.dense[at[0] + j * o.dense_stride]);
    }
  }
};

// A thread takes one place of the target and looks for all that name it, in order: where lines are few and long.
template <class Op>
struct ScatterPlace {
  static constexpr int kThreads = kAlongThreads;
  static constexpr bool kCollective = false;
  using T = typename Op::Element;
  AlongOperands<T> o;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    if (t.global() >= o.walk.numel * o.size) return;
    const std::int64_t place = t.global() % o.size;
    std::int64_t at[3];
    o.walk.seek(static_cast<std::uint32_t>(t.global() / o.size), at);
    T& to = o.indexed[at[2] + place * o.indexed_stride];
    T value = to;
    bool named = false;
    for (std::int64_t j = 0; j < o.length; ++j)
      if (o.index_at(at[1] + j * o.index_stride) == place) {
        Op::join(value, o.dense[at[0] + j * o.dense_stride]);
        named = true;
      }
    if (named) to = value;
  }
};

template <class T>
struct Put {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) { to = from; }
};
template <class T>
struct Add {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) {
    if constexpr (Integer<T>)
      to = static_cast<T>(static_cast<std::uint64_t>(to) + static_cast<std::uint64_t>(from));  // wraps
    else
      to += from;
  }
};
struct Disjunction {  // a sum of truth values
  using Element = std::uint8_t;
  LAMINA_INLINE static void join(std::uint8_t& to, std::uint8_t from) { to = to | from; }
};
template <class T>
struct Multiply {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) {
    if constexpr (Integer<T>)
      to = static_cast<T>(static_cast<std::uint64_t>(to) * static_cast<std::uint64_t>(from));
    else
      to *= from;
  }
};
// A NaN is more extreme than any number.
template <class T>
struct Largest {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) {
    if (from > to || from != from) to = from;
  }
};
template <class T>
struct Smallest {
  using Element = T;
  LAMINA_INLINE static void join(T& to, T from) {
    if (from < to || from != from) to = from;
  }
};

template <class T>
void gather_as(const AlongLoop& l) {
  in_parts(l.loop, [&](const Loop& part) {
    const std::int64_t other = part.operands[0].strides[part.ndim - 1];
    const bool along = part.numel == 1 || l.dense_stride < other || other == 0;
    launch("gather", grid_for(part.numel * l.length, kAlongThreads), GatherAlong<T>{AlongOperands<T>(l, part), along});
  });
}

template <class Op>
void scatter(AlongLoop l) {
  using T = typename Op::Element;
  constexpr std::int64_t kFewLines = 4096, kMostSearched = std::int64_t{1} << 34;
  in_parts(l.loop, [&](const Loop& part) {
    const AlongOperands<T> o(l, part);
    const bool few = part.numel < kFewLines && l.length > kAlongThreads;
    if (few && part.numel * l.size <= kMostSearched / l.length)
      return launch("scatter", grid_for(part.numel * l.size, kAlongThreads), ScatterPlace<Op>{o});
    launch("scatter", grid_for(part.numel, kAlongThreads), ScatterLine<Op>{o});
  });
}

void gather(AlongLoop l) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) { gather_as<decltype(bits)>(l); });
}
void put(AlongLoop l) {
  with_bits(l.loop.operands[0].dtype, [&](auto bits) { scatter<Put<decltype(bits)>>(l); });
}

template <class T>
void fill_folds(IndexTable& t, DType type) {
  const int i = static_cast<int>(type);
  t.along_add[i] = scatter<Add<T>>;
  t.along_multiply[i] = scatter<Multiply<T>>;
  t.along_largest[i] = scatter<Largest<T>>;
  t.along_smallest[i] = scatter<Smallest<T>>;
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
  t.along_add[static_cast<int>(DType::b8)] = scatter<Disjunction>;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
