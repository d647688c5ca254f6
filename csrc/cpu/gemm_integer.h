// Integer matrix products: exact modulo 2^bits, so plain loops in any order will do.
#pragma once
#include <cstdint>

#include "core/parallel.h"
#include "kernels/gemm.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// One row of C. Sums wrap around: unsigned, so that this is defined.
template <class T>
void multiply_row(const GemmArgs& g, const T* a, const T* b, const T* d, const T* bias, T* c) {
  const auto alpha = static_cast<std::uint64_t>(static_cast<std::int64_t>(g.alpha));
  const auto beta = static_cast<std::uint64_t>(static_cast<std::int64_t>(g.beta));
  constexpr std::int64_t kCols = 256;
  for (std::int64_t j0 = 0; j0 < g.n; j0 += kCols) {
    const std::int64_t cols = g.n - j0 < kCols ? g.n - j0 : kCols;
    std::uint64_t sums[kCols] = {};
    for (std::int64_t i = 0; i < g.k; ++i) {
      const auto x = static_cast<std::uint64_t>(a[i * g.a.col]);
      const T* row = b + i * g.b.row + j0 * g.b.col;
      for (std::int64_t j = 0; j < cols; ++j) sums[j] += x * static_cast<std::uint64_t>(row[j * g.b.col]);
    }
    for (std::int64_t j = 0; j < cols; ++j) {
      const std::int64_t at = j0 + j;
      std::uint64_t z = alpha * sums[j];
      if (g.accumulate) z += static_cast<std::uint64_t>(c[at * g.c.col]);
      if (d) z += beta * static_cast<std::uint64_t>(d[at * g.d.col]);
      if (bias) z += static_cast<std::uint64_t>(bias[at * g.bias.col]);
      c[at * g.c.col] = static_cast<T>(z);
    }
  }
}

template <class T>
void multiply_integers(const GemmArgs& g) {
  std::int64_t rows = g.m;
  for (int i = 0; i < g.batch_ndim; ++i) rows *= g.batch[i];
  const std::int64_t work = g.n * (g.k + 1);
  parallel_for(rows, 1 + (1 << 17) / (work + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const auto row_of = [&](const GemmOperand& operand, std::int64_t row_stride) {
        std::int64_t offset = r % g.m * row_stride, index = r / g.m;
        for (int i = g.batch_ndim - 1; i >= 0; --i) {
          offset += index % g.batch[i] * operand.batch[i];
          index /= g.batch[i];
        }
        return operand.data ? static_cast<T*>(operand.data) + offset : nullptr;
      };
      multiply_row(g, row_of(g.a, g.a.row), row_of(g.b, 0), row_of(g.d, g.d.row), row_of(g.bias, g.bias.row),
                   row_of(g.c, g.c.row));
    }
  });
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
