// Element-wise kernels. Inner functions see contiguous runs of their compute type; `run` brings every operand into that
// form, directly where it already is, through a small buffer where it is strided, broadcast or of another type.
#include "core/parallel.h"
#include "cpu/elementwise_move.h"
#include "cpu/walk.h"
#include "kernels/elementwise_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kBlock = 512;   // elements staged at once: 4 KiB a double operand
constexpr std::int64_t kLongRow = 64;  // shorter rows are gathered several to a block
constexpr int kStageBytes = kBlock * 8;

// ---- run ----

struct Task {
  const Loop* loop;
  Inner inner;
  DType type[kLoopOperands];  // what inner takes and gives
  const double* params;
};

// Everything is contiguous or a number: no cursor. Numbers were spread into `stage` once.
void run_flat(const Task& t, char (*stage)[kStageBytes], std::int64_t begin, std::int64_t end) {
  const Loop& loop = *t.loop;
  bool direct = true;
  for (int k = 0; k < loop.operand_count; ++k) direct &= loop.operands[k].data && loop.operands[k].dtype == t.type[k];
  const std::int64_t step = direct ? end - begin : kBlock;
  for (std::int64_t at = begin; at < end; at += step) {
    const std::int64_t n = end - at < step ? end - at : step;
    void* p[kLoopOperands];
    for (int k = 0; k < loop.operand_count; ++k) {
      const Operand& o = loop.operands[k];
      const bool staged = !o.data || o.dtype != t.type[k];
      p[k] = staged ? stage[k] : address(o, at);
      if (k > 0 && staged && o.data) moves(o.dtype, t.type[k])(stage[k], 1, address(o, at), 1, n);
    }
    t.inner(p, n, t.params);
    const Operand& out = loop.operands[0];
    if (p[0] == stage[0]) moves(t.type[0], out.dtype)(address(out, at), 1, stage[0], 1, n);
  }
}

// Rows long enough to be worked on one at a time.
void run_rows(const Task& t, char (*stage)[kStageBytes], std::int64_t begin, std::int64_t end) {
  const Loop& loop = *t.loop;
  const int last = loop.ndim - 1;
  bool staged[kLoopOperands], direct = true;
  for (int k = 0; k < loop.operand_count; ++k) {
    const Operand& o = loop.operands[k];
    staged[k] = !o.data || o.dtype != t.type[k] || o.strides[last] != 1;
    direct &= !staged[k];
  }
  const std::int64_t block = direct ? end - begin : kBlock;
  for_each_run(loop, begin, end, [&](const Cursor& c, std::int64_t, std::int64_t length) {
    for (std::int64_t at = 0; at < length; at += block) {
      const std::int64_t n = length - at < block ? length - at : block;
      void* p[kLoopOperands];
      for (int k = 0; k < loop.operand_count; ++k) {
        const Operand& o = loop.operands[k];
        const std::int64_t from = c.offset[k] + at * o.strides[last];
        const bool spread = o.strides[last] == 0 && at > 0;  // one element stands for the row, and was staged already
        p[k] = staged[k] ? stage[k] : address(o, from);
        if (k > 0 && staged[k] && o.data && !spread)
          moves(o.dtype, t.type[k])(stage[k], 1, address(o, from), o.strides[last], n);
      }
      t.inner(p, n, t.params);
      const Operand& out = loop.operands[0];
      if (p[0] == stage[0])
        moves(t.type[0], out.dtype)(address(out, c.offset[0] + at * out.strides[last]), out.strides[last], stage[0], 1,
                                    n);
    }
  });
}

