// The table of convolutions, and the gradient of a layer's bias in one pass with that of its activation.
#include "kernels/conv.h"

#include "core/scratch.h"
#include "cpu/conv_epilogue.h"
#include "cpu/pool_halves.h"
#include "cpu/team.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_conv_im2col(ConvTable&);
void fill_conv_depthwise(ConvTable&);
void fill_conv_direct(ConvTable&);
void fill_conv_direct_weight(ConvTable&);
void fill_conv_implicit(ConvTable&);
void fill_conv_interleaved(ConvTable&);
void fill_conv_interleaved_weight(ConvTable&);
void fill_conv_weight(ConvTable&);
void fill_conv_winograd(ConvTable&);

namespace {

constexpr std::int64_t kBiasRun = 1 << 14;  // elements that one thread takes at once

template <class T>
T sum_of(const T* x, std::int64_t n) {
  constexpr int W = Vec<T>::width, flight = 4;
  Vec<T> s[flight];
#pragma GCC unroll 4
  for (Vec<T>& v : s) v = Vec<T>(T(0));
  std::int64_t i = 0;
  for (; i + flight * W <= n; i += flight * W)
#pragma GCC unroll 4
    for (int k = 0; k < flight; ++k) s[k] = s[k] + Vec<T>::load(x + i + k * W);
  for (; i < n; i += W) s[0] = s[0] + Vec<T>::load(x + i, n - i < W ? static_cast<int>(n - i) : W);
  return sum((s[0] + s[1]) + (s[2] + s[3]));
}

// Every plane (one channel of one image) is summed by itself, by plane(i, where its sum goes, or null); the sums of a
// channel are joined in the order of the batch.
template <class T, class Plane>
void for_planes_of(std::int64_t batch, std::int64_t channels, std::int64_t size, void* dbias, Plane plane) {
  const std::int64_t planes = batch * channels;
  T* const sums = dbias ? static_cast<T*>(scratch(Scratch::conv, planes * sizeof(T))) : nullptr;
  parallel_for(planes, 1 + kBiasRun / size, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) plane(i, sums ? sums + i : nullptr);
  });
  for (std::int64_t c = 0; sums && c < channels; ++c) {
    double total = 0;
    for (std::int64_t n = 0; n < batch; ++n) total += sums[n * channels + c];
    static_cast<T*>(dbias)[c] = static_cast<T>(total);
  }
}

template <class T>
void bias_gradient(const ConvBiasGradient& g, Inner derivative) {
  for_planes_of<T>(g.batch, g.channels, g.size, g.dbias, [&](std::int64_t i, T* sum) {
    const T* dz = static_cast<const T*>(g.dy) + i * g.size;
    if (derivative) {
      T* const to = static_cast<T*>(g.dz) + i * g.size;
      void* const operands[] = {to, const_cast<T*>(dz), const_cast<T*>(static_cast<const T*>(g.saved) + i * g.size)};
      derivative(operands, g.size, nullptr);
      dz = to;
    }
    if (sum) *sum = sum_of(dz, g.size);
  });
}

template <class T>
T sum_of_passed(const T* dy, const std::uint8_t* positions, std::int64_t n) {
  constexpr int W = Vec<T>::width;
  Vec<T> sums(T(0));
  std::int64_t i = 0;
  for (; i + W <= n; i += W) {
    const Vec<T> place = from_bytes<T>(positions + i, W);
    sums = sums + select(place < Vec<T>(T(kPooledAway)), Vec<T>::load(dy + i), Vec<T>(T(0)));
  }
  T total = sum(sums);
  for (; i < n; ++i) total += positions[i] < kPooledAway ? dy[i] : T(0);
  return total;
}

template <class T>
void pooled_gradient(const ConvPooledGradient& g) {
  const PoolAxis rows{g.height, g.height / 2, 2, 2}, columns{g.width, g.width / 2, 2, 2};
  const Pool plane{1, {{}, rows, columns}};
  const std::int64_t size = g.height * g.width, left = plane_out(plane);
  for_planes_of<T>(g.batch, g.channels, size, g.dbias, [&](std::int64_t i, T* sum) {
    const T* const dy = static_cast<const T*>(g.dy) + i * left;
    const std::uint8_t* const positions = g.positions + i * left;
    if (sum) *sum = sum_of_passed(dy, positions, left);
    if (g.dz) max_grad_two_by_two(plane, dy, positions, static_cast<T*>(g.dz) + i * size);
  });
}

void pooled_gradient_of(ConvPooledGradient g) {
  g.dtype == DType::f64 ? pooled_gradient<double>(g) : pooled_gradient<float>(g);
}

void bias_gradient_of(ConvBiasGradient g) {
  const Inner derivative =
      g.activation == UnaryOp::count
          ? nullptr
          : table().elementwise.unary_grad[static_cast<int>(g.activation)][static_cast<int>(g.dtype)];
  g.dtype == DType::f64 ? bias_gradient<double>(g, derivative) : bias_gradient<float>(g, derivative);
}

}  // namespace

void fill_conv(ConvTable& t) {
  t.bias_gradient = bias_gradient_of;
  t.pooled_gradient = pooled_gradient_of;
  fill_conv_im2col(t);
  fill_conv_depthwise(t);
  fill_conv_direct(t);
  fill_conv_direct_weight(t);
  fill_conv_implicit(t);
  fill_conv_interleaved(t);
  fill_conv_interleaved_weight(t);
  fill_conv_weight(t);
  fill_conv_winograd(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
