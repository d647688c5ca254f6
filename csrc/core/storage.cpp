#include "core/storage.h"

#include "core/stream.h"

namespace lamina {
namespace {

RecordingMemory* memory_of_open_recording() {
  Recording* recording = open_recording();
  return recording ? &recording->memory() : nullptr;
}

}  // namespace

Storage::Storage(std::size_t bytes, Device device) : Storage(memory_of_open_recording(), bytes, device) {}

Storage::Storage(RecordingMemory* home, std::size_t bytes, Device device)
    : data(home ? home->take(bytes, device) : allocate(bytes, device)), bytes(bytes), device(device), home_(home) {
  if (home) home->enter(data, this);
}

Storage::Storage(void* data, std::size_t bytes, Device device, bool writable, std::function<void()> free)
    : data(data), bytes(bytes), device(device), writable(writable), exposed(true), free_(std::move(free)) {}

Storage::~Storage() {
  if (free_)
    free_();
  else if (home_)
    home_->give(data);
  else
    deallocate(data, bytes, device);
}

}  // namespace lamina
