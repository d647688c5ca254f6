// Memory of each device, cached. Blocks are aligned to 128 bytes.
#pragma once
#include <cstddef>

#include "core/block_pool.h"
#include "core/device.h"

namespace lamina {

constexpr std::size_t kAlignment = 128;

// Throws Error(memory) naming the size when it cannot be had, after giving the cache back and trying again.
void* allocate(std::size_t bytes, Device device);
void deallocate(void* block, std::size_t bytes, Device device) noexcept;

MemoryStats memory_stats(Device device = {});
void reset_peak_memory(Device device = {});
void release_cached_memory(Device device = {});

}  // namespace lamina
