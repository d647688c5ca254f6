#include "core/block_pool.h"

#include <bit>

#include "core/allocator.h"
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

}  // namespace

std::size_t block_size(std::size_t bytes) { return size_class(bytes).bytes; }

void BlockPool::refuse(std::size_t bytes) const {
  fail_unnamed(ErrorKind::memory, "out of memory: cannot allocate ", bytes, " bytes on ", source_.name());
}

void* BlockPool::take(std::size_t asked) {
  // The system promises more than it has and kills later; a size that can never fit is refused here.
  if (asked > source_.most()) refuse(asked);
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
    block = source_.get(c.bytes);
    if (!block) {
      trim();
      block = source_.get(c.bytes);
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

void BlockPool::give(void* block, std::size_t asked) noexcept {
  const SizeClass c = size_class(asked);
  std::lock_guard lock(mutex_);
  stats_.allocated -= c.bytes;
  if (!LAMINA_NO_CACHE) try {
      free_[c.index].push_back(block);
      return;
    } catch (...) {  // no memory for the list itself
    }
  source_.put(block);
  stats_.reserved -= c.bytes;
}

MemoryStats BlockPool::stats() {
  std::lock_guard lock(mutex_);
  return stats_;
}
void BlockPool::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak = stats_.allocated;
}
void BlockPool::release_cached() {
  std::lock_guard lock(mutex_);
  trim();
}

void BlockPool::trim() noexcept {
  for (int i = 0; i < kClasses; ++i) {
    const std::size_t bytes = static_cast<std::size_t>(i % 4 + 5) << (i / 4);
    for (void* block : free_[i]) {
      source_.put(block);
      stats_.reserved -= bytes;
    }
    free_[i].clear();
  }
}

}  // namespace lamina
