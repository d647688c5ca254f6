// The plain oracle: the columns of one image and group are written out, [channels · taps, outputs], and a matrix
// product does the rest.
#include "core/scratch.h"
#include "cpu/conv_epilogue.h"
#include "cpu/team.h"
#include "kernels/gemm.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// visit(p, q, n): outputs p, p + 1, … (n of them) of one channel see, through one tap, the inputs q, q + stride, …
template <class Visit>
void for_runs(const ConvShape& s, std::int64_t tap, Visit visit) {
  const std::int64_t t[kConvDims] = {tap / (s.kernel[1] * s.kernel[2]), tap / s.kernel[2] % s.kernel[1],
                                     tap % s.kernel[2]};
  std::int64_t shift[kConvDims];
  for (int d = 0; d < kConvDims; ++d) shift[d] = t[d] * s.dilation[d] - s.pad_low[d];
  const std::int64_t stride = s.stride[2], first = shift[2] < 0 ? ceil_div(-shift[2], stride) : 0;
  const std::int64_t room = s.in[2] - shift[2], end = least(s.out[2], room > 0 ? ceil_div(room, stride) : 0);
  if (first >= end) return;
  for (std::int64_t a = 0; a < s.out[0]; ++a)
    for (std::int64_t b = 0; b < s.out[1]; ++b) {
      const std::int64_t i = a * s.stride[0] + shift[0], j = b * s.stride[1] + shift[1];
      if (i < 0 || i >= s.in[0] || j < 0 || j >= s.in[1]) continue;
      visit((a * s.out[1] + b) * s.out[2] + first, (i * s.in[1] + j) * s.in[2] + first * stride + shift[2],
            end - first);
    }
}

template <class T>
void write_columns(const ConvShape& s, const T* x, T* columns) {
  const std::int64_t taps = s.taps(), outputs = s.out_size();
  parallel_for(s.group_in() * taps, 1 + (1 << 14) / outputs, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* const from = x + row / taps * s.in_size();
      T* const to = columns + row * outputs;
      for (std::int64_t p = 0; p < outputs; ++p) to[p] = T(0);
      for_runs(s, row % taps, [&](std::int64_t p, std::int64_t q, std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) to[p + i] = from[q + i * s.stride[2]];
      });
    }
  });
}

template <class T>
void add_columns(const ConvShape& s, const T* columns, T* x) {
  const std::int64_t taps = s.taps(), outputs = s.out_size();
  parallel_for(s.group_in(), 1 + (1 << 14) / (outputs * taps), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      T* const to = x + c * s.in_size();
      for (std::int64_t p = 0; p < s.in_size(); ++p) to[p] = T(0);
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const T* const from = columns + (c * taps + tap) * outputs;
        for_runs(s, tap, [&](std::int64_t p, std::int64_t q, std::int64_t n) {
          for (std::int64_t i = 0; i < n; ++i) to[q + i * s.stride[2]] += from[p + i];
        });
      }
    }
  });
}

template <class T>
T* room_for_columns(const ConvShape& s) {
  return static_cast<T*>(scratch(Scratch::conv, s.group_in() * s.taps() * s.out_size() * sizeof(T)));
}

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
void forward(const ConvForward& f) {
  const ConvShape& s = f.shape;
  const std::int64_t depth = s.group_in() * s.taps(), outputs = s.out_size();
  T* const columns = room_for_columns<T>(s);
  for (std::int64_t i = 0; i < s.batch * s.groups; ++i) {
    const std::int64_t first = i % s.groups * s.group_out();
    write_columns(s, static_cast<const T*>(f.x) + i * s.group_in() * s.in_size(), columns);
    GemmArgs g = product(s, s.group_out(), outputs, depth);
    g.a = matrix(static_cast<const T*>(f.weight) + first * depth, depth, 1);
    g.b = matrix(columns, outputs, 1);
    g.c = matrix(static_cast<T*>(f.y) + i * s.group_out() * outputs, outputs, 1);
    table().gemm.multiply(g);
  }
  const Finish<T> finish(f.epilogue);
  parallel_for(s.batch * s.out_channels, 1 + (1 << 14) / outputs, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      finish.run(static_cast<T*>(f.y), i % s.out_channels, i * outputs, outputs);
  });
}

template <class T>
void data_gradient(const ConvDataGradient& f) {
  const ConvShape& s = f.shape;
  const std::int64_t depth = s.group_in() * s.taps(), outputs = s.out_size();
  T* const columns = room_for_columns<T>(s);
  for (std::int64_t i = 0; i < s.batch * s.groups; ++i) {
    const std::int64_t first = i % s.groups * s.group_out();
    GemmArgs g = product(s, depth, outputs, s.group_out());
    g.a = matrix(static_cast<const T*>(f.weight) + first * depth, 1, depth);
    g.b = matrix(static_cast<const T*>(f.dy) + i * s.group_out() * outputs, outputs, 1);
    g.c = matrix(columns, outputs, 1);
    table().gemm.multiply(g);
    add_columns(s, columns, static_cast<T*>(f.dx) + i * s.group_in() * s.in_size());
  }
  const Finish<T> finish(f.epilogue);
  for (std::int64_t i = 0; i < s.batch * s.in_channels; ++i)
    finish.run(static_cast<T*>(f.dx), i % s.in_channels, i * s.in_size(), s.in_size());
}

template <class T>
void weight_gradient(const ConvWeightGradient& f) {
  const ConvShape& s = f.shape;
  const std::int64_t depth = s.group_in() * s.taps(), outputs = s.out_size();
  T* const columns = room_for_columns<T>(s);
  for (std::int64_t i = 0; i < s.batch * s.groups; ++i) {
    const std::int64_t first = i % s.groups * s.group_out();
    write_columns(s, static_cast<const T*>(f.x) + i * s.group_in() * s.in_size(), columns);
    GemmArgs g = product(s, s.group_out(), depth, outputs);
    g.accumulate = i >= s.groups;
    g.a = matrix(static_cast<const T*>(f.dy) + i * s.group_out() * outputs, outputs, 1);
    g.b = matrix(columns, 1, outputs);
    g.c = matrix(static_cast<T*>(f.dweight) + first * depth, depth, 1);
    table().gemm.multiply(g);
  }
}

}  // namespace

void fill_conv_im2col(ConvTable& t) {
  constexpr int i = static_cast<int>(ConvAlgorithm::im2col);
  t.forward[i] = [](ConvForward f) { f.shape.dtype == DType::f64 ? forward<double>(f) : forward<float>(f); };
  t.data_gradient[i] = [](ConvDataGradient f) {
    f.shape.dtype == DType::f64 ? data_gradient<double>(f) : data_gradient<float>(f);
  };
  t.weight_gradient[i] = [](ConvWeightGradient f) {
    f.shape.dtype == DType::f64 ? weight_gradient<double>(f) : weight_gradient<float>(f);
  };
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
