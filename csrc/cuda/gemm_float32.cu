// Matrix products of float32, by the arithmetic of float32.
#include "cuda/gemm_launch.h"
#include "cuda/gemm_simt.h"

namespace lamina {
namespace LAMINA_TARGET {

void multiply_float32(const GemmArgs& args, bool may_split) {
  multiply_tiled<FloatTile, FloatSmallTile, FloatThinTile>(args, may_split);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
