// The interpreter of cell programs. An instruction works on a few dozen units at a time, so that its choice costs
// little and all values stay in the first-level cache.
#pragma once
#include "kernels/rnn_program_formulas.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
constexpr std::int64_t kProgramUnits = 512 / sizeof(T);

template <class T>
struct CellRegisters {
  alignas(64) T rows[kProgramRows][kProgramUnits<T>];
};

// out[i] = Op of a[i], b[i], c[i] for i < n; out may be any of them.
template <class Op, class T>
void for_units(T* out, const T* a, const T* b, const T* c, std::int64_t n) {
  using V = Vec<T>;
  std::int64_t i = 0;
  for (; i + V::width <= n; i += V::width) Op::of(V::load(a + i), V::load(b + i), V::load(c + i)).store(out + i);
  if (i == n) return;
  const int left = static_cast<int>(n - i);
  Op::of(V::load(a + i, left), V::load(b + i, left), V::load(c + i, left)).store(out + i, left);
}

template <class T>
void run_program(const CellProgram& program, T* const* slots, std::int64_t n) {
  const std::int32_t* at = program.code;
  for (int k = 0; k < program.instructions; ++k, at += kProgramFields) {
    T* const out = slots[at[1]];
    const T *const a = slots[at[2]], *const b = slots[at[3]], *const c = slots[at[4]];
    switch (static_cast<CellOp>(at[0])) {
#define LAMINA_CELL_OP(name, formula) \
  case CellOp::name: for_units<name##_op, T>(out, a, b, c, n); break;
      LAMINA_CELL_OPS(LAMINA_CELL_OP)
#undef LAMINA_CELL_OP
      case CellOp::count: break;
    }
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
