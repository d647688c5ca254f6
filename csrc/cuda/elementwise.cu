// Element-wise operations that are in no list: copies and conversions, choices, ramps; and the way to those of the
// lists.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// ---- copies ----

// The same bytes: T is an unsigned integer of the element's size.
template <class T>
struct CopyRuns {
  static constexpr int kThreads = kElementwiseThreads;
  static constexpr bool kCollective = false;
  static constexpr int run = 32 / static_cast<int>(sizeof(T));
  std::int64_t numel;
  T* out;
  const T* in;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t first = t.global() * run;
    if (first + run <= numel) {
      T x[run];
      read_run(in + first, x);
      return write_run(out + first, x);
    }
    for (std::int64_t i = first; i < numel; ++i) out[i] = in[i];
  }
};

template <class To>
struct Convert {
  static constexpr int kThreads = kElementwiseThreads;
  static constexpr bool kCollective = false;
  Walk walk;
  To* out;
  const void* in;
  DType in_type;
  To number;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= walk.numel) return;
    std::int64_t offset[2];
    walk.seek(static_cast<std::uint32_t>(i), offset);
    out[offset[0]] = in ? read_as<To>(in, offset[1], in_type) : number;
  }
};

template <class T>
void copy_runs(const Loop& loop) {
  launch("copy", grid_for(loop.numel, std::int64_t{kElementwiseThreads} * CopyRuns<T>::run),
         CopyRuns<T>{loop.numel, static_cast<T*>(loop.operands[0].data), static_cast<const T*>(loop.operands[1].data)});
}

void copy(Loop loop) {
  const Operand &to = loop.operands[0], &from = loop.operands[1];
  if (from.data && from.dtype == to.dtype && straight(loop)) {
    switch (item_size(to.dtype)) {
      case 8: return copy_runs<std::uint64_t>(loop);
      case 4: return copy_runs<std::uint32_t>(loop);
      case 2: return copy_runs<std::uint16_t>(loop);
      default: return copy_runs<std::uint8_t>(loop);
    }
  }
  in_parts(loop, [](const Loop& part) {
    const Operand &out = part.operands[0], &in = part.operands[1];
    for_type(out.dtype, [&](auto* type) {
      using To = std::remove_pointer_t<decltype(type)>;
      launch(
          "copy", grid_for(part.numel, kElementwiseThreads),
          Convert<To>{Walk(part), static_cast<To*>(out.data), in.data, in.dtype, in.data ? To{} : number_of<To>(in)});
    });
  });
}

// ---- the operations of the lists ----

// Truth values are bytes of 0 and 1; other bytes are none.
bool directly(DType from, DType to, bool half) { return from == to || half || (from == DType::b8 && to == DType::u8); }
bool half_of(DType stored, DType computed) {
  return computed == DType::f32 && (stored == DType::f16 || stored == DType::bf16);
}
bool read_directly(DType stored, DType computed) { return directly(stored, computed, half_of(stored, computed)); }
bool written_directly(DType stored, DType computed) { return directly(computed, stored, half_of(stored, computed)); }

