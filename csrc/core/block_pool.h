// A cache of memory blocks over any source of memory. Blocks come in size classes (32 per doubling) and return to a
// per-class free list; the source is asked only when the list is empty.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define LAMINA_NO_CACHE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LAMINA_NO_CACHE 1
#endif
#endif
#ifndef LAMINA_NO_CACHE
#define LAMINA_NO_CACHE 0
#endif

namespace lamina {

// Under the address sanitizer every block is its own allocation, so that it sees the edges.
constexpr bool kBlocksAreWatched = LAMINA_NO_CACHE;

struct MemoryStats {
  std::uint64_t allocated;    // bytes in live blocks
  std::uint64_t peak;         // the most that `allocated` has been since the last reset
  std::uint64_t reserved;     // bytes held from the source, live and cached
  std::uint64_t allocations;  // blocks handed out since start
  std::uint64_t cache_hits;   // of these, from a free list
};

class MemorySource {
 public:
  virtual void* get(std::size_t bytes) = 0;  // null: it has no such block now
  virtual void put(void* block) noexcept = 0;
  virtual std::size_t most() const = 0;  // larger blocks are never asked for
  virtual const char* name() const = 0;  // of the device, in errors

 protected:
  ~MemorySource() = default;
};

class BlockPool {
 public:
  explicit BlockPool(MemorySource& source) : source_(source) {}
  // Throws Error(memory) naming the size when it cannot be had, after giving the cache back and trying again.
  void* take(std::size_t asked);
  void give(void* block, std::size_t asked) noexcept;
  // Bytes that live without being a block of the pool.
  void count_in(std::size_t bytes) noexcept;
  void count_out(std::size_t bytes) noexcept;
  MemoryStats stats();
  void reset_peak();
  void release_cached();

 private:
  static constexpr int kClasses = 64 + 32 * 52;
  void live(std::size_t more) noexcept;
  void trim() noexcept;
  [[noreturn]] void refuse(std::size_t bytes) const;

  MemorySource& source_;
  std::mutex mutex_;
  std::vector<void*> free_[kClasses];
  MemoryStats stats_{};
};

std::size_t block_size(std::size_t bytes);  // what a request really takes

}  // namespace lamina