// Short rows: a block gathers several.
void run_gathered(const Task& t, char (*stage)[kStageBytes], std::int64_t begin, std::int64_t end) {
  const Loop& loop = *t.loop;
  const int last = loop.ndim - 1;
  void* p[kLoopOperands];
  for (int k = 0; k < loop.operand_count; ++k) p[k] = stage[k];
  for (std::int64_t at = begin; at < end; at += kBlock) {
    const std::int64_t n = end - at < kBlock ? end - at : kBlock;
    for_each_run(loop, at, at + n, [&](const Cursor& c, std::int64_t from, std::int64_t length) {
      for (int k = 1; k < loop.operand_count; ++k) {
        const Operand& o = loop.operands[k];
        char* to = stage[k] + (from - at) * static_cast<std::int64_t>(item_size(t.type[k]));
        if (o.data) moves(o.dtype, t.type[k])(to, 1, address(o, c.offset[k]), o.strides[last], length);
      }
    });
    t.inner(p, n, t.params);
    for_each_run(loop, at, at + n, [&](const Cursor& c, std::int64_t from, std::int64_t length) {
      const Operand& out = loop.operands[0];
      const char* staged = stage[0] + (from - at) * static_cast<std::int64_t>(item_size(t.type[0]));
      moves(t.type[0], out.dtype)(address(out, c.offset[0]), out.strides[last], staged, 1, length);
    });
  }
}

void run(Loop loop, Inner inner, DType in_type, DType out_type, Params params) {
  Task t{&loop, inner, {out_type, in_type, in_type, in_type}, params.v};
  bool flat = loop.ndim == 1;
  for (int k = 0; k < loop.operand_count && flat; ++k)
    flat = !loop.operands[k].data || loop.operands[k].strides[0] == 1 || loop.shape[0] == 1;
  const bool long_rows = loop.shape[loop.ndim - 1] >= kLongRow;
  parallel_for(loop.numel, kGrain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) char stage[kLoopOperands][kStageBytes];
    const std::int64_t spread = end - begin < kBlock ? end - begin : kBlock;
    for (int k = 1; k < loop.operand_count; ++k) {
      const Operand& o = loop.operands[k];
      if (!o.data) moves(o.dtype, t.type[k])(stage[k], 1, &o.immediate, 0, spread);
    }
    (flat ? run_flat : long_rows ? run_rows : run_gathered)(t, stage, begin, end);
  });
}

// ---- copy ----

// out[r · out_row + c] = in[r + c · in_column] in square tiles, so that both sides use whole cache lines.
template <class T>
void transpose(T* out, std::int64_t out_row, const T* in, std::int64_t in_column, std::int64_t rows,
               std::int64_t columns) {
  constexpr std::int64_t tile = 64 / sizeof(T) < 16 ? 16 : 64 / sizeof(T);
  for (std::int64_t r0 = 0; r0 < rows; r0 += tile) {
    const std::int64_t r1 = r0 + tile < rows ? r0 + tile : rows;
    for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
      const std::int64_t c1 = c0 + tile < columns ? c0 + tile : columns;
      for (std::int64_t r = r0; r < r1; ++r)
        for (std::int64_t c = c0; c < c1; ++c) out[r * out_row + c] = in[r + c * in_column];
    }
  }
}

void transpose_plane(const Operand& out, const Operand& in, const Cursor& c, int row_dim, int last, std::int64_t rows,
                     std::int64_t columns) {
  void *to = address(out, c.offset[0]), *from = address(in, c.offset[1]);
  const std::int64_t so = out.strides[row_dim], si = in.strides[last];
  switch (item_size(out.dtype)) {
    case 8:
      return transpose(static_cast<std::uint64_t*>(to), so, static_cast<const std::uint64_t*>(from), si, rows, columns);
    case 4:
      return transpose(static_cast<std::uint32_t*>(to), so, static_cast<const std::uint32_t*>(from), si, rows, columns);
    case 2:
      return transpose(static_cast<std::uint16_t*>(to), so, static_cast<const std::uint16_t*>(from), si, rows, columns);
    default:
      return transpose(static_cast<std::uint8_t*>(to), so, static_cast<const std::uint8_t*>(from), si, rows, columns);
  }
}

