// Convolutions of float16 as implicit products on tensor cores, summed in float32.
#include "cuda/conv.h"
#include "cuda/conv_implicit.h"
#include "cuda/gemm_mma.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using Float16Conv = ImplicitConv<HalfWideTile<float16>, HalfSmallTile<float16>, HalfFlatTile<float16>>;

}  // namespace

void convolve_float16(const ConvForward& args) { Float16Conv::forward(args); }
void convolve_float16(const ConvDataGradient& args) { Float16Conv::data_gradient(args); }
void convolve_float16(const ConvWeightGradient& args) { Float16Conv::weight_gradient(args); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
