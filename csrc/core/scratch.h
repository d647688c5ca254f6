// Working memory of kernels: one block per thread and purpose that grows and is kept, so that a call in steady state
// allocates nothing.
#pragma once
#include <cstddef>

namespace lamina {

enum class Scratch { gemm, gemm_split, conv, count };

// At least `bytes` of memory aligned to 128 bytes, contents undefined, valid until this thread asks again for the same
// purpose. Throws Error(memory); so call it before entering a parallel region, not inside.
void* scratch(Scratch purpose, std::size_t bytes);

}  // namespace lamina
