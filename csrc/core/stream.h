// The one seam through which every kernel runs. A kernel is a plain function whose arguments go by value; eagerly a
// launch is a call. While a recording is open on this thread the launch is also written down, to be replayed later over
// the same buffers with no Python, no allocation and no graph walk. On CUDA the same seam feeds a CUDA graph.
#pragma once
#include "core/recording.h"

namespace lamina {

void copy_to_host(void* to, const void* from, std::size_t bytes, Device device);  // waits for the device
// One element of a device's memory.
template <class T>
T fetch(const T* from, Device device) {
  if (device.type == DeviceType::cpu) return *from;
  T here;
  copy_to_host(&here, from, sizeof here, device);
  return here;
}

class Stream {
 public:
  template <class... P, class... A>
  void launch(void (*kernel)(P...), const A&... args) {
    if (!kernel) [[unlikely]]
      fail(ErrorKind::not_implemented, "the device has no kernel for this operation");
    if (recording_) [[unlikely]]
      recording_->add(kernel, args...);
    kernel(args...);
  }
  // For functions of the host that throw when a kernel has found something wrong: *found and what follows. On the CPU
  // a launch like any other. On CUDA they wait for the device; replays go without them, and the kernels that come after
  // must stand what the report is about.
  template <class T, class... P, class... A>
  void report(Device device, void (*tell)(const T*, P...), const T* found, const A&... args) {
    if (device.type == DeviceType::cpu) return launch(tell, found, args...);
    const T here = fetch(found, device);
    tell(&here, args...);
  }
  Recording* recording() const { return recording_; }
  void set_recording(Recording* r);

 private:
  Recording* recording_ = nullptr;
};

Stream& current_stream();  // each thread has its own

// The recording that is open on this thread, or null. Costs next to nothing while no thread records.
inline Recording* open_recording() {
  return open_recordings.load(std::memory_order_relaxed) == 0 ? nullptr : current_stream().recording();
}

// What happens as long as one lives is no part of the recording: memory is anybody's, launches are not written down.
class Unrecorded {
 public:
  Unrecorded() : paused_(open_recording()) {
    if (paused_) current_stream().set_recording(nullptr);
  }
  ~Unrecorded() {
    if (paused_) current_stream().set_recording(paused_);
  }
  Unrecorded(const Unrecorded&) = delete;
  Unrecorded& operator=(const Unrecorded&) = delete;

 private:
  Recording* paused_;
};

// Before a value is read to the host: what Python decides by it would be decided once and for all replays.
inline void check_host_read(const char* what) {
  check_as(ErrorKind::runtime, !open_recording(), "capture: ", what,
           " reads a value while a step is being recorded, and each replay has another; return the tensor and read it "
           "after the step");
}
// Before an operation whose result has a size that depends on values.
inline void check_size_is_known(const char* what) {
  check_as(
      ErrorKind::runtime, !open_recording(), "capture: the size of the result of ", what,
      " depends on the data, which a step that is being recorded cannot follow; compute it before the step, or keep "
      "all elements and choose with where");
}

}  // namespace lamina
