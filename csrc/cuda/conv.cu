// The table of convolutions: implicit products, and apart from them the depthwise ones; the products over columns that
// are written out are the plain oracle, and the way where a convolution's taps lie far apart.
#include "cuda/activation.h"
#include "cuda/channel_sums.h"
#include "cuda/conv.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_conv_depthwise(ConvTable&);
void fill_conv_im2col(ConvTable&);

namespace {

void activate_result(void* result, std::int64_t n, DType dtype, UnaryOp op) {
  if (is_separate(op)) activate(result, n, dtype, op, Params{});
}

void forward(ConvForward args) {
  const ConvShape& s = args.shape;
  s.dtype == DType::f64 ? convolve_float64(args) : convolve_float32(args);
  activate_result(args.y, s.batch * s.out_channels * s.out_size(), s.dtype, args.epilogue.activation);
}
// Implicitly there is a product for every remainder of a position by the strides. More of them than this cost more in
// launches than columns cost in memory.
constexpr std::int64_t kMostClasses = 16;

void data_gradient(ConvDataGradient args) {
  const ConvShape& s = args.shape;
  if (s.stride[0] * s.stride[1] * s.stride[2] > kMostClasses) {
    ConvTable columns{};
    fill_conv_im2col(columns);
    return columns.data_gradient[static_cast<int>(ConvAlgorithm::im2col)](args);
  }
  s.dtype == DType::f64 ? convolve_float64(args) : convolve_float32(args);
  activate_result(args.dx, s.batch * s.in_channels * s.in_size(), s.dtype, args.epilogue.activation);
}
void weight_gradient(ConvWeightGradient args) {
  args.shape.dtype == DType::f64 ? convolve_float64(args) : convolve_float32(args);
}

void bias_gradient(ConvBiasGradient g) {
  if (g.activation != UnaryOp::count)
    activation_gradient(g.dz, g.dy, g.saved, g.batch * g.channels * g.size, g.dtype, g.activation);
  if (g.dbias)
    sum_channels("convolution", g.dtype, g.activation == UnaryOp::count ? g.dy : g.dz, g.dbias, g.batch, g.channels,
                 g.size);
}

}  // namespace

void fill_conv(ConvTable& t) {
  constexpr int kImplicit = static_cast<int>(ConvAlgorithm::implicit);
  t.forward[kImplicit] = forward;
  t.data_gradient[kImplicit] = data_gradient;
  t.weight_gradient[kImplicit] = weight_gradient;
  t.bias_gradient = bias_gradient;
  fill_conv_depthwise(t);
  fill_conv_im2col(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
