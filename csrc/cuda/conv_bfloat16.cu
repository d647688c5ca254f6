// Convolutions of bfloat16 as implicit products on tensor cores, summed in float32.
#include "cuda/conv.h"
#include "cuda/conv_implicit.h"
#include "cuda/gemm_mma.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using Bfloat16Conv = ImplicitConv<HalfWideTile<bfloat16>, HalfSmallTile<bfloat16>, HalfFlatTile<bfloat16>>;

}  // namespace

void convolve_bfloat16(const ConvForward& args) { Bfloat16Conv::forward(args); }
void convolve_bfloat16(const ConvDataGradient& args) { Bfloat16Conv::data_gradient(args); }
void convolve_bfloat16(const ConvWeightGradient& args) { Bfloat16Conv::weight_gradient(args); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
