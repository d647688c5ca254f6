// Walking the iteration space of a kernel, a stretch of a row at a time.
#pragma once
#include "kernels/loop.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kGrain = 32768;  // elements a thread takes at once

// Position of a flat index: the element that each operand has there.
struct Cursor {
  std::int64_t index[kLoopDims];
  std::int64_t offset[kLoopOperands];
};

void seek(const Loop& loop, std::int64_t flat, Cursor& c) {
  for (int k = 0; k < loop.operand_count; ++k) c.offset[k] = 0;
  for (int d = loop.ndim - 1; d >= 0; --d) {
    c.index[d] = flat % loop.shape[d];
    flat /= loop.shape[d];
    for (int k = 0; k < loop.operand_count; ++k) c.offset[k] += c.index[d] * loop.operands[k].strides[d];
  }
}

// Forward by n elements that do not pass the end of the current row.
void advance(const Loop& loop, std::int64_t n, Cursor& c) {
  const int last = loop.ndim - 1;
  c.index[last] += n;
  for (int k = 0; k < loop.operand_count; ++k) c.offset[k] += n * loop.operands[k].strides[last];
  for (int d = last; d > 0 && c.index[d] == loop.shape[d]; --d) {
    c.index[d] = 0;
    ++c.index[d - 1];
    for (int k = 0; k < loop.operand_count; ++k) {
      const Operand& o = loop.operands[k];
      c.offset[k] += o.strides[d - 1] - loop.shape[d] * o.strides[d];
    }
  }
}

LAMINA_INLINE char* address(const Operand& o, std::int64_t offset) {
  return static_cast<char*>(o.data) + offset * static_cast<std::int64_t>(item_size(o.dtype));
}

// Calls body(cursor, begin of run, length) for every stretch of a row inside flat elements [begin, end).
template <class Body>
void for_each_run(const Loop& loop, std::int64_t begin, std::int64_t end, Body body) {
  const std::int64_t row = loop.shape[loop.ndim - 1];
  Cursor c;
  seek(loop, begin, c);
  for (std::int64_t at = begin; at < end;) {
    std::int64_t n = row - c.index[loop.ndim - 1];
    if (n > end - at) n = end - at;
    body(c, at, n);
    advance(loop, n, c);
    at += n;
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
