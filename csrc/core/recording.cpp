#include "core/recording.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "core/cuda_library.h"
#include "core/stream.h"

namespace lamina {

std::atomic<int> open_recordings{0};

void touch_recorded(Storage& s) {
  if (Recording* recording = current_stream().recording()) recording->touch(s);
}

// ---- memory ----

RecordingMemory::~RecordingMemory() { close(); }

// The smallest free range that is large enough, of a new block if there is none.
RecordingMemory::Ranges::iterator RecordingMemory::fitting(std::size_t size, Device device) {
  auto best = ranges_.end();
  for (auto r = ranges_.begin(); r != ranges_.end(); ++r)
    if (!r->second.live && r->second.device == device && r->second.size >= size &&
        (best == ranges_.end() || r->second.size < best->second.size))
      best = r;
  if (best != ranges_.end()) return best;
  const std::size_t whole = block_size(size);
  auto* const block = static_cast<std::byte*>(allocate(whole, device));
  bytes_ += whole;
  return ranges_.emplace(block, Range{.size = whole, .block = block, .block_size = whole, .device = device}).first;
}

void* RecordingMemory::take(std::size_t bytes, Device device) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = std::max((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  const auto found = fitting(size, device);
  Range& range = found->second;
  if (range.size > size) {
    Range rest = range;
    rest.size -= size;
    ranges_.emplace_hint(std::next(found), found->first + size, rest);
    range.size = size;
  }
  range.live = true;
  return found->first;
}

void RecordingMemory::enter(void* block, Storage* storage) noexcept {
  const std::lock_guard lock(mutex_);
  ranges_.find(static_cast<std::byte*>(block))->second.storage = storage;
}

// With the free neighbours of its block; allocates nothing.
RecordingMemory::Ranges::iterator RecordingMemory::merge(Ranges::iterator range) noexcept {
  const auto joins = [&](Ranges::iterator r) { return !r->second.live && r->second.block == range->second.block; };
  if (const auto next = std::next(range); next != ranges_.end() && joins(next)) {
    range->second.size += next->second.size;
    ranges_.erase(next);
  }
  if (range == ranges_.begin() || !joins(std::prev(range))) return range;
  const auto before = std::prev(range);
  before->second.size += range->second.size;
  ranges_.erase(range);
  return before;
}

// Gives the block back if all of it is free; the range after it.
RecordingMemory::Ranges::iterator RecordingMemory::return_if_free(Ranges::iterator range) noexcept {
  const Range& r = range->second;
  if (r.live || r.size != r.block_size) return std::next(range);
  deallocate(r.block, r.block_size, r.device);
  bytes_ -= r.block_size;
  return ranges_.erase(range);
}

void RecordingMemory::give(void* block) noexcept {
  const std::lock_guard lock(mutex_);
  const auto range = ranges_.find(static_cast<std::byte*>(block));
  range->second.live = false;
  range->second.storage = nullptr;
  const auto merged = merge(range);
  if (closed_) return_if_free(merged);
}

void RecordingMemory::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (auto r = ranges_.begin(); r != ranges_.end();) r = return_if_free(r);
}

std::size_t RecordingMemory::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::size_t RecordingMemory::live() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(ranges_.begin(), ranges_.end(), [](const auto& entry) { return entry.second.live; }));
}

bool RecordingMemory::only_on(Device device) const {
  const std::lock_guard lock(mutex_);
  return std::all_of(ranges_.begin(), ranges_.end(),
                     [device](const auto& entry) { return entry.second.device == device; });
}

void RecordingMemory::bump_versions() noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& [begin, range] : ranges_)
    if (range.storage) range.storage->version.fetch_add(1, std::memory_order_relaxed);
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

Tensor Recording::derived_by(const Tensor& source, int form, AnyKernel kernel) const {
  for (const Derived& d : derived_) {
    const Tensor& s = d.source;
    if (d.kernel == kernel && d.form == form && s.data() == source.data() && s.dtype() == source.dtype() &&
        s.shape() == source.shape() && s.strides() == source.strides())
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

void Recording::make_graph() {
  if (outside_.empty() || outside_.begin()->first->device.type == DeviceType::cpu) return;
  const Device device = outside_.begin()->first->device;
  const auto there = [device](const auto& entry) { return entry.first->device == device; };
  if (!std::all_of(outside_.begin(), outside_.end(), there) || !memory_->only_on(device)) return;
  const CudaAbi& cuda = use_cuda(device);
  check_cuda(cuda.begin_graph(), "capture");
  for (const Launch* launch : launches_) launch->run(launch);
  void* graph = nullptr;
  check_cuda(cuda.end_graph(&graph), "capture");
  graph_ = std::shared_ptr<void>(graph, [&cuda](void* g) { cuda.release_graph(g); });
}

void Recording::run_launches() {
  if (!replayed_) {
    replayed_ = true;
    make_graph();
  }
  if (graph_) return check_cuda(use_cuda(outside_.begin()->first->device).launch_graph(graph_.get()), "capture");
  for (const Launch* launch : launches_) launch->run(launch);
}

void Recording::replay() {
  for (Derived& d : derived_) {
    if (d.source.version() == d.version) continue;
    d.launch->run(d.launch);
    d.version = d.source.version();
  }
  for (Storage* s : written_) s->version.fetch_add(1, std::memory_order_relaxed);
  memory_->bump_versions();
  run_launches();
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
