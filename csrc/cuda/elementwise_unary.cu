// The unary operations of the list in kernels/elementwise.h.
#include "cuda/elementwise_inner.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr const char* kNames[] = {LAMINA_UNARY_OPS(LAMINA_OP_TEXT)};

template <UnaryOp op, class Op, Kind kind, class T>
struct Unary {
  using In = T;
  using Out = OutOf<kind, T>;
  static constexpr int inputs = 1;
  static constexpr const char* name = kNames[static_cast<int>(op)];
  LAMINA_INLINE static Out apply(const T* x, const double* p) { return from_lane<Out>(Op::f(as_lane(x[0]), p)); }
};

template <UnaryOp op, class Op, Kind kind>
void fill(ElementwiseTable& t) {
  Inner* row = t.unary[static_cast<int>(op)];
  if constexpr (kind != Kind::bits) {
    row[F32] = inner<Unary<op, Op, kind, float>>;
    row[F64] = inner<Unary<op, Op, kind, double>>;
  }
  if constexpr (kind != Kind::floating) {
    row[I64] = inner<Unary<op, Op, kind, std::int64_t>>;
    row[I32] = inner<Unary<op, Op, kind, std::int32_t>>;
    row[U8] = inner<Unary<op, Op, kind, std::uint8_t>>;
  }
}

}  // namespace

void fill_elementwise_unary(ElementwiseTable& t) {
#define LAMINA_FILL_UNARY(name, kind, saves, ...) fill<UnaryOp::name, formula::name##_op, Kind::kind>(t);
  LAMINA_UNARY_OPS(LAMINA_FILL_UNARY)
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
