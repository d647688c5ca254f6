// How kernels are written and started, so that nvcc compiles them for a GPU and g++ for a stand-in that runs them on
// the CPU, thread by thread (launch_emulated.h): tests need no GPU.
//
// A kernel is a struct of plain arguments:
//   static constexpr int kThreads          threads of a block, which is one-dimensional
//   static constexpr int kMinBlocks        optional: resident blocks per multiprocessor to leave registers for
//   static constexpr bool kCollective      does it synchronise, shuffle or share?
//   struct Shared                          optional: what a block shares; uninitialised
//   LAMINA_KERNEL void operator()(const Thread& t) const
// and launch("name of the operation", grid, kernel) starts it on the current stream.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cuda/runtime.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// Blocks. Sizes come from users, and no part of a launch may be left out in silence: launch() tells of what is too
// large.
struct Grid {
  std::int64_t x = 1, y = 1, z = 1;
  bool fits() const { return x <= 0x7fffffff && y <= 65535 && z <= 65535; }
};

template <class Kernel>
consteval std::size_t shared_bytes() {
  if constexpr (requires { sizeof(typename Kernel::Shared); }) return sizeof(typename Kernel::Shared);
  return 0;
}
template <class Kernel>
consteval int min_blocks() {
  if constexpr (requires { Kernel::kMinBlocks; }) return Kernel::kMinBlocks;
  return 1;
}

constexpr int kWarp = 32;

// Blocks for n elements, `each` to a block.
inline Grid grid_for(std::int64_t n, std::int64_t each) { return {(n + each - 1) / each}; }

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina

#ifdef __CUDACC__
#include "cuda/launch_nvcc.h"
#else
#include "cuda/launch_emulated.h"
#endif
