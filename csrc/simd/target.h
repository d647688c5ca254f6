// What a kernel may know about the instruction set it is compiled for, as constants: `if constexpr (kTarget == …)`.
#pragma once

#ifndef LAMINA_TARGET
#error "compile with -DLAMINA_TARGET=<scalar|avx2|avx512|neon> and -DLAMINA_TARGET_<…>=1"
#endif

// Small functions must vanish into the loop that calls them, at -O0 too: a call would spill every vector register.
#ifdef __CUDACC__
#define LAMINA_INLINE __host__ __device__ __forceinline__
#define LAMINA_DEVICE __host__ __device__  // for what kernels of both kinds call, without a word on inlining
#else
#define LAMINA_INLINE inline __attribute__((always_inline))
#define LAMINA_DEVICE
#endif

namespace lamina {
namespace LAMINA_TARGET {
namespace {

enum class Target { scalar, avx2, avx512, neon, cuda };
constexpr Target kTarget = Target::LAMINA_TARGET;

// Does fma() round once? Without the instruction a true fma is a slow library call, so fma() then rounds twice.
constexpr bool kFusedMultiplyAdd = kTarget != Target::scalar;

// The register tile of a matrix product: kGemmTileRows rows of kGemmTileVecs vectors, so that the accumulators, one
// row of B and a broadcast of A fill the register file (32 registers; 16 on AVX2).
constexpr int kGemmTileRows = kTarget == Target::avx512 ? 14
                              : kTarget == Target::avx2 ? 6
                              : kTarget == Target::neon ? 8
                                                        : 4;
constexpr int kGemmTileVecs = kTarget == Target::neon ? 3 : kTarget == Target::scalar ? 4 : 2;

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
