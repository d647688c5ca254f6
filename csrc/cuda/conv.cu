// The table of convolutions: implicit products, and apart from them the depthwise ones; the products over columns that
// are written out are the plain oracle, and the way where a convolution's taps lie far apart.
#include <type_traits>

#include "cuda/channel_sums.h"
#include "cuda/conv.h"
#include "cuda/conv_slots.h"
#include "cuda/runtime.h"

namespace lamina {
namespace LAMINA_TARGET {

void fill_conv_depthwise(ConvTable&);
void fill_conv_im2col(ConvTable&);

namespace {

struct Implicit {
  static constexpr bool kTakesHalves = true;
  template <class T, class Pass>
  static void run(const Pass& pass) {
    if constexpr (std::is_same_v<T, double>)
      convolve_float64(pass);
    else if constexpr (std::is_same_v<T, bfloat16>)
      convolve_bfloat16(pass);
    else if constexpr (std::is_same_v<T, float16>)
      convolve_float16(pass);
    else if (cuda_runtime::tf32_allowed())
      convolve_tf32(pass);
    else
      convolve_float32(pass);
  }
};

// Implicitly there is a product for every remainder of a position by the strides. More of them than this cost more in
// launches than columns cost in memory. Columns of 16 bits would be rounded before they are summed: none are made.
constexpr std::int64_t kMostClasses = 16;

void data_gradient(ConvDataGradient args) {
  const ConvShape& s = args.shape;
  if (s.stride[0] * s.stride[1] * s.stride[2] <= kMostClasses || item_size(s.dtype) == 2)
    return ConvSlots<Implicit>::data_gradient(args);
  ConvTable columns{};
  fill_conv_im2col(columns);
  columns.data_gradient[static_cast<int>(ConvAlgorithm::im2col)](args);
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
  ConvSlots<Implicit>::fill(t, ConvAlgorithm::implicit);
  t.data_gradient[static_cast<int>(ConvAlgorithm::implicit)] = data_gradient;
  t.bias_gradient = bias_gradient;
  fill_conv_depthwise(t);
  fill_conv_im2col(t);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