// Operands of other types are converted in working memory.
void run(Loop loop, Inner inner, DType in_type, DType out_type, Params params) {
  std::size_t bytes = 0;
  const auto room = [&](DType t) {
    const std::size_t at = bytes;
    bytes += (static_cast<std::size_t>(loop.numel) * item_size(t) + 255) & ~std::size_t{255};
    return at;
  };
  std::size_t at[kLoopOperands] = {};
  bool converts[kLoopOperands] = {};
  for (int k = 0; k < loop.operand_count; ++k) {
    const DType computed = k == 0 ? out_type : in_type;
    const DType stored = loop.operands[k].dtype;
    converts[k] = loop.operands[k].data && !(k == 0 ? written_directly : read_directly)(stored, computed);
    if (converts[k]) at[k] = room(computed);
  }
  char* const memory = bytes ? static_cast<char*>(cuda_runtime::workspace(bytes)) : nullptr;
  if (bytes && !memory) return;

  Loop direct = loop;
  for (int k = 0; k < loop.operand_count; ++k) {
    if (!converts[k]) continue;
    Operand& o = direct.operands[k];
    o.data = memory + at[k];
    o.dtype = k == 0 ? out_type : in_type;
    std::int64_t step = 1;
    for (int d = loop.ndim - 1; d >= 0; --d) {
      o.strides[d] = step;
      step *= loop.shape[d];
    }
  }
  const auto conversion = [&](const Operand& to, const Operand& from) {
    Loop l = loop;
    l.operand_count = 2;
    l.operands[0] = to;
    l.operands[1] = from;
    copy(l);
  };
  for (int k = 1; k < loop.operand_count; ++k)
    if (converts[k]) conversion(direct.operands[k], loop.operands[k]);
  void* const p = &direct;
  inner(&p, loop.numel, params.v);
  if (converts[0]) conversion(loop.operands[0], direct.operands[0]);
}

// ---- choices ----

template <class T>
struct Where {
  static constexpr int kThreads = kElementwiseThreads;
  static constexpr bool kCollective = false;
  Walk walk;
  T* out;
  const std::uint8_t* chosen;
  const T *a, *b;
  T number_a, number_b;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= walk.numel) return;
    std::int64_t offset[4];
    walk.seek(static_cast<std::uint32_t>(i), offset);
    out[offset[0]] = chosen[offset[1]] ? (a ? a[offset[2]] : number_a) : (b ? b[offset[3]] : number_b);
  }
};

template <class T>
void where_of(const Loop& part) {
  const Operand* o = part.operands;
  T numbers[2] = {};
  for (int k = 0; k < 2; ++k)
    if (!o[k + 2].data) __builtin_memcpy(&numbers[k], &o[k + 2].immediate, sizeof(T));
  launch("where", grid_for(part.numel, kElementwiseThreads),
         Where<T>{Walk(part), static_cast<T*>(o[0].data), static_cast<const std::uint8_t*>(o[1].data),
                  static_cast<const T*>(o[2].data), static_cast<const T*>(o[3].data), numbers[0], numbers[1]});
}

void where(Loop loop) {
  in_parts(loop, [](const Loop& part) {
    switch (item_size(part.operands[0].dtype)) {
      case 8: return where_of<std::uint64_t>(part);
      case 4: return where_of<std::uint32_t>(part);
      case 2: return where_of<std::uint16_t>(part);
      default: return where_of<std::uint8_t>(part);
    }
  });
}

// ---- ramps ----

struct Iota {
  static constexpr int kThreads = kElementwiseThreads;
  static constexpr bool kCollective = false;
  void* out;
  DType dtype;
  double start, step;
  std::int64_t int_start, int_step, n;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t i = t.global();
    if (i >= n) return;
    if (is_floating(dtype))
      write_as(out, i, dtype, start + static_cast<double>(i) * step);
    else
      write_as(out, i, dtype, int_start + i * int_step);
  }
};

void iota(void* out, DType dtype, double start, double step, std::int64_t int_start, std::int64_t int_step,
          std::int64_t n) {
  launch("arange", grid_for(n, kElementwiseThreads), Iota{out, dtype, start, step, int_start, int_step, n});
}

}  // namespace

void fill_elementwise_unary(ElementwiseTable&);
void fill_elementwise_unary_grad(ElementwiseTable&);
void fill_elementwise_binary(ElementwiseTable&);
void fill_elementwise_binary_grad(ElementwiseTable&);

void fill_elementwise(ElementwiseTable& t) {
  t.run = run;
  t.copy = copy;
  t.where = where;
  t.iota = iota;
  fill_elementwise_unary(t);
  fill_elementwise_unary_grad(t);
  fill_elementwise_binary(t);
  fill_elementwise_binary_grad(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
