// The run time on CUDA: one stream per device, on which everything runs in order, and one for copies beside it.
#include <atomic>
#include <mutex>

#include "core/cuda_abi.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"
#include "cuda/staging.h"

namespace lamina {
namespace LAMINA_TARGET {
const KernelTable& table();
}

namespace {

constexpr int kMostDevices = 64;

struct OfDevice {
  std::once_flag once;
  cudaError_t status = cudaSuccess;
  cudaStream_t stream = nullptr, copies = nullptr;
  cuda_runtime::Facts facts{};
  std::mutex mutex;
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
};
OfDevice devices[kMostDevices];
thread_local int device_in_use = 0;

OfDevice& device() { return devices[device_in_use]; }

struct Failure {
  std::mutex mutex;
  const char* op = nullptr;
  int status = 0;
} failure;

int device_count(int* count) {
  const cudaError_t status = cudaGetDeviceCount(count);
  if (status == cudaErrorNoDevice) {
    *count = 0;
    return 0;
  }
  return status;
}

const char* describe(int status) {
  return status == cuda_runtime::kTooManyElements ? cuda_runtime::kTooManyElementsSaid
                                                  : cudaGetErrorString(static_cast<cudaError_t>(status));
}

void prepare(int index, OfDevice& d) {
  cudaDeviceProp p;
  d.status = cudaGetDeviceProperties(&p, index);
  if (d.status != cudaSuccess) return;
  d.facts = {p.major, p.minor, p.multiProcessorCount, p.sharedMemPerBlockOptin};
  d.status = cudaStreamCreateWithFlags(&d.stream, cudaStreamNonBlocking);
  if (d.status == cudaSuccess) d.status = cudaStreamCreateWithFlags(&d.copies, cudaStreamNonBlocking);
}

int use_device(int index) {
  if (index < 0 || index >= kMostDevices) return cudaErrorInvalidDevice;
  if (const cudaError_t status = cudaSetDevice(index)) return status;
  device_in_use = index;
  OfDevice& d = device();
  std::call_once(d.once, prepare, index, d);
  return d.status;
}

int describe_device(int index, CudaFacts* f) {
  cudaDeviceProp p;
  if (const cudaError_t status = cudaGetDeviceProperties(&p, index)) return status;
  *f = {{}, p.major, p.minor, p.multiProcessorCount, p.sharedMemPerBlockOptin, p.totalGlobalMem};
  for (std::size_t i = 0; i + 1 < sizeof f->name && p.name[i]; ++i) f->name[i] = p.name[i];
  return 0;
}

const KernelTable* kernels(int index) { return devices[index].facts.major >= 8 ? &LAMINA_TARGET::table() : nullptr; }

// A request that failed is over; the next call must not be told of it.
int told(cudaError_t status) {
  if (status != cudaSuccess) cudaGetLastError();
  return status;
}

int allocate(std::size_t bytes, void** block) { return told(cudaMalloc(block, bytes)); }
int release(void* block) { return told(cudaFree(block)); }

cudaMemcpyKind kind_of_copy(CudaCopy direction) {
  return direction == CudaCopy::to_device ? cudaMemcpyHostToDevice
         : direction == CudaCopy::to_host ? cudaMemcpyDeviceToHost
                                          : cudaMemcpyDeviceToDevice;
}

int stream_of(CudaStream which, void** stream) {
  *stream = which == CudaStream::compute ? device().stream : device().copies;
  return 0;
}
int make_event(bool timed, void** event) {
  cudaEvent_t made = nullptr;
  const cudaError_t status = cudaEventCreateWithFlags(&made, timed ? cudaEventDefault : cudaEventDisableTiming);
  *event = made;
  return told(status);
}
int release_event(void* event) { return told(cudaEventDestroy(static_cast<cudaEvent_t>(event))); }
int record_event(void* event, void* stream) {
  return told(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)));
}
int wait_event(void* stream, void* event) {
  return told(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0));
}
int synchronize_event(void* event) { return told(cudaEventSynchronize(static_cast<cudaEvent_t>(event))); }
int query(void* event, void* stream, bool* done) {
  const cudaError_t status =
      event ? cudaEventQuery(static_cast<cudaEvent_t>(event)) : cudaStreamQuery(static_cast<cudaStream_t>(stream));
  *done = status == cudaSuccess;
  return status == cudaErrorNotReady ? told(status), 0 : told(status);
}
int elapsed(void* from, void* to, float* milliseconds) {
  return told(cudaEventElapsedTime(milliseconds, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to)));
}

