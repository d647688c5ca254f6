// Convolutions with one input channel to a group: a thread for every result, whose neighbours read neighbours.
#include "cuda/conv_map.h"
#include "cuda/conv_slots.h"
#include "cuda/gemm_output.h"
#include "cuda/gemm_product.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr char kForward[] = "convolution", kGradient[] = "gradient of a convolution";

// Results of the forward pass (each channel o reads channel o / fan) or of one class of the image's gradient (each
// channel sums over the fan channels of its group).
template <class T, bool kSumFan>
struct DepthwiseGather {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = false;
  const T *from, *weight;
  std::int64_t results;  // images × channels × positions
  int fan;
  Divisor channels, fans;
  Counter3 positions;
  Image image;
  TapLine taps[3];
  int kernel[3], from_channel;  // elements of a channel that is read
  Output<T, ImageMap> out;      // its pixel counts positions of all images

  LAMINA_KERNEL void operator()(const Thread& t) const {
    const std::int64_t e = t.global();
    if (e >= results) return;
    int at[3], which, channel;
    channels.divmod(positions.within(static_cast<int>(e), at), which, channel);
    const int place = (at[0] * positions.sizes[1] + at[1]) * positions.sizes[2] + at[2];
    const std::int64_t begin = image.origin(which, at);
    ComputeOf<T> sum = 0;
    for (int f = 0; f < (kSumFan ? fan : 1); ++f) {
      const int source = kSumFan ? channel * fan + f : fans.divide(channel);
      const T* const x = from + begin + source * std::int64_t{from_channel};
      const T* const w = weight + (kSumFan ? source : channel) * std::int64_t{kernel[0]} * kernel[1] * kernel[2];
      for (int z = 0; z < taps[0].count; ++z)
        for (int y = 0; y < taps[1].count; ++y)
          for (int u = 0; u < taps[2].count; ++u) {
            Tap tap{0, {taps[0].delta(z), taps[1].delta(y), taps[2].delta(u)}};
            if (!image.inside(at, tap)) continue;
            tap.offset = tap.delta[0] * image.plane + tap.delta[1] * image.line + tap.delta[2];
            const T weight_here = w[(taps[0].tap(z) * kernel[1] + taps[1].tap(y)) * kernel[2] + taps[2].tap(u)];
            sum = fused(widened(x[tap.offset]), widened(weight_here), sum);
          }
    }
    out.put(0, 0, 0, channel, which * static_cast<int>(positions.all.value) + place, sum);
  }
};

template <class T, bool kSumFan>
void gather(const char* op, const ConvShape& s, const ConvPass& pass, const void* from, const void* weight,
            void* result, const ConvEpilogue& epilogue) {
  const std::int64_t channels = kSumFan ? s.in_channels : s.out_channels;
  DepthwiseGather<T, kSumFan> k;
  k.from = static_cast<const T*>(from);
  k.weight = static_cast<const T*>(weight);
  k.results = s.batch * channels * pass.pixels();
  if (k.results > kLargestIndex) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  k.fan = static_cast<int>(s.group_out());
  k.channels = Divisor(channels);
  k.fans = Divisor(s.group_out());
  k.positions = pass.map.pixels;
  k.image = pass.image;
  k.from_channel = pass.image.size[0] * pass.image.plane;
  for (int d = 0; d < 3; ++d) {
    k.taps[d] = pass.taps[d];
    k.kernel[d] = static_cast<int>(s.kernel[d]);
  }
  k.out.c = static_cast<T*>(result);
  k.out.map = k.out.d_map = pass.map;
  k.out.d = static_cast<const T*>(epilogue.residual);
  k.out.bias = static_cast<const T*>(epilogue.bias);
  k.out.bias_map = {1, 0};
  k.out.z = static_cast<T*>(epilogue.z);
  k.out.relu = epilogue.activation == UnaryOp::relu;
  launch(op, grid_for(k.results, k.kThreads), k);
}

