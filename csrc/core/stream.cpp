#include "core/stream.h"

namespace lamina {

Stream& current_stream() {
  thread_local Stream stream;
  return stream;
}

void Stream::set_recording(Recording* r) {
  open_recordings.fetch_add((r != nullptr) - (recording_ != nullptr), std::memory_order_relaxed);
  recording_ = r;
}

}  // namespace lamina
