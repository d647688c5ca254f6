// The one seam through which every kernel runs. A kernel is a plain function whose arguments go by value; eagerly a
// launch is a call. While a recording is open on this thread the launch is also written down, to be replayed later over
// the same buffers with no Python, no allocation and no graph walk. On CUDA the same seam feeds a CUDA graph.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <vector>

#include "core/storage.h"

namespace lamina {

class Recording {
 public:
  template <class... P>
  void add(void (*kernel)(P...), std::decay_t<P>... args) {
    launches_.push_back(std::make_unique<LaunchOf<P...>>(kernel, std::move(args)...));
  }
  // Blocks freed while recording stay ours, so that no two live buffers of the replay share memory by accident.
  void keep(void* block, std::size_t bytes, Device device) { kept_.push_back({block, bytes, device}); }
  void replay() const {
    for (const auto& launch : launches_) launch->run();
  }
  std::size_t size() const { return launches_.size(); }
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording();

 private:
  struct Launch {
    virtual ~Launch() = default;
    virtual void run() const = 0;
  };
  template <class... P>
  struct LaunchOf final : Launch {
    LaunchOf(void (*kernel)(P...), std::decay_t<P>... args) : kernel(kernel), args(std::move(args)...) {}
    void run() const override { std::apply(kernel, args); }
    void (*kernel)(P...);
    std::tuple<std::decay_t<P>...> args;
  };
  struct Block {
    void* data;
    std::size_t bytes;
    Device device;
  };
  std::vector<std::unique_ptr<Launch>> launches_;
  std::vector<Block> kept_;
};

class Stream {
 public:
  template <class... P, class... A>
  void launch(void (*kernel)(P...), const A&... args) {
    if (recording_) [[unlikely]]
      recording_->add(kernel, args...);
    kernel(args...);
  }
  Recording* recording() const { return recording_; }
  void set_recording(Recording* r) { recording_ = r; }

 private:
  Recording* recording_ = nullptr;
};

Stream& current_stream();  // each thread has its own

}  // namespace lamina
