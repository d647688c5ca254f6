// Products with a vector or a few rows: nothing is reused often enough for register tiles, memory sets the pace.
#pragma once
#include <cstdint>

#include "cpu/gemm_blocked.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr int kDotRows = 4;       // at most so many rows of A are met with B by dot products
constexpr int kDotCols = 4;       // rows of B^T at a time; 8 where A is a single row
constexpr int kPieceCols = 1024;  // columns of C that a piece of work may have

// sums[i][j] = dot of row i of a and row j of b, all contiguous.
template <class T, int R, int C>
void dots(const T* a, std::int64_t a_stride, const T* b, std::int64_t b_stride, std::int64_t k, T* sums, int pitch) {
  constexpr int W = Vec<T>::width;
  Vec<T> s[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) s[r][c] = Vec<T>(T(0));
  const auto step = [&](std::int64_t i, auto load) {
    Vec<T> x[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) x[r] = load(a + r * a_stride + i);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const Vec<T> y = load(b + c * b_stride + i);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) s[r][c] = fma(x[r], y, s[r][c]);
    }
  };
  std::int64_t i = 0;
  for (; i + W <= k; i += W)
    step(
        i, [](const T* p) __attribute__((always_inline)) { return Vec<T>::load(p); });
  const int rest = static_cast<int>(k - i);
  if (rest > 0)
    step(
        i, [rest](const T* p) __attribute__((always_inline)) { return Vec<T>::load(p, rest); });
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) sums[r * pitch + c] = sum(s[r][c]);
}

// One row of A, one of B: eight sums run side by side to hide the latency of an addition.
template <class T>
T long_dot(const T* a, const T* b, std::int64_t k) {
  constexpr int W = Vec<T>::width, kChains = 8;
  Vec<T> s[kChains];
#pragma GCC unroll 8
  for (int c = 0; c < kChains; ++c) s[c] = Vec<T>(T(0));
  std::int64_t i = 0;
  for (; i + kChains * W <= k; i += kChains * W)
#pragma GCC unroll 8
    for (int c = 0; c < kChains; ++c) s[c] = fma(Vec<T>::load(a + i + c * W), Vec<T>::load(b + i + c * W), s[c]);
  for (; i < k; i += W) {
    const int n = static_cast<int>(least(W, k - i));
    s[0] = fma(Vec<T>::load(a + i, n), Vec<T>::load(b + i, n), s[0]);
  }
  return sum(((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7])));
}

template <class T, int R>
void dots_of_rows(const Product<T>& p, std::int64_t col0, int cols, T* sums, int pitch) {
  constexpr int C = R == 1 ? 2 * kDotCols : kDotCols;
  const T* b = p.b.at(0, col0);
  int j = 0;
  for (; j + C <= cols; j += C) dots<T, R, C>(p.a.data, p.a.row, b + j * p.b.col, p.b.col, p.k, sums + j, pitch);
  for (; j < cols; ++j)
    if constexpr (R == 1)
      sums[j] = long_dot(p.a.data, b + j * p.b.col, p.k);
    else
      dots<T, R, 1>(p.a.data, p.a.row, b + j * p.b.col, p.b.col, p.k, sums + j, pitch);
}

// y += sum of `count` rows of b, each times its x.
template <class T, int count>
void add_rows(const T* x, std::int64_t x_stride, const T* b, std::int64_t b_stride, T* y, int cols) {
  constexpr int W = Vec<T>::width;
  Vec<T> factor[count];
#pragma GCC unroll 8
  for (int r = 0; r < count; ++r) factor[r] = Vec<T>(x[r * x_stride]);
  int j = 0;
  for (; j + W <= cols; j += W) {
    Vec<T> s = Vec<T>::load(y + j);
#pragma GCC unroll 8
    for (int r = 0; r < count; ++r) s = fma(factor[r], Vec<T>::load(b + r * b_stride + j), s);
    s.store(y + j);
  }
  if (j < cols) {
    Vec<T> s = Vec<T>::load(y + j, cols - j);
#pragma GCC unroll 8
    for (int r = 0; r < count; ++r) s = fma(factor[r], Vec<T>::load(b + r * b_stride + j, cols - j), s);
    s.store(y + j, cols - j);
  }
}

// How the work on such a product is cut: along n only.
template <class T>
bool by_dots(const Product<T>& p) {
  return p.m <= kDotRows && p.a.col == 1 && p.b.row == 1;
}
template <class T>
bool by_rows(const Product<T>& p) {
  return p.m == 1 && p.b.col == 1;
}

template <class T>
std::int64_t piece_cols(const Product<T>& p, int team) {
  const std::int64_t fair = ceil_div(p.n, by_dots(p) ? 4 * team : 2 * team);
  return least(by_dots(p) ? kPieceCols / kDotRows : kPieceCols, most(ceil_div(fair, 64) * 64, 64));
}

template <class T>
void multiply_cols(const Product<T>& p, std::int64_t col0, int cols) {
  constexpr int W = Vec<T>::width;
  alignas(64) T sums[kPieceCols];
  const int pitch = (cols + W - 1) / W * W;
  if (by_dots(p)) {
    if (p.m == 1) dots_of_rows<T, 1>(p, col0, cols, sums, pitch);
    if (p.m == 2) dots_of_rows<T, 2>(p, col0, cols, sums, pitch);
    if (p.m == 3) dots_of_rows<T, 3>(p, col0, cols, sums, pitch);
    if (p.m == 4) dots_of_rows<T, 4>(p, col0, cols, sums, pitch);
  } else {
    for (int j = 0; j < pitch; j += W) Vec<T>(T(0)).store(sums + j);
    std::int64_t i = 0;
    for (; i + 8 <= p.k; i += 8) add_rows<T, 8>(p.a.at(0, i), p.a.col, p.b.at(i, col0), p.b.row, sums, cols);
    for (; i < p.k; ++i) add_rows<T, 1>(p.a.at(0, i), p.a.col, p.b.at(i, col0), p.b.row, sums, cols);
  }
  put(p.out, sums, pitch, Place{0, col0, static_cast<int>(p.m), cols, true, true});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
