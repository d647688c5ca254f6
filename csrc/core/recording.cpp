#include "core/recording.h"

#include <algorithm>
#include <chrono>

#include "core/stream.h"

namespace lamina {

std::atomic<int> open_recordings{0};

void touch_recorded(Storage& s) {
  if (Recording* recording = current_stream().recording()) recording->touch(s);
}

// ---- memory ----

RecordingMemory::~RecordingMemory() { close(); }

void* RecordingMemory::take(std::size_t bytes, Device device) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = block_size(bytes);
  Class& c = classes_[size];
  c.device = device;
  void* block;
  if (!c.free.empty()) {
    block = c.free.back();
    c.free.pop_back();
  } else {
    c.free.reserve(c.blocks + 1);
    block = allocate(size, device);
    ++c.blocks;
    bytes_ += size;
  }
  live_.emplace(block, nullptr);
  return block;
}

void RecordingMemory::enter(void* block, Storage* storage) noexcept {
  const std::lock_guard lock(mutex_);
  live_.find(block)->second = storage;
}

void RecordingMemory::give(void* block, std::size_t bytes, Device device) noexcept {
  const std::lock_guard lock(mutex_);
  live_.erase(block);
  const std::size_t size = block_size(bytes);
  if (!closed_) return classes_.find(size)->second.free.push_back(block);
  deallocate(block, size, device);
  bytes_ -= size;
}

void RecordingMemory::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto& [size, c] : classes_) {
    for (void* block : c.free) deallocate(block, size, c.device);
    bytes_ -= size * c.free.size();
    c.free.clear();
  }
}

std::size_t RecordingMemory::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t RecordingMemory::live() const {
  const std::lock_guard lock(mutex_);
  return live_.size();
}

void RecordingMemory::bump_versions() noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& [block, storage] : live_)
    if (storage) storage->version.fetch_add(1, std::memory_order_relaxed);
}

// ---- recording ----

Recording::~Recording() { memory_->close(); }

void* Recording::room(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kPage = 16384;
  page_used_ = (page_used_ + alignment - 1) / alignment * alignment;
  if (page_used_ + bytes > page_size_) {
    page_size_ = std::max(bytes, kPage);
    pages_.push_back(std::make_unique<std::byte[]>(page_size_));
    page_used_ = 0;
  }
  void* place = pages_.back().get() + page_used_;
  page_used_ += bytes;
  return place;
}

void Recording::touch(Storage& s) {
  if (s.home() != memory_.get()) outside_.try_emplace(&s, Ref<Storage>(&s));
}

void Recording::keep(const Tensor& constant) { constants_.push_back(constant); }

void Recording::written(Storage& s) {
  if (s.home() == memory_.get()) return;  // all that lives there counts on with every replay
  touch(s);
  written_.insert(&s);
}

Tensor Recording::derived_from(const Tensor& source) const {
  for (const Derived& d : derived_) {
    const Tensor& s = d.source;
    if (s.data() == source.data() && s.dtype() == source.dtype() && s.shape() == source.shape() &&
        s.strides() == source.strides())
      return d.result;
  }
  return {};
}

Recording::LeafGrad* Recording::journal(const Tensor& leaf, bool read) {
  if (leaf.storage().home() == memory_.get()) return nullptr;  // made by the step, like its gradient
  const auto known = std::find_if(leaves_.begin(), leaves_.end(), [&](const LeafGrad& l) { return l.leaf == leaf; });
  if (known != leaves_.end()) return &*known;
  leaves_.push_back({leaf, read, false, read ? leaf.impl()->grad() : Tensor(), {}});
  return &leaves_.back();
}
void Recording::grad_read(const Tensor& leaf) { journal(leaf, true); }
void Recording::grad_written(const Tensor& leaf) {
  if (LeafGrad* l = journal(leaf, false)) l->written = true;
}

void Recording::finish() {
  for (LeafGrad& l : leaves_)
    if (l.written) l.after = l.leaf.impl()->grad();
}

bool Recording::grads_are_as_found() const {
  return std::all_of(leaves_.begin(), leaves_.end(),
                     [](const LeafGrad& l) { return !l.read_first || l.leaf.impl()->grad() == l.before; });
}

std::size_t Recording::survivors(const std::vector<Tensor>& expected) const {
  std::unordered_set<const Storage*> known;
  const auto add = [&](const Tensor& t) {
    if (t.defined() && t.storage().home() == memory_.get()) known.insert(&t.storage());
  };
  for (const Tensor& t : expected) add(t);
  for (const Tensor& t : constants_) add(t);
  for (const Derived& d : derived_) add(d.result);
  for (const LeafGrad& l : leaves_) add(l.after);
  return memory_->live() - known.size();
}

void Recording::replay() {
  for (Derived& d : derived_) {
    if (d.source.version() == d.version) continue;
    d.launch->run(d.launch);
    d.version = d.source.version();
  }
  for (Storage* s : written_) s->version.fetch_add(1, std::memory_order_relaxed);
  memory_->bump_versions();
  for (const Launch* launch : launches_) launch->run(launch);
  for (const LeafGrad& l : leaves_)
    if (l.written) l.leaf.impl()->set_grad(l.after);
}

std::vector<double> Recording::timings(int replays) {
  std::vector<double> least(launches_.size(), 1e9);
  for (int r = 0; r < replays; ++r)
    for (std::size_t i = 0; i < launches_.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      launches_[i]->run(launches_[i]);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      least[i] = std::min(least[i], took.count());
    }
  return least;
}

}  // namespace lamina
