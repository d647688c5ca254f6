// Convolutions of float32 as implicit products.
#include "cuda/conv.h"
#include "cuda/conv_implicit.h"
#include "cuda/gemm_simt.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using Float32Conv = ImplicitConv<FloatTile, FloatSmallTile, FloatFlatTile>;

}  // namespace

void convolve_float32(const ConvForward& args) { Float32Conv::forward(args); }
void convolve_float32(const ConvDataGradient& args) { Float32Conv::data_gradient(args); }
void convolve_float32(const ConvWeightGradient& args) { Float32Conv::weight_gradient(args); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
