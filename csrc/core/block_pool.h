// A cache of memory blocks over any source of memory. Blocks come in size classes (four per doubling) and return to a
// per-class free list; the source is asked only when the list is empty.
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace lamina {

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
  MemoryStats stats();
  void reset_peak();
  void release_cached();

 private:
  static constexpr int kClasses = 4 * 64;
  void trim() noexcept;
  [[noreturn]] void refuse(std::size_t bytes) const;

  MemorySource& source_;
  std::mutex mutex_;
  std::vector<void*> free_[kClasses];
  MemoryStats stats_{};
};

std::size_t block_size(std::size_t bytes);  // what a request really takes

}  // namespace lamina
