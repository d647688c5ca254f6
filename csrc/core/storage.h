// A run of bytes on a device, shared by every tensor that views it.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "core/allocator.h"
#include "core/ref.h"

namespace lamina {

// Something derived from a storage's contents and kept beside it (packed weights), valid for one version.
struct StorageCache {
  virtual ~StorageCache() = default;
};

class RecordingMemory;
class Storage;

extern std::atomic<int> open_recordings;  // on all threads
void touch_recorded(Storage& s);          // tells the recording on this thread, if one is open, that a launch may use s

class Storage : public RefCounted {
 public:
  Storage(std::size_t bytes, Device device);
  // Memory that belongs to somebody else; `free` lets go of it, on whatever thread drops the last tensor.
  Storage(void* data, std::size_t bytes, Device device, bool writable, std::function<void()> free);
  ~Storage();
  static void destroy(Storage* s) { delete s; }

  void* const data;
  const std::size_t bytes;
  const Device device;
  const bool writable = true;
  std::atomic<std::uint32_t> version{0};  // counts in-place changes; saved tensors compare it
  // Others (NumPy, whoever made or asked for the memory) may write it without counting a version.
  std::atomic<bool> exposed{false};
  std::shared_ptr<StorageCache> cache;                         // guarded by its user (ops/gemm_pack_cache.cpp)
  const RecordingMemory* home() const { return home_.get(); }  // null: the block is the general cache's

 private:
  Storage(RecordingMemory* home, std::size_t bytes, Device device);
  Ref<RecordingMemory> home_;
  std::function<void()> free_;
};

}  // namespace lamina
