// Matrix products of float32 by TF32 on tensor cores, summed in float32.
#include "cuda/gemm_launch.h"
#include "cuda/gemm_mma.h"

namespace lamina {
namespace LAMINA_TARGET {

void multiply_tf32(const GemmArgs& args, bool may_split) {
  multiply_tiled<Tf32Tile, Tf32SmallTile, Tf32SmallTile>(args, may_split);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
