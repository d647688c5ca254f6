// Matrix products: from the caller's arguments to the unit for their type.
#include "cuda/activation.h"
#include "cuda/channel_sums.h"
#include "cuda/gemm.h"
#include "cuda/gemm_product.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Exact modulo 2^bits, whatever the order.
template <class T>
struct MultiplyIntegers {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  const T *a, *b, *d, *bias;
  T* c;
  StridedMap a_map, b_map, c_map, d_map, bias_map;
  std::uint64_t alpha, beta;
  bool accumulate;
  std::int64_t k, elements;
  Divisor rows, cols;
  BatchOffsets batch;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= elements) return;
    int matrix, row, col, above;
    cols.divmod(static_cast<int>(e), above, col);
    rows.divmod(above, matrix, row);
    const BatchOffsets::Of at = batch.at(matrix);
    std::uint64_t sum = 0;
    for (std::int64_t i = 0; i < k; ++i)
      sum += static_cast<std::uint64_t>(a[at.a + row * a_map.row + i * a_map.col]) *
             static_cast<std::uint64_t>(b[at.b + i * b_map.row + col * b_map.col]);
    T& result = c[at.c + c_map.at(row, col)];
    std::uint64_t z = alpha * sum;
    if (accumulate) z += static_cast<std::uint64_t>(result);
    if (d) z += beta * static_cast<std::uint64_t>(d[at.d + d_map.at(row, col)]);
    if (bias) z += static_cast<std::uint64_t>(bias[at.bias + bias_map.at(row, col)]);
    result = static_cast<T>(z);
  }
};

std::int64_t matrices_of(const GemmArgs& g) {
  std::int64_t n = 1;
  for (int i = 0; i < g.batch_ndim; ++i) n *= g.batch[i];
  return n;
}

BatchOffsets batch_of(const GemmArgs& g) {
  BatchOffsets b;
  b.ndim = g.batch_ndim;
  for (int i = 0; i < g.batch_ndim; ++i) {
    b.size[i] = Divisor(g.batch[i]);
    b.stride[i] = {g.a.batch[i], g.b.batch[i], g.c.batch[i], g.d.batch[i], g.bias.batch[i]};
  }
  return b;
}

template <class T>
void multiply_integers(const GemmArgs& g) {
  const std::int64_t elements = g.m * g.n * matrices_of(g);
  if (elements == 0) return;
  if (elements > kLargestIndex) return cuda_runtime::note("matmul", cuda_runtime::kTooManyElements);
  const auto data = [](const GemmOperand& o) { return static_cast<const T*>(o.data); };
  const auto map = [](const GemmOperand& o) { return StridedMap{o.row, o.col}; };
  const MultiplyIntegers<T> k{data(g.a),
                              data(g.b),
                              data(g.d),
                              data(g.bias),
                              static_cast<T*>(g.c.data),
                              map(g.a),
                              map(g.b),
                              map(g.c),
                              map(g.d),
                              map(g.bias),
                              static_cast<std::uint64_t>(static_cast<std::int64_t>(g.alpha)),
                              static_cast<std::uint64_t>(static_cast<std::int64_t>(g.beta)),
                              g.accumulate,
                              g.k,
                              elements,
                              Divisor(g.m),
                              Divisor(g.n),
                              batch_of(g)};
  launch("matmul", grid_for(elements, MultiplyIntegers<T>::kThreads), k);
}

void multiply_sums(const GemmArgs& g) {
  switch (g.dtype) {
    case DType::f32: return cuda_runtime::tf32_allowed() ? multiply_tf32(g, true) : multiply_float32(g, true);
    case DType::f64: return multiply_float64(g, true);
    case DType::bf16:
#ifdef __CUDACC__  // the stand-in for a GPU has no Hopper
      if (multiply_bfloat16_sm90(g)) return;
#endif
      return multiply_bfloat16(g, true);
    case DType::f16: return multiply_float16(g, true);
    case DType::i64: return multiply_integers<std::int64_t>(g);
    case DType::i32: return multiply_integers<std::int32_t>(g);
    case DType::u8: return multiply_integers<std::uint8_t>(g);
    default: return;
  }
}

void multiply(const GemmArgs& g) {
  multiply_sums(g);
  const std::int64_t elements = g.m * g.n * matrices_of(g);
  if (!is_separate(g.activation) || elements == 0) return;
  Loop loop{};
  std::int64_t strides[kLoopDims];
  for (int i = 0; i < g.batch_ndim; ++i) {
    loop.shape[i] = g.batch[i];
    strides[i] = g.c.batch[i];
  }
  loop.shape[g.batch_ndim] = g.m;
  loop.shape[g.batch_ndim + 1] = g.n;
  strides[g.batch_ndim] = g.c.row;
  strides[g.batch_ndim + 1] = g.c.col;
  loop.ndim = g.batch_ndim + 2;
  loop.numel = elements;
  activate(loop, strides, g.c.data, g.dtype, g.activation, g.params);
}

void bias_gradient(BiasGradient g) {
  if (g.activation != UnaryOp::count) activation_gradient(g.dz, g.dy, g.saved, g.rows * g.cols, g.dtype, g.activation);
  if (g.dbias)
    sum_channels("linear", g.dtype, g.activation == UnaryOp::count ? g.dy : g.dz, g.dbias, g.rows, g.cols, 1);
}

}  // namespace

void fill_gemm(GemmTable& t) { t = {multiply, nullptr, nullptr, bias_gradient}; }

}  // namespace LAMINA_TARGET
}  // namespace lamina