// A copy whose two sides run along different dimensions goes plane by plane: `row_dim` is contiguous in the source, the
// last one in the destination. Returns the row dimension, or -1 where rows do as well.
int transposed_dimension(const Loop& loop) {
  const Operand &out = loop.operands[0], &in = loop.operands[1];
  const int last = loop.ndim - 1;
  if (!in.data || in.dtype != out.dtype || out.strides[last] != 1 || in.strides[last] == 1 || loop.shape[last] < 8)
    return -1;
  for (int d = last - 1; d >= 0; --d)
    if (in.strides[d] == 1 && loop.shape[d] >= 8) return d;
  return -1;
}

void copy_transposed(const Loop& loop, int row_dim) {
  const int last = loop.ndim - 1;
  constexpr std::int64_t kRows = 64;  // of a plane, a unit of work
  const std::int64_t strips = (loop.shape[row_dim] + kRows - 1) / kRows;
  std::int64_t planes = 1;
  for (int d = 0; d < last; ++d) planes *= d == row_dim ? 1 : loop.shape[d];
  const std::int64_t strip_elements = kRows * loop.shape[last];
  parallel_for(planes * strips, strip_elements >= kGrain ? 1 : kGrain / strip_elements,
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t unit = begin; unit < end; ++unit) {
                   const std::int64_t row = unit % strips * kRows;
                   std::int64_t plane = unit / strips;
                   Cursor c{};
                   for (int d = last - 1; d >= 0; --d) {
                     const std::int64_t index = d == row_dim ? row : plane % loop.shape[d];
                     if (d != row_dim) plane /= loop.shape[d];
                     for (int k = 0; k < 2; ++k) c.offset[k] += index * loop.operands[k].strides[d];
                   }
                   const std::int64_t rows = loop.shape[row_dim] - row < kRows ? loop.shape[row_dim] - row : kRows;
                   transpose_plane(loop.operands[0], loop.operands[1], c, row_dim, last, rows, loop.shape[last]);
                 }
               });
}

void copy(Loop loop) {
  if (const int row_dim = transposed_dimension(loop); row_dim >= 0) return copy_transposed(loop, row_dim);
  const Operand &out = loop.operands[0], &in = loop.operands[1];
  const Move mover = moves(in.dtype, out.dtype);
  const int last = loop.ndim - 1;
  parallel_for(loop.numel, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for_each_run(loop, begin, end, [&](const Cursor& c, std::int64_t, std::int64_t n) {
      const void* from = in.data ? address(in, c.offset[1]) : static_cast<const void*>(&in.immediate);
      mover(address(out, c.offset[0]), out.strides[last], from, in.strides[last], n);
    });
  });
}

template <class T>
void where_of(const Loop& loop) {
  const int last = loop.ndim - 1;
  const Operand* o = loop.operands;
  parallel_for(loop.numel, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for_each_run(loop, begin, end, [&](const Cursor& c, std::int64_t, std::int64_t n) {
      T* out = reinterpret_cast<T*>(address(o[0], c.offset[0]));
      const auto* chosen = reinterpret_cast<const std::uint8_t*>(address(o[1], c.offset[1]));
      const T* a = o[2].data ? reinterpret_cast<const T*>(address(o[2], c.offset[2]))
                             : reinterpret_cast<const T*>(&o[2].immediate);
      const T* b = o[3].data ? reinterpret_cast<const T*>(address(o[3], c.offset[3]))
                             : reinterpret_cast<const T*>(&o[3].immediate);
      const std::int64_t so = o[0].strides[last], sc = o[1].strides[last], sa = o[2].strides[last],
                         sb = o[3].strides[last];
      if (so == 1 && sc == 1 && sa == 1 && sb == 1)
        for (std::int64_t i = 0; i < n; ++i) out[i] = chosen[i] ? a[i] : b[i];
      else
        for (std::int64_t i = 0; i < n; ++i) out[i * so] = chosen[i * sc] ? a[i * sa] : b[i * sb];
    });
  });
}

