// Matrix products of float64.
#include "cuda/gemm_launch.h"
#include "cuda/gemm_simt.h"

namespace lamina {
namespace LAMINA_TARGET {

void multiply_float64(const GemmArgs& args, bool may_split) {
  multiply_tiled<DoubleTile, DoubleTile, DoubleTile>(args, may_split);
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
