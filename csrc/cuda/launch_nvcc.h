// launch.h for nvcc.
#pragma once
#define LAMINA_KERNEL __device__

namespace lamina::cuda_runtime {
cudaStream_t stream();  // of the device that this thread uses
}

namespace lamina {
namespace LAMINA_TARGET {
namespace {

extern __shared__ uint4 shared_memory[];

class Thread {
 public:
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int lane() const { return static_cast<int>(threadIdx.x) % kWarp; }
  __device__ int warp() const { return static_cast<int>(threadIdx.x) / kWarp; }
  template <int axis = 0>
  __device__ int block() const {
    return static_cast<int>(axis == 0 ? blockIdx.x : axis == 1 ? blockIdx.y : blockIdx.z);
  }
  template <int axis = 0>
  __device__ int blocks() const {
    return static_cast<int>(axis == 0 ? gridDim.x : axis == 1 ? gridDim.y : gridDim.z);
  }
  __device__ std::int64_t global() const { return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
  __device__ std::int64_t globals() const { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }
  __device__ void sync() const { __syncthreads(); }
  __device__ void sync_warp() const { __syncwarp(); }
  template <class T>
  __device__ T shuffle_xor(T v, int mask) const {
    return __shfl_xor_sync(0xffffffffu, v, mask);
  }
  template <class T>
  __device__ T shuffle(T v, int lane) const {
    return __shfl_sync(0xffffffffu, v, lane);
  }
  template <class Kernel>
  __device__ typename Kernel::Shared& shared() const {
    return *reinterpret_cast<typename Kernel::Shared*>(shared_memory);
  }
};

inline dim3 dims_of(const Grid& g) {
  return dim3(static_cast<unsigned>(g.x), static_cast<unsigned>(g.y), static_cast<unsigned>(g.z));
}

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, min_blocks<Kernel>()) run(const __grid_constant__ Kernel kernel) {
  kernel(Thread());
}

template <class Kernel>
void launch(const char* op, Grid grid, const Kernel& kernel) {
  static_assert(Kernel::kCollective || shared_bytes<Kernel>() == 0);
  constexpr std::size_t bytes = shared_bytes<Kernel>();
  if (!grid.fits()) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  if constexpr (bytes > 48 * 1024) {  // more than any kernel gets without asking
    const cudaError_t status =
        cudaFuncSetAttribute(run<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    if (status != cudaSuccess) return cuda_runtime::note(op, status);
  }
  run<Kernel><<<dims_of(grid), Kernel::kThreads, bytes, cuda_runtime::stream()>>>(kernel);
  if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess) cuda_runtime::note(op, status);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
