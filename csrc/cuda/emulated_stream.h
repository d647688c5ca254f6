// Streams and events of the stand-in. With LAMINA_EMULATE_LAZY=all a stream does nothing until somebody waits for it,
// as late as a GPU may; with LAMINA_EMULATE_LAZY=compute copies beside the kernels run at once, as early as a GPU may:
// memory written too early, and a wait that was forgotten, show in one or the other. Otherwise all is done at once.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace lamina::emulation {

inline std::recursive_mutex streams_mutex;  // work of a stream may wait for another stream

class EmulatedStream {
 public:
  explicit EmulatedStream(bool computes) {
    const char* asked = std::getenv("LAMINA_EMULATE_LAZY");
    lazy_ = asked && (computes || *asked == 'a');
  }
  void submit(std::function<void()> work) {
    const std::lock_guard lock(streams_mutex);
    work_.push_back(std::move(work));
    ++submitted_;
    if (!lazy_) run_until(submitted_);
  }
  void run_until(std::uint64_t count) {
    const std::lock_guard lock(streams_mutex);
    while (done_ < count) {
      const auto work = std::move(work_.front());
      work_.pop_front();
      ++done_;
      work();
    }
  }
  void run_all() { run_until(submitted_); }
  std::uint64_t submitted() const { return submitted_; }
  std::uint64_t done() const { return done_; }

 private:
  bool lazy_;
  std::deque<std::function<void()>> work_;
  std::uint64_t submitted_ = 0, done_ = 0;
};

// One that was never recorded has been reached.
struct EmulatedEvent {
  EmulatedStream* stream = nullptr;
  std::uint64_t place = 0;
  using Time = std::chrono::steady_clock::time_point;
  std::shared_ptr<Time> when = std::make_shared<Time>();  // outlives the event, if that is let go before it is reached

  bool reached() const { return !stream || stream->done() >= place; }
  void wait() const {
    if (stream) stream->run_until(place);
  }
  void record(EmulatedStream& s) {
    stream = &s;
    s.submit([when = when] { *when = std::chrono::steady_clock::now(); });
    place = s.submitted();
  }
};

}  // namespace lamina::emulation
