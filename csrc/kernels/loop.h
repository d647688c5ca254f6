// The iteration space of an element-wise kernel, passed by value: sizes, and for every operand (the output is operand
// 0) its first element, its strides in elements (0 where it is broadcast) and its type. Dimensions run outermost first.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace lamina {

constexpr int kLoopDims = 8;
constexpr int kLoopOperands = 4;
constexpr int kMaxParams = 4;

// A Python number in the place of a tensor travels inside the operand: no memory, no launch to fill it.
union Immediate {
  double f64;
  float f32;
  std::int64_t i64;
  std::int32_t i32;
  std::uint8_t u8;
};

struct Operand {
  void* data;  // null: the value is `immediate`, of this operand's type
  Immediate immediate;
  std::int64_t strides[kLoopDims];
  DType dtype;
};

struct Loop {
  int ndim;
  int operand_count;
  std::int64_t numel;
  std::int64_t shape[kLoopDims];
  Operand operands[kLoopOperands];
};

struct Params {
  double v[kMaxParams];
};

// The arithmetic of one operation on contiguous runs of its compute type: p[0] receives, p[1…] are read.
using Inner = void (*)(void* const* p, std::int64_t n, const double* params);

}  // namespace lamina
