// A recorded step: its launches in order, and everything that they may read or write when they run again.
//
// Memory. Storage made while a recording is open lies in memory that belongs to the recording: on the host one block
// that grows, so that all its parts can join and split, elsewhere several. What is freed while it is open serves later
// storage of the same recording, whole or in parts, in the order of the launches and so in that of every replay; peak
// memory is about that of the eager step. After that the recording keeps all blocks until it dies. Storage from outside
// that a launch got a pointer to is kept alive just as long.
//
// Leaves. `.grad` is state outside of memory: a replay is valid only while the leaves hold the gradients that the
// recorded step found, and leaves behind those that the recorded step left.
#pragma once
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/address_range.h"
#include "core/tensor.h"

namespace lamina {

class RecordingMemory : public RefCounted {
 public:
  ~RecordingMemory();
  static void destroy(RecordingMemory* m) { delete m; }

  void* take(std::size_t bytes, Device device);
  void enter(void* block, Storage* storage) noexcept;
  void give(void* block) noexcept;
  // The recording is gone: what is free returns to the cache, and the rest as soon as it is freed.
  void close() noexcept;
  std::size_t bytes() const;
  std::size_t live() const;
  bool only_on(Device device) const;
  void bump_versions() noexcept;  // of all storage that lives here

 private:
  struct Block {
    std::byte* begin;
    std::size_t size;
    Device device;
    bool small;                               // for small tensors only
    std::unique_ptr<AddressRange> addresses;  // null: the block is the general cache's, and cannot grow
  };
  using Blocks = std::list<Block>;
  // Part of a block, in use or free. Neighbours in one block that are both free become one.
  struct Range {
    std::size_t size;
    Blocks::iterator block;
    bool live = false;
    Storage* storage = nullptr;
  };
  using Ranges = std::map<std::byte*, Range>;
  Ranges::iterator fitting(std::size_t size, Device device);
  Ranges::iterator at_the_end_of(Blocks::iterator block, std::size_t size);
  Ranges::iterator of_new_block(std::size_t size, Device device);
  Ranges::iterator merge(Ranges::iterator range) noexcept;
  Ranges::iterator return_if_free(Ranges::iterator range) noexcept;
  void let_go(Ranges::iterator range) noexcept;

  mutable std::mutex mutex_;
  Blocks blocks_;
  Ranges ranges_;  // by address
  bool closed_ = false;
};

// Do replays run beside a team of threads that stays from the first launch to the last? Whichever way was faster when
// both were tried: that depends on the caches which the cores share and on who else works on them, so they are tried
// again from time to time. The bits are the same.
class TeamChoice {
 public:
  bool with_team() const { return trial_ < kTrials ? trial_ % 2 == 1 : faster_with_team_; }
  bool is_trial() const { return trial_ < kTrials; }
  void trial_took(double seconds, std::size_t launches);
  void replayed();

 private:
  static constexpr double kSecondsWorthATeam = 1e-5;
  static constexpr std::size_t kLaunchesWorthATeam = 4;
  static constexpr int kTrials = 8;  // alone and with a team in turn
  static constexpr int kReplaysUntilTrial = 200;
  bool faster_with_team_ = false;
  int trial_ = 0, replays_ = 0;
  double least_[2] = {1e9, 1e9};
};

class Recording {
 public:
  // Whoever will not train the weights of the step may keep what is derived from them.
  explicit Recording(bool weights_change) : weights_change(weights_change), memory_(new RecordingMemory) {}
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording();

  template <class... P>
  void add(void (*kernel)(P...), std::decay_t<P>... args) {
    using L = LaunchOf<P...>;
    static_assert(std::is_trivially_destructible_v<L>, "arguments of kernels are plain values");
    launches_.push_back(new (room(sizeof(L), alignof(L))) L(kernel, args...));
  }
  // Runs the launches again. May throw what a kernel that checks its input throws.
  void replay();
  std::size_t size() const { return launches_.size(); }
  RecordingMemory& memory() const { return *memory_; }

  // ---- called while recording ----
  const bool weights_change;
  void touch(Storage& s);             // a launch may use its memory
  void keep(const Tensor& constant);  // written by the host, once; no launch may reuse its memory
  void written(Storage& s);           // a replay changes it: its version counts on
  void grad_read(const Tensor& leaf);
  void grad_written(const Tensor& leaf);
  // `result` was made of `source` by this kernel, in one of the forms that it gives. A replay makes it anew at its
  // beginning if the source has changed.
  template <class... P>
  void derive(const Tensor& source, int form, const Tensor& result, void (*kernel)(P...), std::decay_t<P>... args) {
    using L = LaunchOf<P...>;
    touch(source.storage());
    derived_.push_back(
        {source, result, source.version(), new (room(sizeof(L), alignof(L))) L(kernel, args...), erased(kernel), form});
  }
  template <class... P>
  Tensor derived_from(const Tensor& source, int form, void (*kernel)(P...)) const {  // undefined if nothing was
    return derived_by(source, form, erased(kernel));
  }
  bool writes(Storage& s) const { return written_.contains(&s); }

  // ---- afterwards ----
  void finish();
  bool grads_are_as_found() const;
  // Storage made by the step that lives on, beside `expected` and what `.grad` holds.
  std::size_t survivors(const std::vector<Tensor>& expected) const;
  // Seconds of each launch in a replay, the least of so many.
  std::vector<double> timings(int replays);

 private:
  struct Launch {
    void (*run)(const Launch*);
  };
  template <class... P>
  struct LaunchOf final : Launch {
    LaunchOf(void (*kernel)(P...), std::decay_t<P>... args) : Launch{&call}, kernel(kernel), args(args...) {}
    static void call(const Launch* l) {
      const auto* self = static_cast<const LaunchOf*>(l);
      std::apply(self->kernel, self->args);
    }
    void (*kernel)(P...);
    std::tuple<std::decay_t<P>...> args;
  };
  using AnyKernel = void (*)();  // to compare, not to call
  template <class... P>
  static AnyKernel erased(void (*kernel)(P...)) {
    return reinterpret_cast<AnyKernel>(kernel);
  }
  struct Derived {
    Tensor source, result;
    std::uint32_t version;
    const Launch* launch;
    AnyKernel kernel;
    int form;
  };
  struct LeafGrad {
    Tensor leaf;
    bool read_first;  // the step depends on the gradient that it found
    bool written;
    Tensor before, after;
  };

  Tensor derived_by(const Tensor& source, int form, AnyKernel kernel) const;
  void* room(std::size_t bytes, std::size_t alignment);
  void run_launches();
  void run_each();
  void make_graph();
  LeafGrad* journal(const Tensor& leaf, bool read);

  Ref<RecordingMemory> memory_;
  std::vector<const Launch*> launches_;
  std::vector<std::unique_ptr<std::byte[]>> pages_;
  std::size_t page_used_ = 0, page_size_ = 0;
  std::vector<Derived> derived_;
  std::unordered_map<Storage*, Ref<Storage>> outside_;
  std::unordered_set<Storage*> written_;  // of those outside
  std::vector<Tensor> constants_;
  std::vector<LeafGrad> leaves_;
  // A recording whose memory lies on one CUDA device becomes one CUDA graph when it is first replayed.
  bool replayed_ = false;
  TeamChoice team_;
  std::shared_ptr<void> graph_;
};

}  // namespace lamina
