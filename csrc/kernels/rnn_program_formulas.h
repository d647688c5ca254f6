// The operations of cell programs.
#pragma once
#include "kernels/rnn_program.h"
#include "simd/math.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

#define LAMINA_CELL_OP(name, formula)                                            \
  struct name##_op {                                                             \
    template <class V>                                                           \
    static LAMINA_INLINE V of(V a, [[maybe_unused]] V b, [[maybe_unused]] V c) { \
      return formula;                                                            \
    }                                                                            \
  };
LAMINA_CELL_OPS(LAMINA_CELL_OP)
#undef LAMINA_CELL_OP

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
