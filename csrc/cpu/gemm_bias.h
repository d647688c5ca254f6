// The gradient of a layer's bias, in one pass with that of its activation.
#pragma once
#include "cpu/team.h"
#include "kernels/gemm.h"
#include "simd/vec.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t kBiasCols = 128, kBiasRows = 32;  // a block of rows stays in the first-level cache
constexpr std::int64_t kBiasElementsWorthAThread = 1 << 15, kBiasElementsWorthAStayingThread = 1 << 12;

// Sums the columns of x[rows, n], whose rows are `cols` apart, and adds that to what was summed of earlier rows.
template <class T>
void add_columns(const T* x, std::int64_t rows, std::int64_t cols, std::int64_t n, T* sums, bool first) {
  constexpr int W = Vec<T>::width, V = 4;
  std::int64_t j = 0;
  for (; j + V * W <= n; j += V * W) {
    Vec<T> s[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) s[v] = Vec<T>::load(x + j + v * W);
    for (std::int64_t r = 1; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) s[v] = s[v] + Vec<T>::load(x + r * cols + j + v * W);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) (first ? s[v] : Vec<T>::load(sums + j + v * W) + s[v]).store(sums + j + v * W);
  }
  for (; j < n; j += W) {
    const int lanes = n - j < W ? static_cast<int>(n - j) : W;
    Vec<T> s = Vec<T>::load(x + j, lanes);
    for (std::int64_t r = 1; r < rows; ++r) s = s + Vec<T>::load(x + r * cols + j, lanes);
    (first ? s : Vec<T>::load(sums + j, lanes) + s).store(sums + j, lanes);
  }
}

// Columns are cut among threads, and every column is summed in one order: by blocks of rows.
template <class T>
void sum_bias_gradient(const BiasGradient& g, Inner derivative) {
  const bool whole_rows = g.cols <= 2 * kBiasCols && !(team_stays() && g.cols > kBiasCols);
  const std::int64_t width = whole_rows ? g.cols : kBiasCols, bands = ceil_div(g.cols, width);
  const std::int64_t worth_a_thread = team_stays() ? kBiasElementsWorthAStayingThread : kBiasElementsWorthAThread;
  const std::int64_t worth = worth_a_thread / (g.rows * width + 1) + 1;
  parallel_for(bands, worth, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t band = first; band < end; ++band)
      for (std::int64_t row = 0; row < g.rows; row += kBiasRows) {
        const std::int64_t col = band * width, n = g.cols - col < width ? g.cols - col : width;
        const std::int64_t rows = g.rows - row < kBiasRows ? g.rows - row : kBiasRows, at = row * g.cols + col;
        const T* dz = static_cast<const T*>(g.dy) + at;
        if (derivative) {
          T* const to = static_cast<T*>(g.dz) + at;
          const T* const saved = static_cast<const T*>(g.saved) + at;
          const bool whole = n == g.cols;  // the rows follow each other without a gap
          for (std::int64_t r = 0; r < (whole ? 1 : rows); ++r) {
            const std::int64_t i = r * g.cols;
            void* const operands[] = {to + i, const_cast<T*>(dz) + i, const_cast<T*>(saved) + i};
            derivative(operands, whole ? rows * n : n, nullptr);
          }
          dz = to;
        }
        if (g.dbias) add_columns(dz, rows, g.cols, n, static_cast<T*>(g.dbias) + col, row == 0);
      }
  });
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
