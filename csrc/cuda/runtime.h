// What the families may ask of the run time. runtime.cu holds it for CUDA, runtime_emulated.cc for the stand-in that
// runs the same kernels on the CPU.
#pragma once
#include <cstddef>
#include <cstdint>

namespace lamina::cuda_runtime {

// A status of our own: a size is beyond what a kernel's indices or a grid can count.
constexpr int kTooManyElements = 100001;
constexpr char kTooManyElementsSaid[] = "more elements than one launch of this kernel can count";

// Facts of the device that this thread uses.
struct Facts {
  int major, minor, multiprocessors;
  std::size_t shared_per_block;
};
const Facts& facts();

// Device memory for one launch function: contents undefined, 256-byte aligned, valid until the next call; so ask once
// and carve. It grows and is never freed, for captured graphs may point into it. Null if there is none left: the
// failure has been noted, return.
void* workspace(std::size_t bytes);

// The first failure since the last synchronisation is told there, under the name of its operation.
void note(const char* op, int status);

// The opt-in to TensorFloat32 in products of float32; false unless asked for.
bool tf32_allowed();

}  // namespace lamina::cuda_runtime