void where(Loop loop) {
  switch (item_size(loop.operands[0].dtype)) {
    case 8: return where_of<std::uint64_t>(loop);
    case 4: return where_of<std::uint32_t>(loop);
    case 2: return where_of<std::uint16_t>(loop);
    default: return where_of<std::uint8_t>(loop);
  }
}

void iota(void* out, DType dtype, double start, double step, std::int64_t int_start, std::int64_t int_step,
          std::int64_t n) {
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    char* to = static_cast<char*>(out) + begin * static_cast<std::int64_t>(item_size(dtype));
    for (std::int64_t i = begin; i < end; ++i, to += item_size(dtype)) {
      if (is_floating(dtype)) {
        const double v = start + static_cast<double>(i) * step;
        moves(DType::f64, dtype)(to, 1, &v, 1, 1);
      } else {
        const std::int64_t v = int_start + i * int_step;
        moves(DType::i64, dtype)(to, 1, &v, 1, 1);
      }
    }
  });
}

// ---- inner loops ----

template <class V>
LAMINA_INLINE void put(V v, Lane<V>* out, std::int64_t i) {
  v.store(out + i);
}
template <class V>
LAMINA_INLINE void put(V v, Lane<V>* out, std::int64_t i, int n) {
  v.store(out + i, n);
}
template <class T>
LAMINA_INLINE void put(Mask<T> m, std::uint8_t* out, std::int64_t i) {
  m.store_bytes(out + i);
}
template <class T>
LAMINA_INLINE void put(Mask<T> m, std::uint8_t* out, std::int64_t i, int n) {
  m.store_bytes(out + i, n);
}

// out[i] = f(in[0][i], in[1][i] …), a vector at a time, the tail through masked loads: the same instructions, so that
// an element's bits do not depend on where it lies.
template <int inputs, class T, class Out, class F>
LAMINA_INLINE void sweep(void* const* p, std::int64_t n, F f) {
  using V = Vec<T>;
  Out* out = static_cast<Out*>(p[0]);
  const T* a = static_cast<const T*>(p[1]);
  const T* b = static_cast<const T*>(p[inputs > 1 ? 2 : 1]);
  const T* c = static_cast<const T*>(p[inputs > 2 ? 3 : 1]);
  const auto at = [&](std::int64_t i) {
    if constexpr (inputs == 1)
      return f(V::load(a + i));
    else if constexpr (inputs == 2)
      return f(V::load(a + i), V::load(b + i));
    else
      return f(V::load(a + i), V::load(b + i), V::load(c + i));
  };
  std::int64_t i = 0;
  for (; i + V::width <= n; i += V::width) put(at(i), out, i);
  if (const int rest = static_cast<int>(n - i)) {
    if constexpr (inputs == 1)
      put(f(V::load(a + i, rest)), out, i, rest);
    else if constexpr (inputs == 2)
      put(f(V::load(a + i, rest), V::load(b + i, rest)), out, i, rest);
    else
      put(f(V::load(a + i, rest), V::load(b + i, rest), V::load(c + i, rest)), out, i, rest);
  }
}

// Integers: one at a time, left to the compiler's vectoriser.
template <int inputs, class T, class Out, class F>
LAMINA_INLINE void sweep_plain(void* const* p, std::int64_t n, F f) {
  Out* out = static_cast<Out*>(p[0]);
  const T* a = static_cast<const T*>(p[1]);
  const T* b = static_cast<const T*>(p[inputs > 1 ? 2 : 1]);
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (inputs == 1)
      out[i] = static_cast<Out>(f(a[i]));
    else
      out[i] = static_cast<Out>(f(a[i], b[i]));
  }
}

template <class T>
constexpr bool kIsFloat = std::is_floating_point_v<T>;
template <Kind kind, class T>
using OutOf = std::conditional_t<kind == Kind::predicate, std::uint8_t, T>;

