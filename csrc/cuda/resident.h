// Kernels that stay on the device: all blocks of a grid run at once, keep what they have loaded into shared memory, and
// between two phases wait for each other. The stand-in, which runs one block after the other, makes a launch of every
// phase and loads anew: a phase that reads what another block writes in it shows in some order of blocks.
//
// A kernel: kThreads, Shared, and
//   std::int64_t phases() const
//   void prepare(const Thread& t) const                      what is loaded once
//   void phase(const Thread& t, std::int64_t number) const
// Its shared memory may be larger than Shared, by what the host finds when it launches.
#pragma once
#include <cstdlib>

#include "cuda/launch.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

// LAMINA_CUDA_RESIDENT=0: a launch for every step instead, to compare with; 1: an error where a grid is too large to
// stay.
inline bool resident_is(char asked_for) {
  const char* asked = std::getenv("LAMINA_CUDA_RESIDENT");
  return asked && *asked == asked_for;
}
constexpr int kTooLarge = 720;  // cudaErrorCooperativeLaunchTooLarge

#ifdef __CUDACC__

// Waits until all blocks have come so far, for the `expected`-th arrival; what they wrote before can then be read.
__device__ inline void wait_for_grid(unsigned long long* arrived, unsigned long long expected) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(arrived, 1ull);
    while (*static_cast<volatile unsigned long long*>(arrived) < expected) {
    }
    __threadfence();
  }
  __syncthreads();
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, 1)
    run_resident(const __grid_constant__ Kernel kernel, unsigned long long* arrived) {
  const Thread t;
  kernel.prepare(t);
  __syncthreads();
  const unsigned long long blocks = static_cast<unsigned long long>(gridDim.x) * gridDim.y;
  const std::int64_t phases = kernel.phases();
  for (std::int64_t number = 0; number < phases; ++number) {
    if (number > 0) wait_for_grid(arrived, blocks * static_cast<unsigned long long>(number));
    kernel.phase(t, number);
  }
}

// How many blocks with so much shared memory the device holds at once; 0: not one.
template <class Kernel>
std::int64_t resident_blocks(std::size_t bytes) {
  if (bytes > cuda_runtime::facts().shared_per_block) return 0;
  int each = 0;
  if (cudaFuncSetAttribute(run_resident<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(bytes)) != cudaSuccess ||
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, run_resident<Kernel>, Kernel::kThreads, bytes) !=
          cudaSuccess) {
    cudaGetLastError();  // it is over: there are other ways
    return 0;
  }
  return static_cast<std::int64_t>(each) * cuda_runtime::facts().multiprocessors;
}

// `bytes` and the grid are such that all blocks are resident. Takes the workspace.
template <class Kernel>
void launch_resident(const char* op, Grid grid, std::size_t bytes, const Kernel& kernel) {
  auto* arrived = static_cast<unsigned long long*>(cuda_runtime::workspace(sizeof(unsigned long long)));
  if (!arrived) return;
  const cudaStream_t stream = cuda_runtime::stream();
  cudaError_t status = cudaMemsetAsync(arrived, 0, sizeof *arrived, stream);
  Kernel own = kernel;
  void* arguments[] = {&own, &arrived};
  if (status == cudaSuccess)
    status = cudaLaunchCooperativeKernel(run_resident<Kernel>, dims_of(grid), dim3(Kernel::kThreads), arguments, bytes,
                                         stream);
  if (status != cudaSuccess) {
    cudaGetLastError();
    cuda_runtime::note(op, status);
  }
}

#else

template <class Kernel>
std::int64_t resident_blocks(std::size_t bytes) {
  return bytes > cuda_runtime::facts().shared_per_block ? 0 : cuda_runtime::facts().multiprocessors;
}

template <class Kernel>
void launch_resident(const char* op, Grid grid, std::size_t bytes, const Kernel& kernel) {
  static_assert(std::is_trivially_copyable_v<Kernel> && sizeof(Kernel) <= 4000, "arguments go by value");
  if (grid.x * grid.y > resident_blocks<Kernel>(bytes)) return cuda_runtime::note(op, kTooLarge);
  for (std::int64_t number = 0; number < kernel.phases(); ++number)
    emulation::submit(
        {dims_of(grid), Kernel::kThreads, bytes, true, [kernel, number](const emulation::Block& block, int thread) {
           const Thread t(block, thread);
           kernel.prepare(t);
           t.sync();
           kernel.phase(t, number);
         }});
}

#endif

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
