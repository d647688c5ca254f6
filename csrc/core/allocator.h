// The caching allocator. Blocks come in size classes (four per doubling), are aligned to 128 bytes, and return to a
// per-class free list; the system is asked only when the list is empty.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace lamina {

constexpr std::size_t kAlignment = 128;

struct MemoryStats {
  std::uint64_t allocated;    // bytes in live blocks
  std::uint64_t peak;         // the most that `allocated` has been since the last reset
  std::uint64_t reserved;     // bytes held from the system, live and cached
  std::uint64_t allocations;  // blocks handed out since start
  std::uint64_t cache_hits;   // of these, from a free list
};

// Throws Error(memory) naming the size when it cannot be had, after giving the cache back and trying again.
void* allocate(std::size_t bytes, Device device);
void deallocate(void* block, std::size_t bytes, Device device) noexcept;

std::size_t block_size(std::size_t bytes);  // what a request really takes

MemoryStats memory_stats();
void reset_peak_memory();
void release_cached_memory();

}  // namespace lamina
