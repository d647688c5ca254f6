// From index tensors to element offsets, a block at a time.
#pragma once
#include "kernels/index.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kPositionBlock = 512;

// Adds wrap(index) · step for n positions that are `stride` apart.
template <class I>
void add_offsets(const I* index, std::int64_t stride, std::int64_t n, std::int64_t size, std::int64_t step,
                 std::int64_t* out) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t v = index[i * stride];
    out[i] += (v < 0 ? v + size : v) * step;
  }
}

// Calls body(operand strides' offsets, first, length) for every stretch of the innermost dimension inside [begin, end).
template <class Body>
void for_each_stretch(const Positions& p, std::int64_t begin, std::int64_t end, Body body) {
  const std::int64_t row = p.shape[p.ndim - 1];
  for (std::int64_t at = begin; at < end;) {
    std::int64_t index[kLoopDims];
    std::int64_t flat = at;
    for (int d = p.ndim - 1; d >= 0; --d) {
      index[d] = flat % p.shape[d];
      flat /= p.shape[d];
    }
    std::int64_t n = row - index[p.ndim - 1];
    if (n > end - at) n = end - at;
    for (int k = 0; k < p.operand_count; ++k) {
      std::int64_t offset = 0;
      for (int d = 0; d < p.ndim; ++d) offset += index[d] * p.operands[k].strides[d];
      body(k, offset, at, n);
    }
    at += n;
  }
}

// out[i] = element offset of position begin + i, for n ≤ kPositionBlock.
void position_offsets(const Positions& p, std::int64_t begin, std::int64_t n, std::int64_t* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = 0;
  for_each_stretch(p, begin, begin + n, [&](int k, std::int64_t offset, std::int64_t at, std::int64_t length) {
    const IndexOperand& o = p.operands[k];
    const std::int64_t stride = o.strides[p.ndim - 1];
    if (o.dtype == DType::i64)
      add_offsets(static_cast<const std::int64_t*>(o.data) + offset, stride, length, o.size, o.step,
                  out + (at - begin));
    else
      add_offsets(static_cast<const std::int32_t*>(o.data) + offset, stride, length, o.size, o.step,
                  out + (at - begin));
  });
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
