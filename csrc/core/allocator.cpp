#include "core/allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>

#include "core/cuda_library.h"
#include "core/errors.h"

namespace lamina {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

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

}  // namespace lamina
