// From the arguments of a matrix product to a kernel: which way round, which tile, which way to copy.
#pragma once
#include "cuda/gemm.h"
#include "cuda/gemm_product.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kMatmul[] = "matmul";

// One operand as the kernels see it.
struct Side {
  const void* data;
  std::int64_t outer_stride, depth_stride;
  Along along;
  bool chunks;  // 16 bytes at once, along `along`
};

template <class T>
Side side_of(const GemmOperand& operand, std::int64_t outer_stride, std::int64_t depth_stride, std::int64_t outer,
             std::int64_t depth, const GemmArgs& g) {
  if (outer == 1 && depth_stride != 1)
    outer_stride = 1;  // what nothing depends on becomes what can be copied in chunks
  if (depth == 1 && outer_stride != 1) depth_stride = 1;
  Side s{operand.data, outer_stride, depth_stride, depth_stride == 1 ? Along::depth : Along::outer, false};
  if (outer_stride == 1 && outer >= depth) s.along = Along::outer;
  if (outer_stride != 1 && depth_stride != 1) s.along = outer_stride < depth_stride ? Along::outer : Along::depth;
  constexpr std::int64_t kChunk = 16 / sizeof(T);
  const std::int64_t with = s.along == Along::depth ? depth_stride : outer_stride,
                     across = s.along == Along::depth ? outer_stride : depth_stride;
  const std::int64_t lines = s.along == Along::depth ? outer : depth;
  s.chunks = with == 1 && (across % kChunk == 0 || lines == 1) && reinterpret_cast<std::uintptr_t>(s.data) % 16 == 0;
  for (int i = 0; i < g.batch_ndim; ++i) s.chunks = s.chunks && (operand.batch[i] % kChunk == 0 || g.batch[i] == 1);
  return s;
}

template <class T, Along along>
StridedSource<T, along> source_of(const Side& s, std::int64_t outer) {
  return {static_cast<const T*>(s.data), static_cast<int>(outer), static_cast<int>(s.outer_stride),
          static_cast<int>(s.depth_stride), s.chunks};
}

inline bool indexable(std::int64_t x) { return x >= 0 && x <= kLargestIndex; }
inline bool indexable(const GemmArgs& g, std::int64_t matrices) {
  for (const GemmOperand* o : {&g.a, &g.b})
    if (!indexable(o->row) || !indexable(o->col)) return false;
  return indexable(g.m) && indexable(g.n) && indexable(g.k) && indexable(matrices);
}

// C^T = B^T A^T
inline GemmArgs transposed(GemmArgs g) {
  const auto turn = [](GemmOperand o) {
    const std::int64_t row = o.row;
    o.row = o.col;
    o.col = row;
    return o;
  };
  const GemmOperand a = turn(g.a);
  g.a = turn(g.b);
  g.b = a;
  g.c = turn(g.c);
  g.d = turn(g.d);
  g.bias = turn(g.bias);
  const std::int64_t m = g.m;
  g.m = g.n;
  g.n = m;
  return g;
}

template <class T>
Product<T, StridedMap> product_of(const GemmArgs& g, std::int64_t matrices) {
  Product<T, StridedMap> p{.m = g.m, .n = g.n, .k = g.k, .matrices = matrices, .batch = {}, .out = {}};
  p.batch.ndim = g.batch_ndim;
  for (int i = 0; i < g.batch_ndim; ++i) {
    p.batch.size[i] = Divisor(g.batch[i]);
    p.batch.stride[i] = {g.a.batch[i], g.b.batch[i], g.c.batch[i], g.d.batch[i], g.bias.batch[i]};
  }
  p.out.c = static_cast<T*>(g.c.data);
  p.out.z = static_cast<T*>(g.z);
  p.out.d = static_cast<const T*>(g.d.data);
  p.out.bias = static_cast<const T*>(g.bias.data);
  p.out.map = {g.c.row, g.c.col};
  p.out.d_map = {g.d.row, g.d.col};
  p.out.bias_map = {g.bias.row, g.bias.col};
  p.out.alpha = static_cast<decltype(p.out.alpha)>(g.alpha);
  p.out.beta = static_cast<decltype(p.out.beta)>(g.beta);
  p.out.accumulate = g.accumulate;
  p.out.relu = g.activation == UnaryOp::relu;
  p.out.down = g.c.row == 1 && g.c.col != 1;
  return p;
}

template <class Core>
void multiply_by(const GemmArgs& g, const Product<typename Core::T, StridedMap>& p, bool may_split = true) {
  using T = typename Core::T;
  void* parts = nullptr;
  if (const std::size_t bytes = may_split ? parts_bytes<Core>(p) : 0; bytes > 0) {
    parts = cuda_runtime::workspace(bytes);
    if (!parts) return;
  }
  const Side a = side_of<T>(g.a, g.a.row, g.a.col, g.m, g.k, g), b = side_of<T>(g.b, g.b.col, g.b.row, g.n, g.k, g);
  const auto with = [&](const auto& source_a, const auto& source_b) {
    launch_product<Core>(kMatmul, p, source_a, source_b, parts);
  };
  const auto with_a = [&](const auto& source_a) {
    if (b.along == Along::depth) return with(source_a, source_of<T, Along::depth>(b, g.n));
    with(source_a, source_of<T, Along::outer>(b, g.n));
  };
  if (a.along == Along::depth) return with_a(source_of<T, Along::depth>(a, g.m));
  with_a(source_of<T, Along::outer>(a, g.m));
}

// Large tiles reuse what they read most, if they are enough to keep the device busy; `Thin` is for few columns.
constexpr std::int64_t kEnoughBlocks = 128;

template <class Large, class Small, class Thin>
void multiply_tiled(const GemmArgs& args, bool may_split) {
  std::int64_t matrices = 1;
  for (int i = 0; i < args.batch_ndim; ++i) matrices *= args.batch[i];
  if (args.m == 0 || args.n == 0 || matrices == 0) return;
  if (!indexable(args, matrices)) return cuda_runtime::note(kMatmul, cuda_runtime::kTooManyElements);
  const GemmArgs g = args.m <= Thin::kCols && args.n > args.m ? transposed(args) : args;
  const auto p = product_of<typename Large::T>(g, matrices);
  if (g.n <= Thin::kCols) return multiply_by<Thin>(g, p, may_split);
  if (blocks_of<Large>(p) >= kEnoughBlocks) return multiply_by<Large>(g, p, may_split);
  multiply_by<Small>(g, p, may_split);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
