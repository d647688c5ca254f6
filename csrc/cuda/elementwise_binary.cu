// The binary operations of the list in kernels/elementwise.h.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr const char* kNames[] = {LAMINA_BINARY_OPS(LAMINA_OP_TEXT)};

template <BinaryOp op, class Op, Kind kind, class T>
struct Binary {
  using In = T;
  using Out = OutOf<kind, T>;
  static constexpr int inputs = 2;
  static constexpr const char* name = kNames[static_cast<int>(op)];
  LAMINA_INLINE static Out apply(const T* x, const double*) {
    return from_lane<Out>(Op::f(as_lane(x[0]), as_lane(x[1])));
  }
};

template <BinaryOp op, class Op, Kind kind>
void fill(ElementwiseTable& t) {
  Inner* row = t.binary[static_cast<int>(op)];
  if constexpr (kind != Kind::bits) {
    row[F32] = inner<Binary<op, Op, kind, float>>;
    row[F64] = inner<Binary<op, Op, kind, double>>;
  }
  if constexpr (kind != Kind::floating) {
    row[I64] = inner<Binary<op, Op, kind, std::int64_t>>;
    row[I32] = inner<Binary<op, Op, kind, std::int32_t>>;
    row[U8] = inner<Binary<op, Op, kind, std::uint8_t>>;
  }
}

}  // namespace

void fill_elementwise_binary(ElementwiseTable& t) {
#define LAMINA_FILL_BINARY(name, kind, saves) fill<BinaryOp::name, formula::name##_op, Kind::kind>(t);
  LAMINA_BINARY_OPS(LAMINA_FILL_BINARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
