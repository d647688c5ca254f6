#include "core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "core/errors.h"

#if defined(__SANITIZE_ADDRESS__)
#define LAMINA_NO_CACHE 1  // every block its own allocation, so that the sanitizer sees its edges
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAMINA_NO_CACHE 1
#endif
#endif
#ifndef LAMINA_NO_CACHE
#define LAMINA_NO_CACHE 0
#endif

namespace lamina {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr int kClasses = 4 * 64;

// Rounds up to a class: m·2^e with m in 4..7, never below the alignment. 25 % waste at worst.
struct SizeClass {
  std::size_t bytes;
  int index;
};
SizeClass size_class(std::size_t bytes) {
  if (bytes < kAlignment) bytes = kAlignment;
  const int shift = std::bit_width(bytes - 1) - 3;          // the top three bits survive
  const std::size_t mantissa = ((bytes - 1) >> shift) + 1;  // 5..8
  return {mantissa << shift, shift * 4 + static_cast<int>(mantissa) - 5};
}

std::size_t physical_memory() {
  static const std::size_t total =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return total;
}

class Pool {
 public:
  void* take(std::size_t asked) {
    // The system promises more than it has and kills later; a size that can never fit is refused here.
    if (asked > physical_memory()) refuse(asked);
    const SizeClass c = size_class(asked);
    std::unique_lock lock(mutex_);
    ++stats_.allocations;
    void* block = nullptr;
    auto& list = free_[c.index];
    if (!list.empty()) {
      ++stats_.cache_hits;
      block = list.back();
      list.pop_back();
    } else {
      block = from_system(c.bytes);
      if (!block) {
        trim();
        block = from_system(c.bytes);
      }
      if (!block) {
        lock.unlock();
        refuse(asked);
      }
      stats_.reserved += c.bytes;
    }
    stats_.allocated += c.bytes;
    if (stats_.allocated > stats_.peak) stats_.peak = stats_.allocated;
    return block;
  }

  void give(void* block, std::size_t asked) noexcept {
    const SizeClass c = size_class(asked);
    std::lock_guard lock(mutex_);
    stats_.allocated -= c.bytes;
    if (LAMINA_NO_CACHE) {
      std::free(block);
      stats_.reserved -= c.bytes;
      return;
    }
    try {
      free_[c.index].push_back(block);
    } catch (...) {  // no memory for the list itself
      std::free(block);
      stats_.reserved -= c.bytes;
    }
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak = stats_.allocated;
  }
  void release_cached() {
    std::lock_guard lock(mutex_);
    trim();
  }

 private:
  static void* from_system(std::size_t bytes) {
    const bool large = bytes >= kHugePage;
    const std::size_t alignment = large ? kHugePage : kAlignment;
    void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));  // whole multiples only
    if (block && large) madvise(block, bytes, MADV_HUGEPAGE);  // a hint; refusal costs nothing
    return block;
  }

  void trim() noexcept {
    for (int i = 0; i < kClasses; ++i) {
      const std::size_t bytes = static_cast<std::size_t>(i % 4 + 5) << (i / 4);
      for (void* block : free_[i]) {
        std::free(block);
        stats_.reserved -= bytes;
      }
      free_[i].clear();
    }
  }

  [[noreturn]] static void refuse(std::size_t bytes) {
    fail(ErrorKind::memory, "out of memory: cannot allocate ", bytes, " bytes on cpu");
  }

  std::mutex mutex_;
  std::vector<void*> free_[kClasses];
  MemoryStats stats_{};
};

Pool& pool() {
  static Pool* p = new Pool;  // outlives every static tensor
  return *p;
}

}  // namespace

void* allocate(std::size_t bytes, Device) { return pool().take(bytes); }
void deallocate(void* block, std::size_t bytes, Device) noexcept { pool().give(block, bytes); }
std::size_t block_size(std::size_t bytes) { return size_class(bytes).bytes; }
MemoryStats memory_stats() { return pool().stats(); }
void reset_peak_memory() { pool().reset_peak(); }
void release_cached_memory() { pool().release_cached(); }

}  // namespace lamina
