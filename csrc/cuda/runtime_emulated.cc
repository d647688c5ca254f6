// The run time of the stand-in (launch_emulated.h). "Device" memory is one range of addresses that nobody may touch but
// kernels and copies while they run: code of the host that reads it dies, as it would with a GPU.
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/cuda_abi.h"
#include "cuda/emulate.h"
#include "cuda/emulated_stream.h"
#include "cuda/runtime.h"
#include "cuda/staging.h"

namespace lamina {
namespace LAMINA_TARGET {
const KernelTable& table();
}

namespace {

constexpr int kInvalidValue = 1;
constexpr int kInvalidDevice = 101;
constexpr int kInvalidGraph = 700;
constexpr int kInvalidHandle = 400;
constexpr int kNotReady = 600;

std::size_t megabytes() {
  const char* asked = std::getenv("LAMINA_EMULATE_MEMORY");
  return asked ? std::strtoull(asked, nullptr, 10) : 4096;
}
bool guarded() {
  const char* asked = std::getenv("LAMINA_EMULATE_GUARD");
  return !asked || *asked != '0';
}

class Memory {
 public:
  Memory() : size_(megabytes() << 20) {
    void* range = mmap(nullptr, size_, guarded() ? PROT_NONE : PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    first_ = range == MAP_FAILED ? nullptr : static_cast<std::byte*>(range);
  }
  std::size_t size() const { return size_; }

  void* take(std::size_t bytes) {
    bytes = (bytes + kPage - 1) / kPage * kPage;
    const std::lock_guard lock(mutex_);
    if (const auto free = free_.lower_bound(bytes); free != free_.end() && free->first <= 2 * bytes) {
      void* const block = free->second;
      taken_[block] = free->first;
      free_.erase(free);
      return block;
    }
    if (!first_ || bytes > size_ - used_) return nullptr;
    void* const block = first_ + used_;
    used_ += bytes;
    taken_[block] = bytes;
    return block;
  }
  bool give(void* block) {
    const std::lock_guard lock(mutex_);
    const auto found = taken_.find(block);
    if (found == taken_.end()) return false;
    free_.emplace(found->second, block);
    taken_.erase(found);
    if (taken_.empty()) {
      free_.clear();
      used_ = 0;
    }
    return true;
  }
  bool holds(const void* p, std::size_t bytes) const {
    const auto* at = static_cast<const std::byte*>(p);
    return at >= first_ && at + bytes <= first_ + size_;
  }

  // While one lives, its thread may touch device memory.
  class Open {
   public:
    explicit Open(Memory& m) : memory_(m), lock_(m.mutex_) { protect(PROT_READ | PROT_WRITE); }
    ~Open() { protect(PROT_NONE); }

   private:
    void protect(int how) {
      if (guarded() && memory_.used_ > 0) mprotect(memory_.first_, memory_.used_, how);
    }
    Memory& memory_;
    std::lock_guard<std::mutex> lock_;
  };

 private:
  static constexpr std::size_t kPage = 4096;
  std::size_t size_;
  std::byte* first_;
  std::size_t used_ = 0;
  std::mutex mutex_;
  std::multimap<std::size_t, void*> free_;
  std::map<void*, std::size_t> taken_;
};

Memory& memory() {
  static auto* m = new Memory;
  return *m;
}

using Graph = std::vector<std::function<void()>>;
thread_local std::unique_ptr<Graph> graph_being_made;

using emulation::EmulatedEvent;
using emulation::EmulatedStream;
EmulatedStream streams[] = {EmulatedStream(true), EmulatedStream(false),
                            EmulatedStream(true)};  // by CudaStream; others'
EmulatedStream& compute() { return streams[static_cast<int>(CudaStream::compute)]; }

void in_order(std::function<void()> step) {
  if (graph_being_made) return graph_being_made->push_back(std::move(step));
  compute().submit(std::move(step));
}

struct Failure {
  std::mutex mutex;
  const char* op = nullptr;
  int status = 0;
} failure;

int device_count(int* count) {
  const char* asked = std::getenv("LAMINA_EMULATE_DEVICES");
  *count = asked ? std::atoi(asked) : 1;
  return 0;
}

const char* describe(int status) {
  switch (status) {
    case 0: return "no error";
    case cuda_runtime::kTooManyElements: return cuda_runtime::kTooManyElementsSaid;
    case kInvalidValue: return "invalid argument";
    case kCudaOutOfMemory: return "out of memory";
    case 9: return "invalid configuration argument";
    case 720: return "too many blocks in cooperative launch";
    case kInvalidHandle: return "invalid resource handle";
    case kNotReady: return "device not ready";
    case kInvalidDevice: return "invalid device ordinal";
    default: return "unknown error";
  }
}

int use_device(int device) {
  int count;
  device_count(&count);
  return device < count ? 0 : kInvalidDevice;
}

int describe_device(int, CudaFacts* f) {
  *f = {"emulated on the CPU", 8, 0, 4, cuda_runtime::facts().shared_per_block, memory().size()};
  return 0;
}

const KernelTable* kernels(int) { return &LAMINA_TARGET::table(); }

int allocate(std::size_t bytes, void** block) {
  *block = memory().take(bytes);
  return *block ? 0 : kCudaOutOfMemory;
}
int release(void* block) {
  for (EmulatedStream& stream : streams) stream.run_all();
  return memory().give(block) ? 0 : kInvalidValue;
}

EmulatedStream& as_stream(void* stream) {
  constexpr std::uintptr_t kMostNamed = 2;  // CUDA's default streams have numbers
  return reinterpret_cast<std::uintptr_t>(stream) <= kMostNamed ? streams[2] : *static_cast<EmulatedStream*>(stream);
}
EmulatedEvent& as_event(void* event) { return *static_cast<EmulatedEvent*>(event); }

int stream_of(CudaStream which, void** stream) {
  *stream = &streams[static_cast<int>(which)];
  return 0;
}
int make_event(bool, void** event) {
  *event = new EmulatedEvent;
  return 0;
}
int release_event(void* event) {
  delete &as_event(event);
  return 0;
}
int record_event(void* event, void* stream) {
  as_event(event).record(as_stream(stream));
  return 0;
}
int wait_event(void* stream, void* event) {
  as_stream(stream).submit([at = as_event(event)] { at.wait(); });
  return 0;
}
int synchronize_event(void* event) {
  as_event(event).wait();
  return 0;
}
int query(void* event, void* stream, bool* done) {
  *done = event ? as_event(event).reached() : as_stream(stream).done() == as_stream(stream).submitted();
  return 0;
}
int elapsed(void* from, void* to, float* milliseconds) {
  const EmulatedEvent &a = as_event(from), &b = as_event(to);
  if (!a.stream || !b.stream) return kInvalidHandle;
  if (!a.reached() || !b.reached()) return kNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(*b.when - *a.when).count();
  return 0;
}

std::mutex pinned_mutex;
std::map<const std::byte*, std::size_t> pinned_blocks;

bool is_pinned(const void* address) {
  const std::lock_guard lock(pinned_mutex);
  const auto* at = static_cast<const std::byte*>(address);
  const auto after = pinned_blocks.upper_bound(at);
  return after != pinned_blocks.begin() && at < std::prev(after)->first + std::prev(after)->second;
}
int allocate_pinned(std::size_t bytes, void** block) {
  *block = std::aligned_alloc(4096, (bytes + 4096) / 4096 * 4096);
  if (!*block) return kCudaOutOfMemory;
  const std::lock_guard lock(pinned_mutex);
  pinned_blocks[static_cast<std::byte*>(*block)] = bytes + 1;
  return 0;
}
int release_pinned(void* block) {
  for (EmulatedStream& stream : streams) stream.run_all();
  const std::lock_guard lock(pinned_mutex);
  if (pinned_blocks.erase(static_cast<std::byte*>(block)) == 0) return kInvalidValue;
  std::free(block);
  return 0;
}
int kind_of(const void* address, CudaMemory* kind, int* device) {
  *kind = memory().holds(address, 1) ? CudaMemory::device : is_pinned(address) ? CudaMemory::pinned : CudaMemory::host;
  *device = 0;
  return 0;
}

bool goes(void* to, const void* from, std::size_t bytes, CudaCopy direction) {
  const bool from_device = direction != CudaCopy::to_device, to_device = direction != CudaCopy::to_host;
  return memory().holds(from, bytes) == from_device && memory().holds(to, bytes) == to_device;
}
std::function<void()> copying(void* to, const void* from, std::size_t bytes) {
  return [=] {
    const Memory::Open open(memory());
    std::memcpy(to, from, bytes);
  };
}
int copy_later(void* to, const void* from, std::size_t bytes, CudaCopy direction, void* stream) {
  const bool pinned = direction == CudaCopy::on_device || is_pinned(direction == CudaCopy::to_device ? from : to);
  if (!pinned || !goes(to, from, bytes, direction)) return kInvalidValue;
  as_stream(stream).submit(copying(to, from, bytes));
  return 0;
}

struct StagingApi {
  static int allocate(std::size_t bytes, void** block) { return allocate_pinned(bytes, block); }
  static int make(void** event) { return make_event(false, event); }
  static int record(void* event) { return record_event(event, &compute()); }
  static int wait(void* event) { return synchronize_event(event); }
  static int send(void* to, const void* from, std::size_t bytes) {
    return copy_later(to, from, bytes, CudaCopy::to_device, &compute());
  }
};
Staging<StagingApi> staging;

int copy(void* to, const void* from, std::size_t bytes, CudaCopy direction) {
  if (!goes(to, from, bytes, direction)) return kInvalidValue;
  if (direction == CudaCopy::to_device && !graph_being_made) return staging.send(to, from, bytes);
  in_order(copying(to, from, bytes));
  if (direction == CudaCopy::to_host && !graph_being_made) compute().run_all();
  return 0;
}

int synchronize(const char** failed_launch) {
  compute().run_all();
  const std::lock_guard lock(failure.mutex);
  *failed_launch = failure.op;
  failure.op = nullptr;
  return std::exchange(failure.status, 0);
}

int begin_graph() {
  graph_being_made = std::make_unique<Graph>();
  return 0;
}
int end_graph(void** graph) {
  if (!graph_being_made) return kInvalidGraph;
  *graph = graph_being_made.release();
  return 0;
}
int launch_graph(void* graph) {
  for (const auto& step : *static_cast<Graph*>(graph)) compute().submit(step);
  return 0;
}
int release_graph(void* graph) {
  compute().run_all();
  delete static_cast<Graph*>(graph);
  return 0;
}

std::atomic<bool> tf32{false};
void allow_tf32(bool allowed) { tf32 = allowed; }

constexpr CudaAbi abi{kCudaAbiVersion, "emulated",   device_count,      describe,  use_device,  describe_device,
                      kernels,         allocate,     release,           copy,      synchronize, begin_graph,
                      end_graph,       launch_graph, release_graph,     stream_of, make_event,  release_event,
                      record_event,    wait_event,   synchronize_event, query,     elapsed,     allocate_pinned,
                      release_pinned,  copy_later,   kind_of,           allow_tf32};

}  // namespace

namespace cuda_runtime {

const Facts& facts() {
  static constexpr Facts f{8, 0, 4, 99 * 1024};
  return f;
}

void* workspace(std::size_t bytes) {
  static std::size_t held = 0;
  static void* block = nullptr;
  if (bytes > held) {
    block = memory().take(bytes);
    held = block ? bytes : 0;
    if (!block) note("workspace", kCudaOutOfMemory);
  }
  if (block)  // nothing may be hoped for from last time
    in_order([at = block, bytes] {
      const Memory::Open open(memory());
      std::memset(at, 0xff, bytes);
    });
  return block;
}

void note(const char* op, int status) {
  const std::lock_guard lock(failure.mutex);
  if (failure.status != 0) return;
  failure.op = op;
  failure.status = status;
}

bool tf32_allowed() { return tf32; }

}  // namespace cuda_runtime

namespace emulation {
void submit(Work work) {
  in_order([work = std::move(work)] {
    const Memory::Open open(memory());
    run(work);
  });
}
}  // namespace emulation

}  // namespace lamina

extern "C" __attribute__((visibility("default"))) const lamina::CudaAbi* lamina_cuda_abi() { return &lamina::abi; }
