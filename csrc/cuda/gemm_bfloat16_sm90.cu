// Hopper's kernel for matrix products of bfloat16: which it takes, and its tensor maps.
#include "cuda/gemm.h"
#include "cuda/gemm_hopper.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// cuTensorMapEncodeTiled, asked of the driver at run time: nothing links libcuda.
using Encode = decltype(&cuTensorMapEncodeTiled);
Encode encoder() {
  static const Encode found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result;
    constexpr unsigned kSince = 12000;
    const cudaError_t status =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, kSince, cudaEnableDefault, &result);
    return status == cudaSuccess && result == cudaDriverEntryPointSuccess ? reinterpret_cast<Encode>(function)
                                                                          : nullptr;
  }();
  return found;
}

// Boxes of `rows` rows of 64 elements.
bool make_map(CUtensorMap* map, const void* data, std::int64_t outer, std::int64_t depth, std::int64_t stride,
              int rows) {
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(depth), static_cast<cuuint64_t>(outer)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride) * 2};
  const cuuint32_t box[] = {HopperProduct::kDepth, static_cast<cuuint32_t>(rows)}, steps[] = {1, 1};
  return encoder()(map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(data), sizes, strides, box, steps,
                   CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                   CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

bool takes(const GemmArgs& g) {
  constexpr std::int64_t kFewestTiles = 64;
  for (int i = 0; i < g.batch_ndim; ++i)
    if (g.batch[i] != 1) return false;
  const bool plain = !g.accumulate && !g.d.data && !g.z;
  const bool pairs = g.c.col == 1 && g.c.row % 2 == 0 && reinterpret_cast<std::uintptr_t>(g.c.data) % 4 == 0;
  const std::int64_t tiles = tiles_in(g.m, HopperProduct::kRows) * tiles_in(g.n, HopperProduct::kCols);
  return plain && pairs && g.a.col == 1 && g.b.row == 1 && tiles >= kFewestTiles && tiles <= kLargestIndex &&
         mappable(reinterpret_cast<std::uintptr_t>(g.a.data), g.m, g.k, g.a.row) &&
         mappable(reinterpret_cast<std::uintptr_t>(g.b.data), g.n, g.k, g.b.col) && encoder();
}

}  // namespace

bool multiply_bfloat16_sm90(const GemmArgs& g) {
  if (cuda_runtime::facts().major != 9 || !takes(g)) return false;
  HopperProduct kernel;
  if (!make_map(&kernel.a, g.a.data, g.m, g.k, g.a.row, HopperProduct::kRows) ||
      !make_map(&kernel.b, g.b.data, g.n, g.k, g.b.col, HopperProduct::kCols))
    return false;
  kernel.set(g);
  const int blocks =
      kernel.tiles < cuda_runtime::facts().multiprocessors ? kernel.tiles : cuda_runtime::facts().multiprocessors;
  launch("matmul", {blocks}, kernel);
  return true;
}

}  // namespace LAMINA_TARGET
}  // namespace lamina
