// Convolutions with the columns of every image written out, [channels × taps][positions], and then a matrix product:
// slow, and plain enough to trust.
#include "cuda/conv_map.h"
#include "cuda/conv_slots.h"
#include "cuda/gemm.h"
#include "cuda/gemm_output.h"
#include "cuda/gemm_product.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kForward[] = "convolution", kGradient[] = "gradient of a convolution";

template <class T>
struct WriteColumns {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  const T* x;
  T* columns;
  std::int64_t elements, inputs, outputs, taps;
  ConvShape s;

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= elements) return;
    const std::int64_t p = e % outputs, row = e / outputs, tap = row % taps, c = row / taps;
    const std::int64_t at[3] = {p / (s.out[1] * s.out[2]), p / s.out[2] % s.out[1], p % s.out[2]};
    const std::int64_t u[3] = {tap / (s.kernel[1] * s.kernel[2]), tap / s.kernel[2] % s.kernel[1], tap % s.kernel[2]};
    std::int64_t from = c;
    bool inside = true;
    for (int d = 0; d < 3; ++d) {
      const std::int64_t i = at[d] * s.stride[d] + u[d] * s.dilation[d] - s.pad_low[d];
      inside = inside && i >= 0 && i < s.in[d];
      from = from * s.in[d] + i;
    }
    columns[e] = inside ? x[from] : T(0);
  }
};

// Every element of the image sums what the columns hold of it, tap by tap.
template <class T>
struct ReadColumns {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  const T* columns;
  std::int64_t elements, inputs, outputs, taps;
  ConvShape s;
  Output<T, StridedMap> out;  // [channel][position]

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= elements) return;
    const std::int64_t i = e % inputs, c = e / inputs;
    const std::int64_t at[3] = {i / (s.in[1] * s.in[2]), i / s.in[2] % s.in[1], i % s.in[2]};
    T sum = 0;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const std::int64_t u[3] = {tap / (s.kernel[1] * s.kernel[2]), tap / s.kernel[2] % s.kernel[1], tap % s.kernel[2]};
      std::int64_t p = 0;
      bool meets = true;
      for (int d = 0; d < 3; ++d) {
        const std::int64_t reach = at[d] + s.pad_low[d] - u[d] * s.dilation[d];
        meets = meets && reach >= 0 && reach % s.stride[d] == 0 && reach / s.stride[d] < s.out[d];
        p = p * s.out[d] + reach / s.stride[d];
      }
      if (meets) sum += columns[(c * taps + tap) * outputs + p];
    }
    out.put(0, 0, 0, static_cast<int>(c), static_cast<int>(i), sum);
  }
};

void multiply(const GemmArgs& g) { g.dtype == DType::f64 ? multiply_float64(g, false) : multiply_float32(g, false); }

template <class T>
GemmOperand matrix(const T* data, std::int64_t row, std::int64_t col) {
  return {.data = const_cast<T*>(data), .row = row, .col = col};
}

GemmArgs product(const ConvShape& s, std::int64_t m, std::int64_t n, std::int64_t k) {
  GemmArgs g;
  g.dtype = s.dtype;
  g.m = m;
  g.n = n;
  g.k = k;
  return g;
}

template <class T>
T* room_for_columns(const ConvShape& s) {
  return static_cast<T*>(
      cuda_runtime::workspace(static_cast<std::size_t>(s.group_in() * s.taps() * s.out_size()) * sizeof(T)));
}

template <class T>
void write_columns(const char* op, const ConvShape& s, const T* x, T* columns) {
  const std::int64_t elements = s.group_in() * s.taps() * s.out_size();
  launch(op, grid_for(elements, WriteColumns<T>::kThreads),
         WriteColumns<T>{x, columns, elements, s.in_size(), s.out_size(), s.taps(), s});
}

template <class T>
T* moved(const void* p, std::int64_t n) {
  return p ? const_cast<T*>(static_cast<const T*>(p)) + n : nullptr;
}

struct Columns {
  static constexpr bool kTakesHalves = false;
  template <class T>
  static void run(const ConvForward& f) {
    const ConvShape& s = f.shape;
    const std::int64_t depth = s.group_in() * s.taps(), outputs = s.out_size();
    T* const columns = room_for_columns<T>(s);
    if (!columns) return;
    for (std::int64_t i = 0; i < s.batch * s.groups; ++i) {
      const std::int64_t channel = i % s.groups * s.group_out(), result = i * s.group_out() * outputs;
      write_columns(kForward, s, moved<T>(f.x, i * s.group_in() * s.in_size()), columns);
      GemmArgs g = product(s, s.group_out(), outputs, depth);
      g.a = matrix(moved<T>(f.weight, channel * depth), depth, 1);
      g.b = matrix(columns, outputs, 1);
      g.c = matrix(moved<T>(f.y, result), outputs, 1);
      g.d = matrix(moved<T>(f.epilogue.residual, result), outputs, 1);
      g.bias = matrix(moved<T>(f.epilogue.bias, channel), 1, 0);
      g.z = moved<T>(f.epilogue.z, result);
      g.activation = f.epilogue.activation;
      multiply(g);
    }
  }

  template <class T>
  static void run(const ConvDataGradient& f) {
    const ConvShape& s = f.shape;
    const std::int64_t depth = s.group_in() * s.taps(), outputs = s.out_size();
    T* const columns = room_for_columns<T>(s);
    if (!columns) return;
    for (std::int64_t i = 0; i < s.batch * s.groups; ++i) {
      const std::int64_t result = i * s.group_in() * s.in_size();
      GemmArgs g = product(s, depth, outputs, s.group_out());
      g.a = matrix(moved<T>(f.weight, i % s.groups * s.group_out() * depth), 1, depth);
      g.b = matrix(moved<T>(f.dy, i * s.group_out() * outputs), outputs, 1);
      g.c = matrix(columns, outputs, 1);
      multiply(g);
      ReadColumns<T> k;
      k.columns = columns;
      k.elements = s.group_in() * s.in_size();
      k.inputs = s.in_size();
      k.outputs = outputs;
      k.taps = s.taps();
      k.s = s;
      k.out.c = moved<T>(f.dx, result);
      k.out.map = k.out.d_map = {s.in_size(), 1};
      k.out.d = moved<T>(f.epilogue.residual, result);
      k.out.bias = moved<T>(f.epilogue.bias, i % s.groups * s.group_in());
      k.out.bias_map = {1, 0};
      k.out.z = moved<T>(f.epilogue.z, result);
      k.out.relu = f.epilogue.activation == UnaryOp::relu;
      launch(kGradient, grid_for(k.elements, k.kThreads), k);
    }
  }

  template <class T>
  static void run(const ConvWeightGradient& f) {
    const ConvShape& s = f.shape;
    const std::int64_t depth = s.group_in() * s.taps(), outputs = s.out_size();
    T* const columns = room_for_columns<T>(s);
    if (!columns) return;
    for (std::int64_t i = 0; i < s.batch * s.groups; ++i) {
      write_columns(kGradient, s, moved<T>(f.x, i * s.group_in() * s.in_size()), columns);
      GemmArgs g = product(s, s.group_out(), depth, outputs);
      g.a = matrix(moved<T>(f.dy, i * s.group_out() * outputs), outputs, 1);
      g.b = matrix(columns, 1, outputs);
      g.c = matrix(moved<T>(f.dweight, i % s.groups * s.group_out() * depth), depth, 1);
      g.accumulate = i >= s.groups;
      multiply(g);
    }
  }
};

}  // namespace

void fill_conv_im2col(ConvTable& t) { ConvSlots<Columns>::fill(t, ConvAlgorithm::im2col); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
