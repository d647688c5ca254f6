#include "core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>

#include "core/address_range.h"
#include "core/cuda_library.h"
#include "core/errors.h"

namespace lamina {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSmallPage = std::size_t{64} << 10;  // a multiple of every system's

class HostMemory final : public MemorySource {
 public:
  void* get(std::size_t bytes) override {
    const bool large = bytes >= kHugePage;
    const std::size_t alignment = large ? kHugePage : kAlignment;
    void* block = std::aligned_alloc(alignment, (bytes + alignment - 1) & ~(alignment - 1));  // whole multiples only
    if (block && large) madvise(block, bytes, MADV_HUGEPAGE);  // a hint; refusal costs nothing
    return block;
  }
  void put(void* block) noexcept override { std::free(block); }
  std::size_t most() const override {
    static const std::size_t total =
        static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return total;
  }
  const char* name() const override { return "cpu"; }
};

// CUDA gives 256-byte alignment; releasing waits for the device.
class CudaMemory final : public MemorySource {
 public:
  explicit CudaMemory(int index) : device_{DeviceType::cuda, static_cast<std::int8_t>(index)} {
    CudaFacts facts;
    check_cuda(use_cuda(device_).facts(index, &facts), "device cuda");
    most_ = facts.total_memory;
    name_ = concat(device_);
  }
  void* get(std::size_t bytes) override {
    void* block = nullptr;
    const int status = use_cuda(device_).allocate(bytes, &block);
    if (status == kCudaOutOfMemory) return nullptr;
    check_cuda(status, "allocate");
    return block;
  }
  void put(void* block) noexcept override {
    try {
      use_cuda(device_).release(block);  // what can fail here has been, or will be, told by a synchronisation
    } catch (const Error&) {
    }
  }
  std::size_t most() const override { return most_; }
  const char* name() const override { return name_.c_str(); }

 private:
  Device device_;
  std::size_t most_;
  std::string name_;
};

struct CudaPool {
  explicit CudaPool(int index) : source(index), pool(source) {}
  CudaMemory source;
  BlockPool pool;
};

// Pools outlive every static tensor.
BlockPool& host_pool() {
  static HostMemory* source = new HostMemory;
  static BlockPool* p = new BlockPool(*source);
  return *p;
}

constexpr int kMostDevices = 64;
struct CudaPools {
  std::mutex mutex;
  std::array<CudaPool*, kMostDevices> of{};
};
CudaPools& cuda_pools() {
  static auto* pools = new CudaPools;
  return *pools;
}
BlockPool& cuda_pool(Device device) {
  use_cuda(device);  // an error that says why, if it is not there
  CudaPools& pools = cuda_pools();
  const std::lock_guard lock(pools.mutex);
  CudaPool*& p = pools.of[static_cast<std::size_t>(device.index)];
  if (!p) p = new CudaPool(device.index);
  return p->pool;
}

std::size_t round_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

BlockPool& pool(Device device) { return device.type == DeviceType::cpu ? host_pool() : cuda_pool(device); }

}  // namespace

void* allocate(std::size_t bytes, Device device) { return pool(device).take(bytes); }
void deallocate(void* block, std::size_t bytes, Device device) noexcept {  // of a device that may fail by now
  if (device.type == DeviceType::cpu) return host_pool().give(block, bytes);
  cuda_pools().of[static_cast<std::size_t>(device.index)]->pool.give(block, bytes);
}
MemoryStats memory_stats(Device device) { return pool(device).stats(); }
void reset_peak_memory(Device device) { pool(device).reset_peak(); }
void release_cached_memory(Device device) { pool(device).release_cached(); }

// ---- address ranges ----

std::unique_ptr<AddressRange> AddressRange::reserve(std::size_t least) {
  if (kBlocksAreWatched) return nullptr;
  constexpr std::size_t kMost = std::size_t{64} << 30;  // thousands of them fit into an address space
  const std::size_t total = HostMemory().most();
  if (least > total) return nullptr;
  const std::size_t bytes = round_up(std::max(least, std::min(total, kMost)), kHugePage), room = bytes + kHugePage;
  void* got = mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) return nullptr;
  // Huge pages lie at multiples of their size.
  auto* const first = static_cast<std::byte*>(got);
  const std::size_t before =
      round_up(reinterpret_cast<std::size_t>(got), kHugePage) - reinterpret_cast<std::size_t>(got);
  if (before > 0) munmap(first, before);
  if (before < kHugePage) munmap(first + before + bytes, kHugePage - before);
  return std::unique_ptr<AddressRange>(new AddressRange(first + before, bytes));
}

AddressRange::~AddressRange() {
  munmap(begin_, reserved_);
  host_pool().count_out(counted_);
}

bool AddressRange::grow(std::size_t bytes) noexcept {
  if (bytes > reserved_) return false;
  // Small ones stay small; of larger ones the page that has been begun is a huge one as a whole.
  const std::size_t pages = round_up(bytes, bytes < kHugePage ? kSmallPage : kHugePage);
  if (pages > committed_) {
    if (mprotect(begin_, pages, PROT_READ | PROT_WRITE) != 0) return false;
    if (pages >= kHugePage) madvise(begin_, pages, MADV_HUGEPAGE);  // a hint; refusal costs nothing
    committed_ = pages;
  }
  host_pool().count_in(bytes - size_);
  counted_ += bytes - size_;
  size_ = bytes;
  return true;
}

void AddressRange::let_go(std::byte* from, std::size_t bytes) noexcept {
  const std::size_t first = round_up(static_cast<std::size_t>(from - begin_), kSmallPage);
  const std::size_t end = static_cast<std::size_t>(from - begin_) + bytes;
  const std::size_t whole = end / kSmallPage * kSmallPage;
  if (whole > first) madvise(begin_ + first, whole - first, MADV_DONTNEED);
  counted_ -= bytes;
  host_pool().count_out(bytes);
}

}  // namespace lamina
