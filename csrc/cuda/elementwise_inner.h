// One operation over a loop. On CUDA the slots of ElementwiseTable that hold inner loops on the CPU hold functions that
// launch a kernel: p[0] is the loop, whose operands are of the types that are computed in or, for float, of 16 bits.
#pragma once
#include "cuda/elementwise_walk.h"
#include "kernels/elementwise_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

#define LAMINA_OP_TEXT(name, ...) #name,

// What a formula takes and gives for elements of type T: vectors of one lane for floating types, plain integers.
template <class T>
LAMINA_INLINE auto as_lane(T x) {
  if constexpr (Real<T>)
    return Vec<T>(x);
  else
    return x;
}
template <class Out, class R>
LAMINA_INLINE Out from_lane(R r) {
  if constexpr (requires { r.v; })
    return r.v;
  else if constexpr (requires { r.m; })
    return static_cast<Out>(r.m);
  else
    return static_cast<Out>(r);
}

// One formula over a loop. F: In, Out, inputs, and apply(In[], parameters). A thread takes `run` elements: neighbours
// where operands lie straight, else such as its neighbours' are neighbours of.
template <class F>
struct Elementwise {
  static constexpr int kThreads = kElementwiseThreads;
  static constexpr bool kCollective = false;
  static constexpr int inputs = F::inputs, run = kRun<typename F::In>;
  using In = typename F::In;
  using Out = typename F::Out;
  bool straight;
  Walk walk;
  void* out;
  const void* in[inputs];
  Stored out_stored, in_stored[inputs];
  In number[inputs];  // in the place of an operand
  Params params;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::uint32_t numel = walk.numel;
    const auto begin = static_cast<std::uint32_t>(t.block()) * (kThreads * run);
    const std::uint32_t mine = begin + static_cast<std::uint32_t>(t.thread()) * (straight ? run : 1);
    const bool whole = straight && mine + run <= numel;
    const std::uint32_t step = straight ? 1 : kThreads;

    std::int64_t offset[run][inputs + 1];
    In x[inputs][run];
    if (whole) {
#pragma unroll
      for (int k = 0; k < inputs; ++k)
        if (in[k]) read_run(in[k], mine, in_stored[k], x[k]);
    } else {
#pragma unroll
      for (int i = 0; i < run; ++i) {
        const std::uint32_t at = mine + i * step;
        if (at >= numel) continue;
        walk.seek(at, offset[i]);
#pragma unroll
        for (int k = 0; k < inputs; ++k)
          if (in[k]) x[k][i] = read<In>(in[k], offset[i][k + 1], in_stored[k]);
      }
    }
    Out y[run];
#pragma unroll
    for (int i = 0; i < run; ++i) {
      In operands[inputs];
#pragma unroll
      for (int k = 0; k < inputs; ++k) operands[k] = in[k] ? x[k][i] : number[k];
      y[i] = F::apply(operands, params.v);
    }
    if (whole) return write_run(out, mine, out_stored, y);
#pragma unroll
    for (int i = 0; i < run; ++i)
      if (mine + i * step < numel) write(out, offset[i][0], out_stored, y[i]);
  }
};

template <class F>
void inner(void* const* p, std::int64_t, const double* params) {
  in_parts(*static_cast<const Loop*>(p[0]), [&](const Loop& part) {
    Elementwise<F> kernel{.straight = straight(part),
                          .walk = Walk(part),
                          .out = part.operands[0].data,
                          .in = {},
                          .out_stored = stored(part.operands[0].dtype),
                          .in_stored = {},
                          .number = {},
                          .params = {}};
    for (int i = 0; i < F::inputs; ++i) {
      const Operand& o = part.operands[i + 1];
      kernel.in[i] = o.data;
      kernel.in_stored[i] = stored(o.dtype);
      if (!o.data) kernel.number[i] = number_of<typename F::In>(o);
    }
    for (int i = 0; i < kMaxParams; ++i) kernel.params.v[i] = params[i];
    launch(F::name, grid_for(part.numel, Elementwise<F>::kThreads * Elementwise<F>::run), kernel);
  });
}

constexpr int F32 = static_cast<int>(DType::f32), F64 = static_cast<int>(DType::f64),
              I64 = static_cast<int>(DType::i64), I32 = static_cast<int>(DType::i32), U8 = static_cast<int>(DType::u8);

template <Kind kind, class T>
using OutOf = std::conditional_t<kind == Kind::predicate, std::uint8_t, T>;

// The row of an operation: a formula for every type that its kind computes in.
template <template <class> class Formula, Kind kind>
void fill_row(Inner* row) {
  if constexpr (kind != Kind::bits) {
    row[F32] = inner<Formula<float>>;
    row[F64] = inner<Formula<double>>;
  }
  if constexpr (kind != Kind::floating) {
    row[I64] = inner<Formula<std::int64_t>>;
    row[I32] = inner<Formula<std::int32_t>>;
    row[U8] = inner<Formula<std::uint8_t>>;
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
