// The CUDA kernels of convolutions, run on the CPU, against sums written out in float64: one to three dimensions,
// strides, dilations, uneven padding, groups, epilogues; operands end where memory ends, results are full of NaN
// beforehand. And the maps of taps by themselves, against brute force.
#include "cuda/channel_sums.h"
#include "cuda/conv_implicit.h"
#include "cuda/gemm_simt.h"
#include "cuda_stand_in.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_conv_depthwise(ConvTable&);
void fill_conv_im2col(ConvTable&);

namespace {

void test_tap_lines() {
  for (int stride = 1; stride <= 5; ++stride)
    for (int dilation = 1; dilation <= 6; ++dilation)
      for (int kernel = 1; kernel <= 7; ++kernel)
        for (int pad = 0; pad <= 7; ++pad) {
          ConvShape s;
          s.stride[2] = stride;
          s.dilation[2] = dilation;
          s.kernel[2] = kernel;
          s.pad_low[2] = pad;
          const TapLine forward = forward_taps(s, 2);
          check(forward.count == kernel, "all taps forwards");
          for (int t = 0; t < kernel; ++t)
            check(forward.tap(t) == t && forward.delta(t) == t * dilation - pad, "delta", stride, dilation, kernel, pad,
                  t);
          for (int remainder = 0; remainder < stride; ++remainder) {
            const TapLine line = gradient_taps(s, 2, remainder);
            int u = 0;
            for (int t = 0; t < kernel; ++t) {
              const int reach = remainder + pad - t * dilation;
              if (reach % stride != 0) continue;
              check(u < line.count && line.tap(u) == t && line.delta(u) == reach / stride, "tap that meets a result",
                    stride, dilation, kernel, pad, remainder, t);
              ++u;
            }
            check(u == line.count, "taps that meet a result", stride, dilation, kernel, pad, remainder, u, line.count);
          }
          for (s.in[2] = 1; s.in[2] < 12; ++s.in[2]) {
            int64_t all = 0;
            for (int r = 0; r < stride; ++r) all += class_size(s, 2, r);
            check(all == s.in[2], "classes of positions", stride, s.in[2]);
          }
        }
}

template <class T>
struct Case {
  ConvShape s;
  Guarded<T> x, w, y;
  explicit Case(const ConvShape& shape)
      : s(shape),
        x(s.batch * s.in_channels * s.in_size()),
        w(s.out_channels * s.group_in() * s.taps()),
        y(s.batch * s.out_channels * s.out_size()) {}

