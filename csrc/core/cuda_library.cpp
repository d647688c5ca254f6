#include "core/cuda_library.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/stream.h"

namespace lamina {
namespace {

constexpr const char* kFileName = "liblamina_cuda.so";

// Where the library may lie: named by LAMINA_CUDA_LIBRARY; beside this module; in the package that brings it.
std::vector<std::string> places() {
  if (const char* named = std::getenv("LAMINA_CUDA_LIBRARY"); named && *named) return {named};
  Dl_info self;
  if (!dladdr(reinterpret_cast<const void*>(&cuda_library), &self) || !self.dli_fname) return {};
  const std::string module = self.dli_fname;
  const std::size_t slash = module.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : module.substr(0, slash);
  return {folder + "/" + kFileName, folder + "/../lamina_cuda13/" + kFileName};
}

const CudaAbi* open() {
  std::string tried;
  void* handle = nullptr;
  for (const std::string& place : places()) {
    handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle) break;
    tried += concat("\n  ", dlerror());
  }
  check_as(ErrorKind::runtime, handle != nullptr,
           "device cuda: lamina's CUDA library is not here; docs/cuda.md says how ", "to build it. Tried:", tried);
  const auto entry = reinterpret_cast<CudaEntry>(dlsym(handle, kCudaEntryName));
  const CudaAbi* abi = entry ? entry() : nullptr;
  check_as(ErrorKind::runtime, abi != nullptr, "device cuda: ", kFileName, " is not lamina's CUDA library: it has no ",
           kCudaEntryName);
  check_as(ErrorKind::runtime, abi->version == kCudaAbiVersion, "device cuda: ", kFileName, " has version ",
           abi->version, " of the interface, this lamina needs ", kCudaAbiVersion,
           "; build both from the same version");
  return abi;
}

std::atomic<const CudaAbi*> opened{nullptr};
std::mutex opening;  // guards what the library is told when it is opened
bool tf32 = false;

// Counted at first use: devices neither come nor go while a process runs.
struct Devices {
  int count;
  std::string why;
};
const Devices& devices() {
  static const Devices found = [] {
    Devices d{0, {}};
    try {
      const CudaAbi& cuda = cuda_library();
      if (const int status = cuda.device_count(&d.count))
        d = {0, concat("device cuda: no usable NVIDIA driver: ", cuda.describe(status))};
      else if (d.count == 0)
        d.why = "device cuda: this machine has no CUDA device";
    } catch (const Error& e) {
      d.why = e.what();
    }
    return d;
  }();
  return found;
}

thread_local int device_in_use = -1;

}  // namespace

const CudaAbi* open_cuda_library() { return opened.load(std::memory_order_acquire); }

const CudaAbi& cuda_library() {
  if (const CudaAbi* abi = open_cuda_library()) return *abi;
  const std::lock_guard lock(opening);
  if (!opened) {
    const CudaAbi* abi = open();
    abi->allow_tf32(tf32);
    opened = abi;
  }
  return *opened;
}

void allow_tf32(bool allowed) {
  const std::lock_guard lock(opening);
  tf32 = allowed;
  if (const CudaAbi* abi = open_cuda_library()) abi->allow_tf32(allowed);
}
bool tf32_allowed() {
  const std::lock_guard lock(opening);
  return tf32;
}

int cuda_device_count(std::string* why) {
  if (why) *why = devices().why;
  return devices().count;
}

void check_cuda(int status, const char* what) {
  if (status == 0) return;
  const ErrorKind kind = status == kCudaOutOfMemory ? ErrorKind::memory : ErrorKind::runtime;
  fail(kind, what, ": CUDA error ", status, ": ", cuda_library().describe(status));
}

const CudaAbi& use_cuda(Device device) {
  const int index = device.index;
  if (index == device_in_use) return *open_cuda_library();
  const Devices& all = devices();
  check_as(ErrorKind::runtime, all.count > 0, all.why);
  check_as(ErrorKind::runtime, index < all.count, "device ", device, " is not there: this machine has ", all.count,
           all.count == 1 ? " CUDA device" : " CUDA devices");
  const CudaAbi& cuda = cuda_library();
  check_cuda(cuda.use_device(index), "device cuda");
  device_in_use = index;
  return cuda;
}

const KernelTable& cuda_kernels(Device device) {
  const KernelTable* table = use_cuda(device).kernels(device.index);
  check_as(ErrorKind::runtime, table != nullptr, "device ", device,
           " is too old: lamina's CUDA kernels need compute capability 8.0");
  return *table;
}

void synchronize(Device device) {
  if (device.type == DeviceType::cpu) return;
  const char* failed = nullptr;
  const int status = use_cuda(device).synchronize(&failed);
  check_cuda(status, failed ? failed : "synchronize: a kernel started before this failed");
}

void copy_bytes(void* to, const void* from, std::size_t bytes, Device device, CudaCopy direction) {
  const int status = use_cuda(device).copy(to, from, bytes, direction);
  // To the host it has waited for all kernels: what was read is worth nothing if one of them did not run. And where the
  // copy failed an earlier operation may be to blame, whose name this tells.
  if (status != 0 || direction == CudaCopy::to_host) synchronize(device);
  check_cuda(status, "copy");
}

void copy_to_host(void* to, const void* from, std::size_t bytes, Device device) {
  copy_bytes(to, from, bytes, device, CudaCopy::to_host);
}

}  // namespace lamina
