#include "core/block_pool.h"

#include <bit>

#include "core/allocator.h"
#include "core/errors.h"

namespace lamina {
namespace {

// Rounds up to a class: multiples of the alignment up to 64 of them, then m·2^e with m in 33..64. Large blocks lose 3 %
// at worst: arenas of parameters and what is saved for backward are most of a training step's memory.
struct SizeClass {
  std::size_t bytes;
  int index;
};
constexpr int kFewest = 64;  // multiples of the alignment
constexpr int kFirstShift = std::bit_width(kAlignment);
SizeClass size_class(std::size_t bytes) {
  if (bytes <= kFewest * kAlignment) {
    const std::size_t multiple = bytes <= kAlignment ? 1 : (bytes + kAlignment - 1) / kAlignment;
    return {multiple * kAlignment, static_cast<int>(multiple) - 1};
  }
  const int shift = std::bit_width(bytes - 1) - 6;          // the top six bits survive
  const std::size_t mantissa = ((bytes - 1) >> shift) + 1;  // 33..64
  return {mantissa << shift, kFewest + (shift - kFirstShift) * 32 + static_cast<int>(mantissa) - 33};
}
std::size_t bytes_of_class(int index) {
  if (index < kFewest) return static_cast<std::size_t>(index + 1) * kAlignment;
  const int above = index - kFewest;
  return static_cast<std::size_t>(above % 32 + 33) << (above / 32 + kFirstShift);
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
  live(c.bytes);
  return block;
}

void BlockPool::live(std::size_t more) noexcept {
  stats_.allocated += more;
  if (stats_.allocated > stats_.peak) stats_.peak = stats_.allocated;
}

void BlockPool::count_in(std::size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  stats_.reserved += bytes;
  live(bytes);
}
void BlockPool::count_out(std::size_t bytes) noexcept {
  std::lock_guard lock(mutex_);
  stats_.allocated -= bytes;
  stats_.reserved -= bytes;
}

void BlockPool::give(void* block, std::size_t asked) noexcept {
  const SizeClass c = size_class(asked);
  std::lock_guard lock(mutex_);
  stats_.allocated -= c.bytes;
  if (!kBlocksAreWatched) try {
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
    const std::size_t bytes = bytes_of_class(i);
    for (void* block : free_[i]) {
      source_.put(block);
      stats_.reserved -= bytes;
    }
    free_[i].clear();
  }
}

}  // namespace lamina
