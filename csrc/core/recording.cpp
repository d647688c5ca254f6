#include "core/recording.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "core/cuda_library.h"
#include "core/parallel.h"
#include "core/stream.h"

namespace lamina {

std::atomic<int> open_recordings{0};

void touch_recorded(Storage& s) {
  if (Recording* recording = current_stream().recording()) recording->touch(s);
}

// ---- memory ----

RecordingMemory::~RecordingMemory() { close(); }

// A small tensor that stays, a loss, would cut the room that large ones leave: they never lie in one block.
constexpr std::size_t kSmall = 4096;

// The smallest free range that is large enough, or a new one.
RecordingMemory::Ranges::iterator RecordingMemory::fitting(std::size_t size, Device device) {
  const auto takes = [&](const Block& b) {
    return b.device == device && (!b.addresses || b.small == (size <= kSmall));
  };
  auto best = ranges_.end();
  for (auto r = ranges_.begin(); r != ranges_.end(); ++r)
    if (!r->second.live && takes(*r->second.block) && r->second.size >= size &&
        (best == ranges_.end() || r->second.size < best->second.size))
      best = r;
  if (best != ranges_.end()) return best;
  for (auto block = blocks_.begin(); block != blocks_.end(); ++block)
    if (block->addresses && takes(*block))
      if (const auto range = at_the_end_of(block, size); range != ranges_.end()) return range;
  return of_new_block(size, device);
}

// A free range of this size at the end of a block, which grows by what is missing; none if it cannot.
RecordingMemory::Ranges::iterator RecordingMemory::at_the_end_of(Blocks::iterator block, std::size_t size) {
  std::byte* const end = block->begin + block->size;
  const auto last = std::prev(ranges_.lower_bound(end));
  const std::size_t there = last->second.live ? 0 : last->second.size;
  if (!block->addresses->grow(block->size + size - there)) return ranges_.end();
  block->size += size - there;
  if (there == 0) return ranges_.emplace(end, Range{.size = size, .block = block}).first;
  last->second.size = size;
  return last;
}

RecordingMemory::Ranges::iterator RecordingMemory::of_new_block(std::size_t size, Device device) {
  std::unique_ptr<AddressRange> addresses =
      device.type == DeviceType::cpu ? AddressRange::reserve(size) : std::unique_ptr<AddressRange>();
  if (addresses && !addresses->grow(size)) addresses.reset();
  const std::size_t whole = addresses ? size : block_size(size);
  std::byte* const begin = addresses ? addresses->begin() : static_cast<std::byte*>(allocate(whole, device));
  const auto block = blocks_.insert(blocks_.end(), Block{begin, whole, device, size <= kSmall, std::move(addresses)});
  return ranges_.emplace(begin, Range{.size = whole, .block = block}).first;
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
  if (r.live || r.size != r.block->size) return std::next(range);
  if (!r.block->addresses) deallocate(r.block->begin, r.block->size, r.block->device);
  blocks_.erase(r.block);
  return ranges_.erase(range);
}

void RecordingMemory::give(void* block) noexcept {
  const std::lock_guard lock(mutex_);
  const auto range = ranges_.find(static_cast<std::byte*>(block));
  range->second.live = false;
  range->second.storage = nullptr;
  if (closed_) let_go(range);
  const auto merged = merge(range);
  if (closed_) return_if_free(merged);
}

// Of a block that is the general cache's all goes at once, in the end.
void RecordingMemory::let_go(Ranges::iterator range) noexcept {
  if (AddressRange* addresses = range->second.block->addresses.get())
    addresses->let_go(range->first, range->second.size);
}

void RecordingMemory::close() noexcept {
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  closed_ = true;
  for (auto r = ranges_.begin(); r != ranges_.end(); r = return_if_free(r))
    if (!r->second.live) let_go(r);
}

std::size_t RecordingMemory::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const Block& block : blocks_) bytes += block.size;
  return bytes;
}

std::size_t RecordingMemory::live() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(ranges_.begin(), ranges_.end(), [](const auto& entry) { return entry.second.live; }));
}

bool RecordingMemory::only_on(Device device) const {
  const std::lock_guard lock(mutex_);
  return std::all_of(blocks_.begin(), blocks_.end(), [device](const Block& block) { return block.device == device; });
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

void TeamChoice::trial_took(double seconds, std::size_t launches) {
  double& least = least_[trial_ % 2];
  least = std::min(least, seconds);
  const bool worth_a_trial = least_[0] >= kSecondsWorthATeam && launches >= kLaunchesWorthATeam;
  trial_ = worth_a_trial ? trial_ + 1 : kTrials;
  faster_with_team_ = worth_a_trial && least_[1] < least_[0];
}

void TeamChoice::replayed() {
  if (++replays_ % kReplaysUntilTrial != 0) return;
  trial_ = 0;
  least_[0] = least_[1] = 1e9;
}

void Recording::run_each() {
  for (const Launch* launch : launches_) launch->run(launch);
}

void Recording::run_launches() {
  if (!replayed_) {
    replayed_ = true;
    make_graph();
  }
  if (graph_) return check_cuda(use_cuda(outside_.begin()->first->device).launch_graph(graph_.get()), "capture");
  const auto run = [this] {
    if (!team_.with_team()) return run_each();
    with_staying_team([](void* self) { static_cast<Recording*>(self)->run_each(); }, this);
  };
  if (team_.is_trial()) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    team_.trial_took(took.count(), launches_.size());
  } else {
    run();
    team_.replayed();
  }
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
  struct Timing {
    const std::vector<const Launch*>& launches;
    std::vector<double> least;
    int replays;
  } timing{launches_, std::vector<double>(launches_.size(), 1e9), replays};
  const auto run = [](void* context) {
    Timing& t = *static_cast<Timing*>(context);
    for (int r = 0; r < t.replays; ++r)
      for (std::size_t i = 0; i < t.launches.size(); ++i) {
        const auto start = std::chrono::steady_clock::now();
        t.launches[i]->run(t.launches[i]);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        t.least[i] = std::min(t.least[i], took.count());
      }
  };
  team_.with_team() ? with_staying_team(run, &timing) : run(&timing);
  return timing.least;
}

}  // namespace lamina
