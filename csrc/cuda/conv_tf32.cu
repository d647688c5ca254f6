// Convolutions of float32 as implicit products by TF32 on tensor cores, summed in float32.
#include "cuda/conv.h"
#include "cuda/conv_implicit.h"
#include "cuda/gemm_mma.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

using Tf32Conv = ImplicitConv<Tf32Tile, Tf32SmallTile, Tf32FlatTile>;

}  // namespace

void convolve_tf32(const ConvForward& args) { Tf32Conv::forward(args); }
void convolve_tf32(const ConvDataGradient& args) { Tf32Conv::data_gradient(args); }
void convolve_tf32(const ConvWeightGradient& args) { Tf32Conv::weight_gradient(args); }

}  // namespace LAMINA_TARGET
}  // namespace lamina
