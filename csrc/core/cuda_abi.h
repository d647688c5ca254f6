// What liblamina_cuda.so and the rest of lamina know of each other: one exported function that returns a table of plain
// functions. The library holds all of CUDA; nothing else is compiled with it or linked to it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/table.h"

namespace lamina {

// Counted up with every change of this file or of a table in kernels/.
constexpr std::uint32_t kCudaAbiVersion = 3;

// Status: 0, or a cudaError. What the library itself must tell apart:
constexpr int kCudaOutOfMemory = 2;

enum class CudaCopy : int { to_device, to_host, on_device };
enum class CudaStream : int { compute, copies };
enum class CudaMemory : int { host, pinned, device };  // what the device reads by itself, of any kind, counts as device

struct CudaFacts {
  char name[128];
  int major, minor, multiprocessors;
  std::size_t shared_per_block, total_memory;
};

// Kernels and copies of a device run in the order in which they are started, on one stream; so memory that is given
// back may be handed out again at once. Beside it only copy_later() runs, and what others share by DLPack: events order
// them. Streams and events are CUDA's own, as addresses.
struct CudaAbi {
  std::uint32_t version;
  const char* target;               // "cuda", or what stands in for it in tests
  int (*device_count)(int* count);  // fails where there is no driver
  const char* (*describe)(int status);
  int (*use_device)(int device);  // for all that follows on this thread
  int (*facts)(int device, CudaFacts* facts);
  const KernelTable* (*kernels)(int device);  // by what the device can do
  int (*allocate)(std::size_t bytes, void** block);
  int (*release)(void* block);
  // Returns when `from` may be written again and, to the host, when `to` may be read.
  int (*copy)(void* to, const void* from, std::size_t bytes, CudaCopy direction);
  // Waits for the device. failed_launch: the first operation since the last call whose kernel could not be started or,
  // where that is all that is known, null.
  int (*synchronize)(const char** failed_launch);
  // A flat list of launches as one: what is launched between begin and end is not run but written down.
  int (*begin_graph)();
  int (*end_graph)(void** graph);
  int (*launch_graph)(void* graph);
  int (*release_graph)(void* graph);
  int (*stream)(CudaStream which, void** stream);  // of the device in use
  int (*make_event)(bool timed, void** event);
  int (*release_event)(void* event);
  int (*record_event)(void* event, void* stream);
  int (*wait_event)(void* stream, void* event);  // what is started on the stream from now on comes after the event
  int (*synchronize_event)(void* event);         // the host waits
  int (*query)(void* event, void* stream, bool* done);  // of the one that is not null
  int (*elapsed)(void* from, void* to, float* milliseconds);
  int (*allocate_pinned)(std::size_t bytes, void** block);
  int (*release_pinned)(void* block);  // waits for copies
  // Returns at once: the memory of the host is pinned, and left alone until the stream has come so far.
  int (*copy_later)(void* to, const void* from, std::size_t bytes, CudaCopy direction, void* stream);
  int (*kind_of)(const void* address, CudaMemory* kind, int* device);
  void (*allow_tf32)(bool allowed);  // in products and convolutions of float32 from now on; false at first
};

// The one symbol of the library.
using CudaEntry = const CudaAbi* (*)();
constexpr const char* kCudaEntryName = "lamina_cuda_abi";

}  // namespace lamina
