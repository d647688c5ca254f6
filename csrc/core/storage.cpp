#include "core/storage.h"

#include "core/stream.h"

namespace lamina {

Storage::Storage(std::size_t bytes, Device device) : data(allocate(bytes, device)), bytes(bytes), device(device) {}

Storage::Storage(void* data, std::size_t bytes, Device device, bool writable, std::function<void()> free)
    : data(data), bytes(bytes), device(device), writable(writable), exposed(true), free_(std::move(free)) {}

Storage::~Storage() {
  if (free_)
    free_();
  else if (Recording* recording = current_stream().recording())
    recording->keep(data, bytes, device);
  else
    deallocate(data, bytes, device);
}

}  // namespace lamina
