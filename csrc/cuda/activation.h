// Activations that no epilogue holds, and their derivatives: a pass of their own over the result, by the elementwise
// family.
#pragma once
#include <initializer_list>

#include "kernels/elementwise.h"
#include "kernels/table.h"

namespace lamina {
namespace LAMINA_TARGET {

const KernelTable& table();

namespace {

inline bool is_separate(UnaryOp op) { return op != UnaryOp::count && op != UnaryOp::relu; }
inline DType computed_in(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

// x = op(x) over a loop without an operand yet; `strides` as its shape.
inline void activate(Loop loop, const std::int64_t* strides, void* x, DType dtype, UnaryOp op, const Params& params) {
  loop.operand_count = 2;
  for (Operand* o : {&loop.operands[0], &loop.operands[1]}) {
    o->data = x;
    o->dtype = dtype;
    for (int i = 0; i < loop.ndim; ++i) o->strides[i] = strides[i];
  }
  const DType compute = computed_in(dtype);
  table().elementwise.run(loop, table().elementwise.unary[static_cast<int>(op)][static_cast<int>(compute)], compute,
                          compute, params);
}

inline Loop line_of(std::int64_t n) {
  Loop loop{};
  loop.ndim = 1;
  loop.numel = loop.shape[0] = n;
  return loop;
}
inline void activate(void* x, std::int64_t n, DType dtype, UnaryOp op, const Params& params) {
  constexpr std::int64_t kOne = 1;
  activate(line_of(n), &kOne, x, dtype, op, params);
}

// dz = op'(dy, saved), n contiguous elements.
inline void activation_gradient(void* dz, const void* dy, const void* saved, std::int64_t n, DType dtype, UnaryOp op) {
  Loop loop = line_of(n);
  loop.operand_count = 3;
  const void* const data[] = {dz, dy, saved};
  for (int i = 0; i < 3; ++i) {
    loop.operands[i].data = const_cast<void*>(data[i]);
    loop.operands[i].dtype = dtype;
    loop.operands[i].strides[0] = 1;
  }
  const DType compute = computed_in(dtype);
  table().elementwise.run(loop, table().elementwise.unary_grad[static_cast<int>(op)][static_cast<int>(compute)],
                          compute, compute, Params{});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
