// The way of finished sums into C: accumulation, scaling, addends, activation, any strides.
#pragma once
#include <cstdint>

#include "cpu/gemm_micro.h"
#include "cpu/gemm_pack.h"
#include "kernels/elementwise_formulas.h"
#include "kernels/gemm.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

template <class T>
struct Matrix {
  T* data;
  std::int64_t row, col;
  T* at(std::int64_t i, std::int64_t j) const { return data + i * row + j * col; }
};

template <class T>
struct Output {
  Matrix<T> c;
  bool accumulate = false;
  T alpha = T(1), beta = T(1);
  Matrix<const T> d = {}, bias = {};  // data null: absent
  T* z = nullptr;                     // null: absent
  bool relu = false;                  // after everything else
  Inner activation = nullptr;         // null: none
  const double* params = nullptr;

  // Sums may be stored as they are and finished where they lie: the usual layer, too small to be worked on twice.
  bool in_place() const {
    return alpha == T(1) && !d.data && (!bias.data || (bias.row == 0 && bias.col == 1)) && !z && !activation;
  }
};

// A rectangle of C. Sums arrive in parts, one per block of k.
struct Place {
  std::int64_t row, col;
  int rows, cols;
  bool first, last;
};

template <class T>
LAMINA_INLINE Vec<T> load_strided(const T* p, std::int64_t stride, int n) {
  if (stride == 1) return Vec<T>::load(p, n);
  if (stride == 0) return Vec<T>(*p);
  alignas(64) T lanes[Vec<T>::width] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i * stride];
  return Vec<T>::load(lanes);
}

// tile += factor * from, where the columns of `from` are contiguous
template <class T>
void add_transposed(T* tile, int pitch, const Place& at, Matrix<const T> from, T factor) {
  constexpr int W = Vec<T>::width;
  alignas(64) T block[W][W] = {};
  Vec<T> rows[W];
  for (int r = 0; r < at.rows; r += W) {
    const int n = at.rows - r < W ? at.rows - r : W;
    for (int j = 0; j < at.cols; j += W) {
      const int width = at.cols - j < W ? at.cols - j : W;
      for (int i = 0; i < width; ++i) Vec<T>::load(from.at(at.row + r, at.col + j + i), n).store(block[i]);
      load_transposed(block[0], W, rows);
      for (int i = 0; i < n; ++i) {
        T* p = tile + (r + i) * pitch + j;
        fma(Vec<T>(factor), rows[i], Vec<T>::load(p)).store(p);
      }
    }
  }
}

// tile += factor * from
template <class T>
void add_matrix(T* tile, int pitch, const Place& at, Matrix<const T> from, T factor) {
  constexpr int W = Vec<T>::width;
  if (from.row == 1 && from.col > 1) return add_transposed(tile, pitch, at, from, factor);
  for (int r = 0; r < at.rows; ++r)
    for (int j = 0; j < at.cols; j += W) {
      const int n = at.cols - j < W ? at.cols - j : W;
      T* p = tile + r * pitch + j;
      fma(Vec<T>(factor), load_strided(from.at(at.row + r, at.col + j), from.col, n), Vec<T>::load(p)).store(p);
    }
}

template <class T>
void copy_out(const T* tile, int pitch, const Place& at, Matrix<T> to) {
  constexpr int W = Vec<T>::width;
  if (to.col == 1) {
    for (int r = 0; r < at.rows; ++r) {
      const T* from = tile + r * pitch;
      T* out = to.at(at.row + r, at.col);
      int j = 0;
      for (; j + W <= at.cols; j += W) Vec<T>::load(from + j).store(out + j);
      if (j < at.cols) Vec<T>::load(from + j).store(out + j, at.cols - j);
    }
  } else if (to.row == 1) {
    Vec<T> columns[W];
    for (int r = 0; r < at.rows; r += W) {
      const int n = at.rows - r < W ? at.rows - r : W;
      for (int j = 0; j < at.cols; j += W) {
        const int width = at.cols - j < W ? at.cols - j : W;
        load_block(tile + r * pitch + j, pitch, 1, n, W, columns);
        for (int i = 0; i < width; ++i) columns[i].store(to.at(at.row + r, at.col + j + i), n);
      }
    }
  } else {
    for (int r = 0; r < at.rows; ++r)
      for (int j = 0; j < at.cols; ++j) *to.at(at.row + r, at.col + j) = tile[r * pitch + j];
  }
}

template <class T>
Matrix<const T> read_only(Matrix<T> m) {
  return {m.data, m.row, m.col};
}

// What an output that is in_place() still lacks, over whole vectors of C.
template <class T>
void finish(const Output<T>& out, const Place& at) {
  constexpr int W = Vec<T>::width;
  if (!out.bias.data && !out.relu) return;
  for (int j = 0; j < at.cols; j += W) {
    const Vec<T> bias = out.bias.data ? Vec<T>::load(out.bias.at(0, at.col + j)) : Vec<T>(T(0));
    for (int r = 0; r < at.rows; ++r) {
      T* const p = out.c.at(at.row + r, at.col + j);
      Vec<T> x = Vec<T>::load(p);
      if (out.bias.data) x = x + bias;
      (out.relu ? formula::relu_op::f(x, nullptr) : x).store(p);
    }
  }
}

// `tile` holds at.rows rows of `pitch` elements, a whole number of vectors and >= at.cols.
template <class T>
void put(const Output<T>& out, T* tile, int pitch, const Place& at) {
  constexpr int W = Vec<T>::width;
  const int size = at.rows * pitch;
  if (out.alpha != T(1))
    for (int i = 0; i < size; i += W) (Vec<T>::load(tile + i) * Vec<T>(out.alpha)).store(tile + i);
  if (!at.first || out.accumulate) add_matrix(tile, pitch, at, read_only(out.c), T(1));
  if (at.last) {
    if (out.d.data) add_matrix(tile, pitch, at, out.d, out.beta);
    if (out.bias.data) add_matrix(tile, pitch, at, out.bias, T(1));
    if (out.z) copy_out(tile, pitch, at, Matrix<T>{out.z, out.c.row, out.c.col});
    if (out.activation) {
      void* const operands[] = {tile, tile};
      out.activation(operands, size, out.params);
    }
    if (out.relu)
      for (int i = 0; i < size; i += W) formula::relu_op::f(Vec<T>::load(tile + i), nullptr).store(tile + i);
  }
  copy_out(tile, pitch, at, out.c);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
