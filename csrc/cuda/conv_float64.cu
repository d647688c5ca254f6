// Convolutions of float64 as implicit products.
#include "cuda/conv.h"
#include "cuda/conv_implicit.h"
#include "cuda/gemm_simt.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using Float64Conv = ImplicitConv<DoubleTile, DoubleTile, DoubleTile>;

}  // namespace

void convolve_float64(const ConvForward& args) { Float64Conv::forward(args); }
void convolve_float64(const ConvDataGradient& args) { Float64Conv::data_gradient(args); }
void convolve_float64(const ConvWeightGradient& args) { Float64Conv::weight_gradient(args); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