  // f(x, w, y) for the indices of every product.
  template <class F>
  void each_product(const F& f) const {
    for (int64_t n = 0; n < s.batch; ++n)
      for (int64_t o = 0; o < s.out_channels; ++o)
        for (int64_t p = 0; p < s.out_size(); ++p) {
          const int64_t at[3] = {p / (s.out[1] * s.out[2]), p / s.out[2] % s.out[1], p % s.out[2]};
          for (int64_t t = 0; t < s.taps(); ++t) {
            const int64_t tap[3] = {t / (s.kernel[1] * s.kernel[2]), t / s.kernel[2] % s.kernel[1], t % s.kernel[2]};
            int64_t i = 0;
            bool inside = true;
            for (int d = 0; d < 3; ++d) {
              const int64_t meets = at[d] * s.stride[d] + tap[d] * s.dilation[d] - s.pad_low[d];
              inside = inside && meets >= 0 && meets < s.in[d];
              i = i * s.in[d] + meets;
            }
            for (int64_t c = 0; inside && c < s.group_in(); ++c)
              f((n * s.in_channels + o / s.group_out() * s.group_in() + c) * s.in_size() + i,
                (o * s.group_in() + c) * s.taps() + t, (n * s.out_channels + o) * s.out_size() + p);
          }
        }
  }
};

template <class T>
void fill(Guarded<T>& g, Random& random) {
  for (int64_t i = 0; i < g.size; ++i) g.data[i] = static_cast<T>(random.number());
}

struct Sums {  // and what their errors are measured by
  std::vector<double> sum, size;
  explicit Sums(int64_t n) : sum(n), size(n) {}
  void add(int64_t i, double product) {
    sum[i] += product;
    size[i] += std::fabs(product);
  }
};

template <class T>
double unit = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;

// What the epilogue makes of the sums, per channel of `channel` elements.
template <class T>
struct Epilogue {
  Guarded<T> bias, residual, z;
  bool with_bias, with_residual, with_z, relu;
  int64_t channels, channel;
  Epilogue(Random& random, int64_t channels_, int64_t channel_, int64_t n)
      : bias(channels_),
        residual(n),
        z(n),
        with_bias(random.below(2)),
        with_residual(random.below(2)),
        with_z(random.below(2)),
        relu(random.below(2)),
        channels(channels_),
        channel(channel_) {
    fill(bias, random);
    fill(residual, random);
  }
  ConvEpilogue args() const {
    return {with_bias ? bias.data : nullptr, with_residual ? residual.data : nullptr, with_z ? z.data : nullptr,
            relu ? UnaryOp::relu : UnaryOp::count};
  }
  void compare(const char* what, const Guarded<T>& got, const Sums& want, double length) const {
    for (int64_t i = 0; i < got.size; ++i) {
      double value = want.sum[i];
      if (with_bias) value += bias.data[i / channel % channels];
      if (with_residual) value += residual.data[i];
      const double limit = unit<T> * (want.size[i] * (length + 4) + 8 * (std::fabs(value) + 2));
      if (with_z) check(std::fabs(z.data[i] - value) <= limit, "z", i, z.data[i], value);
      if (relu && value < 0) value = 0;
      check(std::fabs(got.data[i] - value) <= limit, what, i, got.data[i], value);
    }
  }
};

template <class T, class Forward, class Data, class Weight>
void test_case(Random& random, const ConvShape& shape, Forward forward, Data data_gradient, Weight weight_gradient) {
  Case<T> c(shape);
  const ConvShape& s = c.s;
  fill(c.x, random);
  fill(c.w, random);
  {
    Sums want(c.y.size);
    c.each_product(
        [&](int64_t i, int64_t w, int64_t o) { want.add(o, static_cast<double>(c.x.data[i]) * c.w.data[w]); });
    Epilogue<T> e(random, s.out_channels, s.out_size(), c.y.size);
    forward(ConvForward{s, c.x.data, c.w.data, c.y.data, e.args()});
    e.compare("forward", c.y, want, static_cast<double>(s.group_in() * s.taps()));
  }
  fill(c.y, random);
  {
    Sums want(c.x.size);
    Guarded<T> dx(c.x.size);
    c.each_product(
        [&](int64_t i, int64_t w, int64_t o) { want.add(i, static_cast<double>(c.y.data[o]) * c.w.data[w]); });
    Epilogue<T> e(random, s.in_channels, s.in_size(), c.x.size);
    data_gradient(ConvDataGradient{s, c.y.data, c.w.data, dx.data, e.args()});
    e.compare("data gradient", dx, want, static_cast<double>(s.group_out() * s.taps()));
  }
  {
    Sums want(c.w.size);
    Guarded<T> dw(c.w.size);
    c.each_product(
        [&](int64_t i, int64_t w, int64_t o) { want.add(w, static_cast<double>(c.y.data[o]) * c.x.data[i]); });
    weight_gradient(ConvWeightGradient{s, c.x.data, c.y.data, dw.data});
    for (int64_t i = 0; i < dw.size; ++i)
      check(std::fabs(dw.data[i] - want.sum[i]) <=
                unit<T> * (want.size[i] * static_cast<double>(s.batch * s.out_size() + 4) + 4),
            "weight gradient", i, dw.data[i], want.sum[i]);
  }
  if (failures)
    std::printf(
        "  in %ld of %ld, groups %ld, channels %ld to %ld, size %ld %ld %ld to %ld %ld %ld, kernel %ld %ld %ld, "
        "stride %ld %ld %ld\n",
        long{sizeof(T)}, s.batch, s.groups, s.in_channels, s.out_channels, s.in[0], s.in[1], s.in[2], s.out[0],
        s.out[1], s.out[2], s.kernel[0], s.kernel[1], s.kernel[2], s.stride[0], s.stride[1], s.stride[2]);
}

ConvShape random_shape(Random& random, DType dtype, int dims) {
  ConvShape s;
  s.dtype = dtype;
  s.batch = 1 + random.below(3);
  s.groups = random.one_of(1, 1, 1, 2, 3);
  s.in_channels = s.groups * random.one_of(1, 2, 3, 5, 8, 17);
  s.out_channels = s.groups * random.one_of(1, 2, 7, 16, 33, 40, 65);
  for (int d = kConvDims - dims; d < kConvDims; ++d) {
    s.in[d] = 1 + random.below(dims == 1 ? 60 : dims == 2 ? 14 : 7);
    s.kernel[d] = random.one_of(1, 2, 3, 3, 4, 5);
    s.stride[d] = random.one_of(1, 1, 2, 3);
    s.dilation[d] = random.one_of(1, 1, 2, 3);
    s.pad_low[d] = random.below(4);
    s.pad_high[d] = random.below(4);
    const int64_t reach = (s.kernel[d] - 1) * s.dilation[d] + 1;
    if (s.in[d] + s.pad_low[d] + s.pad_high[d] < reach) s.pad_high[d] = reach - s.in[d];
    s.out[d] = (s.in[d] + s.pad_low[d] + s.pad_high[d] - reach) / s.stride[d] + 1;
  }
  return s;
}

template <class Conv>
void test_tiles(Random& random, DType dtype, int rounds) {
  for (int i = 0; i < rounds; ++i)
    test_case<typename Conv::T>(random, random_shape(random, dtype, 1 + i % 3), Conv::forward, Conv::data_gradient,
                                Conv::weight_gradient);
}

// Through the table: by columns, and depthwise.
void test_algorithm(Random& random, ConvAlgorithm algorithm, DType dtype, int rounds) {
  ConvTable table{};
  fill_conv_depthwise(table);
  fill_conv_im2col(table);
  const int a = static_cast<int>(algorithm);
  for (int i = 0; i < rounds; ++i) {
    ConvShape s = random_shape(random, dtype, 1 + i % 3);
    if (algorithm == ConvAlgorithm::depthwise) {
      s.out_channels = s.in_channels * random.one_of(1, 1, 2, 3);
      s.groups = s.in_channels;
    }
    const auto run = [&](auto zero) {
      test_case<decltype(zero)>(random, s, table.forward[a], table.data_gradient[a], table.weight_gradient[a]);
    };
    dtype == DType::f64 ? run(0.0) : run(0.0f);
  }
}

// Gradients of biases: rows of channels, and planes.
void test_channel_sums(Random& random) {
  for (int i = 0; i < 30; ++i) {
    const int outer = random.one_of(1, 2, 300, 1100, 5000), channels = 1 + random.below(70),
              inner = random.one_of(1, 1, 7, 30);
    Guarded<float> x(int64_t{outer} * channels * inner), sums(channels);
    fill(x, random);
    sum_channels("test", DType::f32, x.data, sums.data, outer, channels, inner);
    for (int c = 0; c < channels; ++c) {
      double want = 0;
      for (int o = 0; o < outer; ++o)
        for (int e = 0; e < inner; ++e) want += x.data[(o * channels + c) * inner + e];
      check(std::fabs(sums.data[c] - want) < 1e-4 + 1e-6 * outer * inner, "channel sums", outer, channels, inner, c,
            sums.data[c], want);
    }
  }
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

int main(int argc, char** argv) {
  using namespace lamina;
  using namespace lamina::LAMINA_TARGET;
  Random random{argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1};
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 12;
  test_tap_lines();
  test_tiles<ImplicitConv<FloatTile, FloatSmallTile, FloatFlatTile>>(random, DType::f32, 3 * rounds);
  test_tiles<ImplicitConv<FloatTile, FloatTile, FloatTile>>(random, DType::f32, rounds);
  test_tiles<ImplicitConv<DoubleTile, DoubleTile, DoubleTile>>(random, DType::f64, rounds);
  for (const DType dtype : {DType::f32, DType::f64})
    for (const ConvAlgorithm a : {ConvAlgorithm::im2col, ConvAlgorithm::depthwise})
      test_algorithm(random, a, dtype, rounds);
  test_channel_sums(random);
  check(cuda_runtime::noted == 0, "an error was noted", cuda_runtime::noted);
  return failures != 0;
}