// One weight with each block, a sum over images and positions: threads take every kThreads-th, then halves join.
template <class T>
struct DepthwiseWeight {
  static constexpr int kThreads = 256;
  static constexpr bool kCollective = true;
  struct Shared {
    ComputeOf<T> sums[kThreads];
  };
  const T *x, *dy;
  T* dweight;
  int terms, in_channels, out_channels;  // terms: images × positions
  Divisor fan;
  Counter3 positions, taps;
  Image image;
  TapLine lines[3];

  LAMINA_KERNEL void operator()(const Thread& t) const {
    Shared& shared = t.template shared<DepthwiseWeight>();
    int u[3];
    const int channel = taps.within(t.block(), u), source = fan.divide(channel);
    Tap tap{0, {lines[0].delta(u[0]), lines[1].delta(u[1]), lines[2].delta(u[2])}};
    tap.offset = tap.delta[0] * image.plane + tap.delta[1] * image.line + tap.delta[2];
    const std::int64_t per_channel = positions.all.value, x_channel = image.size[0] * std::int64_t{image.plane};
    ComputeOf<T> sum = 0;
    for (int e = t.thread(); e < terms; e += kThreads) {
      int at[3];
      const int which = positions.within(e, at);
      const std::int64_t place = e - which * per_channel;
      const std::int64_t origin = image.origin(which, at);
      if (!image.inside(at, tap)) continue;
      sum = fused(widened(x[origin + source * x_channel + tap.offset]),
                  widened(dy[(std::int64_t{which} * out_channels + channel) * per_channel + place]), sum);
    }
    shared.sums[t.thread()] = sum;
    for (int half = kThreads / 2; half > 0; half /= 2) {
      t.sync();
      if (t.thread() < half) shared.sums[t.thread()] += shared.sums[t.thread() + half];
    }
    if (t.thread() == 0) dweight[t.block()] = narrowed<T>(shared.sums[0]);
  }
};

struct Depthwise {
  static constexpr bool kTakesHalves = true;
  template <class T>
  static void run(const ConvForward& a) {
    gather<T, false>(kForward, a.shape, forward_pass(a.shape), a.x, a.weight, a.y, a.epilogue);
  }
  template <class T>
  static void run(const ConvDataGradient& a) {
    const ConvShape& s = a.shape;
    for (std::int64_t z = 0; z < s.stride[0] && z < s.in[0]; ++z)
      for (std::int64_t y = 0; y < s.stride[1] && y < s.in[1]; ++y)
        for (std::int64_t x = 0; x < s.stride[2] && x < s.in[2]; ++x)
          gather<T, true>(kGradient, s, gradient_pass(s, {z, y, x}), a.dy, a.weight, a.dx, a.epilogue);
  }
  template <class T>
  static void run(const ConvWeightGradient& a) {
    const ConvShape& s = a.shape;
    const ConvPass pass = forward_pass(s);
    if (s.batch * s.out_size() > kLargestIndex) return cuda_runtime::note(kGradient, cuda_runtime::kTooManyElements);
    DepthwiseWeight<T> k{static_cast<const T*>(a.x),
                         static_cast<const T*>(a.dy),
                         static_cast<T*>(a.dweight),
                         static_cast<int>(s.batch * s.out_size()),
                         static_cast<int>(s.in_channels),
                         static_cast<int>(s.out_channels),
                         Divisor(s.group_out()),
                         pass.map.pixels,
                         Counter3(s.kernel[0], s.kernel[1], s.kernel[2]),
                         pass.image,
                         {pass.taps[0], pass.taps[1], pass.taps[2]}};
    launch(kGradient, {s.out_channels * s.taps()}, k);
  }
};

}  // namespace

void fill_conv_depthwise(ConvTable& t) { ConvSlots<Depthwise>::fill(t, ConvAlgorithm::depthwise); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
