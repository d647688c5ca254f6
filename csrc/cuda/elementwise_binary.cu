// The binary operations of the list in kernels/elementwise.h.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr const char* kNames[] = {LAMINA_BINARY_OPS(LAMINA_OP_TEXT)};

template <BinaryOp op, class Op, Kind kind>
struct Binary {
  template <class T>
  struct Of {
    using In = T;
    using Out = OutOf<kind, T>;
    static constexpr int inputs = 2;
    static constexpr const char* name = kNames[static_cast<int>(op)];
    LAMINA_INLINE static Out apply(const T* x, const double*) {
      return from_lane<Out>(Op::f(as_lane(x[0]), as_lane(x[1])));
    }
  };
};

template <BinaryOp op, class Op, Kind kind>
void fill(ElementwiseTable& t) {
  fill_row<Binary<op, Op, kind>::template Of, kind>(t.binary[static_cast<int>(op)]);
}

}  // namespace

void fill_elementwise_binary(ElementwiseTable& t) {
#define LAMINA_FILL_BINARY(name, kind, saves) fill<BinaryOp::name, formula::name##_op, Kind::kind>(t);
  LAMINA_BINARY_OPS(LAMINA_FILL_BINARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
