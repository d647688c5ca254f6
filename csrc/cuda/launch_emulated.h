// launch.h for g++: the threads of a block take turns on the CPU. Each is a fiber, so that a kernel may stop anywhere
// at a barrier; kernels without barriers are plain loops.
#pragma once
#include <array>
#include <cstring>
#include <functional>

#define LAMINA_KERNEL

namespace lamina::emulation {

constexpr int kLargestExchange = 64;  // bytes

// What the threads of the block that runs now have in common.
struct Block {
  unsigned index[3], count[3];
  int threads;
  void* shared;
};

void wait_for_block();
void wait_for_warp();
void yield();  // lets the others run: for a thread that polls
// A buffer that the 32 lanes of this thread's warp share until their exchange after the next.
std::byte* exchange_buffer();

// Runs the kernel over the grid now, or writes it down while a graph is being made.
struct Work {
  std::array<unsigned, 3> grid;
  int threads;
  std::size_t shared_bytes;
  bool collective;
  std::function<void(const Block&, int thread)> body;
};
void submit(Work work);

}  // namespace lamina::emulation

namespace lamina {
namespace LAMINA_TARGET {
namespace {

class Thread {
 public:
  Thread(const emulation::Block& block, int thread) : block_(block), thread_(thread) {}
  int thread() const { return thread_; }
  int lane() const { return thread_ % kWarp; }
  int warp() const { return thread_ / kWarp; }
  template <int axis = 0>
  int block() const {
    return static_cast<int>(block_.index[axis]);
  }
  template <int axis = 0>
  int blocks() const {
    return static_cast<int>(block_.count[axis]);
  }
  std::int64_t global() const { return static_cast<std::int64_t>(block_.index[0]) * block_.threads + thread_; }
  std::int64_t globals() const { return static_cast<std::int64_t>(block_.count[0]) * block_.threads; }
  void sync() const { emulation::wait_for_block(); }
  void sync_warp() const { emulation::wait_for_warp(); }
  // Every lane's value; for what stands in for instructions of a whole warp.
  template <class T>
  void exchange(const T& v, T (&all)[kWarp]) const {
    static_assert(sizeof(T) <= emulation::kLargestExchange);
    std::byte* const buffer = emulation::exchange_buffer();
    std::memcpy(buffer + lane() * emulation::kLargestExchange, &v, sizeof v);
    emulation::wait_for_warp();
    for (int i = 0; i < kWarp; ++i) std::memcpy(&all[i], buffer + i * emulation::kLargestExchange, sizeof v);
  }
  template <class T>
  T shuffle(T v, int lane) const {
    T all[kWarp];
    exchange(v, all);
    return all[lane % kWarp];
  }
  template <class T>
  T shuffle_xor(T v, int mask) const {
    return shuffle(v, lane() ^ mask);
  }
  template <class Kernel>
  typename Kernel::Shared& shared() const {
    return *static_cast<typename Kernel::Shared*>(block_.shared);
  }

 private:
  const emulation::Block& block_;
  int thread_;
};

inline std::array<unsigned, 3> dims_of(const Grid& g) {
  return {static_cast<unsigned>(g.x), static_cast<unsigned>(g.y), static_cast<unsigned>(g.z)};
}

template <class Kernel>
void launch(const char* op, Grid grid, const Kernel& kernel) {
  static_assert(std::is_trivially_copyable_v<Kernel> && sizeof(Kernel) <= 4000, "arguments go by value");
  static_assert(Kernel::kCollective || shared_bytes<Kernel>() == 0);
  if (!grid.fits()) return cuda_runtime::note(op, cuda_runtime::kTooManyElements);
  if (shared_bytes<Kernel>() > cuda_runtime::facts().shared_per_block || grid.x <= 0 || grid.y <= 0 || grid.z <= 0 ||
      Kernel::kThreads > 1024)
    return cuda_runtime::note(op, 9);  // invalid configuration
  emulation::submit({dims_of(grid), Kernel::kThreads, shared_bytes<Kernel>(), Kernel::kCollective,
                     [kernel](const emulation::Block& block, int thread) { kernel(Thread(block, thread)); }});
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
