#include "ops/cuda_copies.h"

#include <mutex>
#include <vector>

#include "autograd/node.h"
#include "core/stream.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace lamina {
namespace {

// Blocks that the copy stream writes and kernels read. They are not those of other tensors: a block of theirs that is
// free for the next kernel may still be read by one before it, and the copy stream does not wait for that one. An idle
// block knows the event after which nobody reads it.
class Uploads {
 public:
  struct Block {
    void *data, *event;
    std::size_t bytes;
  };

  Block take(const CudaAbi& cuda, std::size_t bytes, Device device) {
    const std::lock_guard lock(mutex_);
    for (auto b = idle_.begin(); b != idle_.end(); ++b)
      if (b->bytes == bytes) {
        const Block found = *b;
        idle_.erase(b);
        return found;
      }
    Block made{nullptr, nullptr, bytes};
    check_cuda(cuda.make_event(false, &made.event), "copy");
    made.data = allocate(bytes, device);
    check_cuda(cuda.record_event(made.event, cuda_stream(device)), "copy");
    return made;
  }
  void give(const Block& b, Device device) noexcept {
    try {
      const CudaAbi& cuda = use_cuda(device);
      cuda.record_event(b.event, cuda_stream(device));
      const std::lock_guard lock(mutex_);
      idle_.push_back(b);
      if (idle_.size() <= kMostIdle) return;
      cuda.release_event(idle_.front().event);
      deallocate(idle_.front().data, idle_.front().bytes, device);
      idle_.erase(idle_.begin());
    } catch (...) {  // the device is lost, and the block with it
    }
  }

 private:
  static constexpr std::size_t kMostIdle = 8;
  std::mutex mutex_;
  std::vector<Block> idle_;  // the oldest first
};

Uploads& uploads(Device device) {
  constexpr int kMostDevices = 64;
  static auto* all = new Uploads[kMostDevices];  // outlive every static tensor
  return all[device.index];
}

}  // namespace

void* cuda_stream(Device device, CudaStream which) {
  void* stream = nullptr;
  check_cuda(use_cuda(device).stream(which, &stream), "stream");
  return stream;
}

void order_streams(Device device, void* before, void* after) {
  if (before == after) return;
  const CudaAbi& cuda = use_cuda(device);
  void* event = nullptr;
  check_cuda(cuda.make_event(false, &event), "stream");
  const int recorded = cuda.record_event(event, before), waits = recorded ? 0 : cuda.wait_event(after, event);
  cuda.release_event(event);
  check_cuda(recorded ? recorded : waits, "stream");
}

bool is_pinned(const Tensor& t) {
  const CudaAbi* cuda = open_cuda_library();
  if (!cuda || t.device().type != DeviceType::cpu || t.numel() == 0) return false;
  CudaMemory kind = CudaMemory::host;
  int index = 0;
  check_cuda(cuda->kind_of(t.data(), &kind, &index), "is_pinned");
  return kind == CudaMemory::pinned;
}

Tensor pin_memory(const Tensor& t) {
  check(t.device().type == DeviceType::cpu, "pin_memory: expected memory of the host, got a tensor on ", t.device());
  const CudaAbi& cuda = use_cuda({DeviceType::cuda, 0});
  if (t.numel() == 0 || is_pinned(t)) return t;
  const std::size_t bytes = static_cast<std::size_t>(t.numel()) * t.item_size();
  void* block = nullptr;
  check_cuda(cuda.allocate_pinned(bytes, &block), "pin_memory");
  Ref<Storage> storage(new Storage(block, bytes, {}, true, [&cuda, block] { cuda.release_pinned(block); }));
  const Tensor out(new TensorImpl(std::move(storage), 0, t.shape(), contiguous_strides(t.shape()), t.dtype()));
  write_copy(out, t);
  return out;
}

Tensor upload(const Tensor& t, Device device) {
  if (device.type == DeviceType::cpu || t.device() == device || open_recording() || needs_grad(t) || !t.contiguous() ||
      !is_pinned(t))
    return to_device(t, device);
  const CudaAbi& cuda = use_cuda(device);
  Uploads& pool = uploads(device);
  const Uploads::Block block = pool.take(cuda, static_cast<std::size_t>(t.numel()) * t.item_size(), device);
  Ref<Storage> storage(new Storage(block.data, block.bytes, device, true,
                                   [&pool, block, device, from = t] { pool.give(block, device); }));
  void* const copies = cuda_stream(device, CudaStream::copies);
  check_cuda(cuda.wait_event(copies, block.event), "copy");
  check_cuda(cuda.copy_later(block.data, t.data(), block.bytes, CudaCopy::to_device, copies), "copy");
  order_streams(device, copies, cuda_stream(device));
  return Tensor(new TensorImpl(std::move(storage), 0, t.shape(), contiguous_strides(t.shape()), t.dtype()));
}

bool download(const Tensor& to, const Tensor& from) {
  if (to.device().type != DeviceType::cpu || from.device().type != DeviceType::cuda || open_recording() ||
      needs_grad(to) || needs_grad(from) || to.shape() != from.shape() || to.dtype() != from.dtype() ||
      !to.contiguous() || !from.contiguous() || !is_pinned(to))
    return false;
  check_cuda(use_cuda(from.device())
                 .copy_later(to.data(), from.data(), static_cast<std::size_t>(to.numel()) * to.item_size(),
                             CudaCopy::to_host, cuda_stream(from.device())),
             "copy_");
  bump_version(to);
  return true;
}

}  // namespace lamina
