// The unary operations of the list in kernels/elementwise.h.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr const char* kNames[] = {LAMINA_UNARY_OPS(LAMINA_OP_TEXT)};

template <UnaryOp op, class Op, Kind kind>
struct Unary {
  template <class T>
  struct Of {
    using In = T;
    using Out = OutOf<kind, T>;
    static constexpr int inputs = 1;
    static constexpr const char* name = kNames[static_cast<int>(op)];
    LAMINA_INLINE static Out apply(const T* x, const double* p) { return from_lane<Out>(Op::f(as_lane(x[0]), p)); }
  };
};

template <UnaryOp op, class Op, Kind kind>
void fill(ElementwiseTable& t) {
  fill_row<Unary<op, Op, kind>::template Of, kind>(t.unary[static_cast<int>(op)]);
}

}  // namespace

void fill_elementwise_unary(ElementwiseTable& t) {
#define LAMINA_FILL_UNARY(name, kind, saves, ...) fill<UnaryOp::name, formula::name##_op, Kind::kind>(t);
  LAMINA_UNARY_OPS(LAMINA_FILL_UNARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
