// Gradients of the binary operations of the list in kernels/elementwise.h.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr const char* kNames[] = {LAMINA_BINARY_OPS(LAMINA_OP_TEXT)};

template <BinaryOp op, class Op, int side, class T>
struct BinaryGrad {  // of dy, a and b; by a for side 0, by b for side 1
  using In = T;
  using Out = T;
  static constexpr int inputs = 3;
  static constexpr const char* name = kNames[static_cast<int>(op)];
  LAMINA_INLINE static T apply(const T* x, const double*) {
    if constexpr (side == 0)
      return from_lane<T>(Op::da(as_lane(x[0]), as_lane(x[1]), as_lane(x[2])));
    else
      return from_lane<T>(Op::db(as_lane(x[0]), as_lane(x[1]), as_lane(x[2])));
  }
};

template <BinaryOp op, class Op, Saves saves>
void fill(ElementwiseTable& t) {
  if constexpr (saves == Saves::input) {
    t.binary_grad[0][static_cast<int>(op)][F32] = inner<BinaryGrad<op, Op, 0, float>>;
    t.binary_grad[0][static_cast<int>(op)][F64] = inner<BinaryGrad<op, Op, 0, double>>;
    t.binary_grad[1][static_cast<int>(op)][F32] = inner<BinaryGrad<op, Op, 1, float>>;
    t.binary_grad[1][static_cast<int>(op)][F64] = inner<BinaryGrad<op, Op, 1, double>>;
  }
}

}  // namespace

void fill_elementwise_binary_grad(ElementwiseTable& t) {
#define LAMINA_FILL_BINARY(name, kind, saves) fill<BinaryOp::name, formula::name##_op, Saves::saves>(t);
  LAMINA_BINARY_OPS(LAMINA_FILL_BINARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