int allocate_pinned(std::size_t bytes, void** block) { return told(cudaMallocHost(block, bytes)); }
int release_pinned(void* block) { return told(cudaFreeHost(block)); }
int copy_later(void* to, const void* from, std::size_t bytes, CudaCopy direction, void* stream) {
  return told(cudaMemcpyAsync(to, from, bytes, kind_of_copy(direction), static_cast<cudaStream_t>(stream)));
}
int kind_of(const void* address, CudaMemory* kind, int* index) {
  cudaPointerAttributes found;
  if (const cudaError_t status = cudaPointerGetAttributes(&found, address)) return told(status);
  *kind = found.type == cudaMemoryTypeUnregistered ? CudaMemory::host
          : found.type == cudaMemoryTypeHost       ? CudaMemory::pinned
                                                   : CudaMemory::device;
  *index = found.device;
  return 0;
}

struct StagingApi {
  static int allocate(std::size_t bytes, void** block) { return allocate_pinned(bytes, block); }
  static int make(void** event) { return make_event(false, event); }
  static int record(void* event) { return record_event(event, device().stream); }
  static int wait(void* event) { return synchronize_event(event); }
  static int send(void* to, const void* from, std::size_t bytes) {
    return copy_later(to, from, bytes, CudaCopy::to_device, device().stream);
  }
};
Staging<StagingApi> staging[kMostDevices];

int copy(void* to, const void* from, std::size_t bytes, CudaCopy direction) {
  const cudaStream_t stream = device().stream;
  if (direction == CudaCopy::to_device) {
    cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
    cudaStreamIsCapturing(stream, &capturing);
    if (capturing == cudaStreamCaptureStatusNone) return staging[device_in_use].send(to, from, bytes);
  }
  const cudaError_t status = cudaMemcpyAsync(to, from, bytes, kind_of_copy(direction), stream);
  if (status != cudaSuccess || direction == CudaCopy::on_device) return told(status);
  return told(cudaStreamSynchronize(stream));
}

int synchronize(const char** failed_launch) {
  const cudaError_t status = cudaStreamSynchronize(device().stream);
  const std::lock_guard lock(failure.mutex);
  *failed_launch = failure.op;
  failure.op = nullptr;
  const int noted = failure.status;
  failure.status = 0;
  return noted ? noted : told(status);
}

int begin_graph() { return told(cudaStreamBeginCapture(device().stream, cudaStreamCaptureModeThreadLocal)); }

int end_graph(void** graph) {
  cudaGraph_t recorded = nullptr;
  cudaError_t status = cudaStreamEndCapture(device().stream, &recorded);
  if (status != cudaSuccess) return told(status);
  cudaGraphExec_t ready = nullptr;
  status = cudaGraphInstantiate(&ready, recorded, 0);
  cudaGraphDestroy(recorded);
  *graph = ready;
  return told(status);
}
int launch_graph(void* graph) { return told(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), device().stream)); }
int release_graph(void* graph) { return told(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph))); }

std::atomic<bool> tf32{false};
void allow_tf32(bool allowed) { tf32 = allowed; }

constexpr CudaAbi abi{kCudaAbiVersion, "cuda",       device_count,      describe,  use_device,  describe_device,
                      kernels,         allocate,     release,           copy,      synchronize, begin_graph,
                      end_graph,       launch_graph, release_graph,     stream_of, make_event,  release_event,
                      record_event,    wait_event,   synchronize_event, query,     elapsed,     allocate_pinned,
                      release_pinned,  copy_later,   kind_of,           allow_tf32};

}  // namespace

namespace cuda_runtime {

cudaStream_t stream() { return device().stream; }

const Facts& facts() { return device().facts; }

void* workspace(std::size_t bytes) {
  OfDevice& d = device();
  const std::lock_guard lock(d.mutex);
  if (bytes > d.workspace_bytes) {
    const std::size_t size = bytes < std::size_t{16} << 20 ? std::size_t{16} << 20 : bytes + bytes / 2;
    void* block = nullptr;
    if (const cudaError_t status = cudaMalloc(&block, size)) {
      note("workspace", told(status));
      return nullptr;
    }
    d.workspace = block;  // what was there before may be part of a graph: it stays
    d.workspace_bytes = size;
  }
  return d.workspace;
}

void note(const char* op, int status) {
  const std::lock_guard lock(failure.mutex);
  if (failure.status != 0) return;
  failure.op = op;
  failure.status = status;
}

bool tf32_allowed() { return tf32; }

}  // namespace cuda_runtime
}  // namespace lamina

extern "C" __attribute__((visibility("default"))) const lamina::CudaAbi* lamina_cuda_abi() { return &lamina::abi; }
