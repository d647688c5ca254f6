// Gradients of the unary operations of the list in kernels/elementwise.h.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr const char* kNames[] = {LAMINA_UNARY_OPS(LAMINA_OP_TEXT)};

template <UnaryOp op, class Op, class T>
struct UnaryGrad {  // of dy and what is saved
  using In = T;
  using Out = T;
  static constexpr int inputs = 2;
  static constexpr const char* name = kNames[static_cast<int>(op)];
  LAMINA_INLINE static T apply(const T* x, const double* p) {
    return from_lane<T>(Op::df(as_lane(x[0]), as_lane(x[1]), p));
  }
};

template <UnaryOp op, class Op, Saves saves>
void fill(ElementwiseTable& t) {
  if constexpr (saves != Saves::no_gradient) {
    t.unary_grad[static_cast<int>(op)][F32] = inner<UnaryGrad<op, Op, float>>;
    t.unary_grad[static_cast<int>(op)][F64] = inner<UnaryGrad<op, Op, double>>;
  }
}

}  // namespace

void fill_elementwise_unary_grad(ElementwiseTable& t) {
#define LAMINA_FILL_UNARY(name, kind, saves, ...) fill<UnaryOp::name, formula::name##_op, Saves::saves>(t);
  LAMINA_UNARY_OPS(LAMINA_FILL_UNARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