template <class Op, Kind kind, class T>
void unary(void* const* p, std::int64_t n, const double* params) {
  const auto f = [params](auto x) { return Op::f(x, params); };
  if constexpr (kIsFloat<T>)
    sweep<1, T, OutOf<kind, T>>(p, n, f);
  else
    sweep_plain<1, T, OutOf<kind, T>>(p, n, f);
}
template <class Op, class T>
void unary_grad(void* const* p, std::int64_t n, const double* params) {
  sweep<2, T, T>(p, n, [params](auto dy, auto saved) { return Op::df(dy, saved, params); });
}
template <class Op, Kind kind, class T>
void binary(void* const* p, std::int64_t n, const double*) {
  const auto f = [](auto a, auto b) { return Op::f(a, b); };
  if constexpr (kIsFloat<T>)
    sweep<2, T, OutOf<kind, T>>(p, n, f);
  else
    sweep_plain<2, T, OutOf<kind, T>>(p, n, f);
}
template <class Op, int side, class T>
void binary_grad(void* const* p, std::int64_t n, const double*) {
  sweep<3, T, T>(p, n, [](auto dy, auto a, auto b) {
    if constexpr (side == 0)
      return Op::da(dy, a, b);
    else
      return Op::db(dy, a, b);
  });
}

// ---- the table ----

constexpr int F32 = static_cast<int>(DType::f32), F64 = static_cast<int>(DType::f64),
              I64 = static_cast<int>(DType::i64), I32 = static_cast<int>(DType::i32), U8 = static_cast<int>(DType::u8);

template <class Op, Kind kind, Saves saves>
void fill_unary(ElementwiseTable& t, UnaryOp op) {
  Inner* row = t.unary[static_cast<int>(op)];
  if constexpr (kind != Kind::bits) {
    row[F32] = unary<Op, kind, float>;
    row[F64] = unary<Op, kind, double>;
  }
  if constexpr (kind != Kind::floating) {
    row[I64] = unary<Op, kind, std::int64_t>;
    row[I32] = unary<Op, kind, std::int32_t>;
    row[U8] = unary<Op, kind, std::uint8_t>;
  }
  if constexpr (saves != Saves::no_gradient) {
    t.unary_grad[static_cast<int>(op)][F32] = unary_grad<Op, float>;
    t.unary_grad[static_cast<int>(op)][F64] = unary_grad<Op, double>;
  }
}

template <class Op, Kind kind, Saves saves>
void fill_binary(ElementwiseTable& t, BinaryOp op) {
  const int i = static_cast<int>(op);
  if constexpr (kind != Kind::bits) {
    t.binary[i][F32] = binary<Op, kind, float>;
    t.binary[i][F64] = binary<Op, kind, double>;
  }
  if constexpr (kind != Kind::floating) {
    t.binary[i][I64] = binary<Op, kind, std::int64_t>;
    t.binary[i][I32] = binary<Op, kind, std::int32_t>;
    t.binary[i][U8] = binary<Op, kind, std::uint8_t>;
  }
  if constexpr (saves == Saves::input) {
    t.binary_grad[0][i][F32] = binary_grad<Op, 0, float>;
    t.binary_grad[0][i][F64] = binary_grad<Op, 0, double>;
    t.binary_grad[1][i][F32] = binary_grad<Op, 1, float>;
    t.binary_grad[1][i][F64] = binary_grad<Op, 1, double>;
  }
}

}  // namespace

void fill_elementwise(ElementwiseTable& t) {
  t.run = run;
  t.copy = copy;
  t.where = where;
  t.iota = iota;
#define LAMINA_FILL_UNARY(name, kind, saves, ...) \
  fill_unary<formula::name##_op, Kind::kind, Saves::saves>(t, UnaryOp::name);
#define LAMINA_FILL_BINARY(name, kind, saves) \
  fill_binary<formula::name##_op, Kind::kind, Saves::saves>(t, BinaryOp::name);
  LAMINA_UNARY_OPS(LAMINA_FILL_UNARY)
  LAMINA_BINARY_OPS(LAMINA_FILL_BINARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
