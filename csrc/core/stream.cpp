#include "core/stream.h"

namespace lamina {

Recording::~Recording() {
  for (const Block& b : kept_) deallocate(b.data, b.bytes, b.device);
}

Stream& current_stream() {
  thread_local Stream stream;
  return stream;
}

}  // namespace lamina
