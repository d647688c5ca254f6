// liblamina_cuda.so, opened when a CUDA device is first asked for. lamina builds, imports and runs without it.
#pragma once
#include "core/cuda_abi.h"
#include "core/device.h"

namespace lamina {

// Throws Error(runtime) that says what is missing: the library, the driver, a device, the right version.
const CudaAbi& cuda_library();
const CudaAbi* open_cuda_library();  // null: not asked for so far

// TensorFloat32 in products and convolutions of float32; the library is told when it is opened.
void allow_tf32(bool allowed);
bool tf32_allowed();

// How many devices there are; 0 without library or driver. `why`, if given, receives the reason for 0.
int cuda_device_count(std::string* why = nullptr);

// The library, with this thread set to the device.
const CudaAbi& use_cuda(Device device);
const KernelTable& cuda_kernels(Device device);

// Error(runtime), or Error(memory), that names what was tried, unless status is 0.
void check_cuda(int status, const char* what);

// Waits for all that was started on the device. A kernel that failed is told here, by the name of its operation.
void synchronize(Device device);

// A launch like any other: bytes from one place to another, of which `device` is the one that is not the host.
void copy_bytes(void* to, const void* from, std::size_t bytes, Device device, CudaCopy direction);

}  // namespace lamina
