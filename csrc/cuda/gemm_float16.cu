// Matrix products of float16 on tensor cores, summed in float32.
#include "cuda/gemm_launch.h"
#include "cuda/gemm_mma.h"

namespace lamina {
namespace LAMINA_TARGET {

void multiply_float16(const GemmArgs& args, bool may_split) {
  multiply_tiled<HalfTile<float16>, HalfSmallTile<float16>, HalfSmallTile<float16>>(args, may_split);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
