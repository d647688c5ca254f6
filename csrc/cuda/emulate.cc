// The stand-in for a GPU: blocks one after the other, their threads as fibers that change at barriers only. The order
// of threads and blocks is ascending, descending or shuffled (LAMINA_EMULATE_ORDER=0, 1, 2): where a barrier is
// missing, one of them gives other numbers. With LAMINA_EMULATE_SAMPLE=1 of large grids only some blocks run, those at
// the ends and about every 2^31 threads: what is too large to compute can so be looked at where an index would
// overflow.
#include "cuda/emulate.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace lamina::emulation {
namespace {

constexpr std::size_t kStack = 128 * 1024;
constexpr int kWarp = 32;

enum class State { idle, ready, at_block_barrier, at_warp_barrier, done };

struct Fiber {
  ucontext_t first;  // how it is entered the first time; later by longjmp, which asks nothing of the system
  jmp_buf here;
  bool started = false;
  State state = State::idle;
  int exchanges = 0;
  std::unique_ptr<std::byte[]> stack;
};

// The fibers of one thread of the system; kept, as are their stacks.
class Scheduler {
 public:
  void run(const Work& work, const Block& block, const std::vector<int>& order) {
    work_ = &work;
    block_ = &block;
    while (fibers_.size() < static_cast<std::size_t>(block.threads)) fibers_.push_back(std::make_unique<Fiber>());
    for (int t = 0; t < block.threads; ++t) {
      fibers_[t]->state = State::ready;
      fibers_[t]->exchanges = 0;
    }
    do
      for (const int t : order)
        if (fibers_[t]->state == State::ready) resume(t);
    while (release());
  }
  void wait(State state) {
    Fiber& f = *fibers_[current_];
    f.state = state;
    leave(f);
  }
  std::byte* exchange_buffer() {
    const std::size_t pair = static_cast<std::size_t>(fibers_[current_]->exchanges++ % 2);
    const std::size_t warp = static_cast<std::size_t>(current_ / kWarp);
    return exchanges_[warp * 2 + pair];
  }

 private:
  static void enter() {  // the bottom of every fiber's stack
    Scheduler& s = *self;
    for (;;) {
      Fiber& f = *s.fibers_[s.current_];
      s.work_->body(*s.block_, s.current_);
      f.state = State::done;
      s.leave(f);
    }
  }
  void resume(int t) {
    current_ = t;
    Fiber& f = *fibers_[t];
    self = this;
    if (_setjmp(scheduler_)) return;
    if (f.started) _longjmp(f.here, 1);
    f.started = true;
    f.stack = std::make_unique_for_overwrite<std::byte[]>(kStack);
    getcontext(&f.first);
    f.first.uc_stack.ss_sp = f.stack.get();
    f.first.uc_stack.ss_size = kStack;
    f.first.uc_link = nullptr;
    makecontext(&f.first, enter, 0);
    setcontext(&f.first);
  }
  void leave(Fiber& f) {
    if (!_setjmp(f.here)) _longjmp(scheduler_, 1);
  }

  // Lets those go on who wait for nobody any more. False: all are done.
  bool release() {
    const int n = block_->threads;
    for (int t = 0; t < n; ++t)
      if (fibers_[t]->state == State::ready) return true;  // it polls
    int done = 0, at_barrier = 0, released = 0;
    for (int t = 0; t < n; ++t) {
      done += fibers_[t]->state == State::done;
      at_barrier += fibers_[t]->state == State::at_block_barrier;
    }
    if (done == n) return false;
    if (done + at_barrier == n) return release(0, n);
    for (int first = 0; first < n; first += kWarp) {
      const int last = std::min(first + kWarp, n);
      const bool whole = std::all_of(fibers_.begin() + first, fibers_.begin() + last,
                                     [](const auto& f) { return f->state == State::at_warp_barrier; });
      if (whole) released += release(first, last);
    }
    if (released == 0) {
      std::fputs("emulated CUDA: threads of a block wait for each other at different barriers\n", stderr);
      std::abort();
    }
    return true;
  }
  bool release(int first, int last) {
    for (int t = first; t < last; ++t)
      if (fibers_[t]->state != State::done) fibers_[t]->state = State::ready;
    return true;
  }

  static thread_local Scheduler* self;
  const Work* work_ = nullptr;
  const Block* block_ = nullptr;
  int current_ = 0;
  jmp_buf scheduler_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::byte exchanges_[2 * 32][kWarp * kLargestExchange];
};
thread_local Scheduler* Scheduler::self = nullptr;

Scheduler& scheduler() {
  thread_local auto s = std::make_unique<Scheduler>();
  return *s;
}

int order_asked_for() {
  const char* order = std::getenv("LAMINA_EMULATE_ORDER");
  return order ? std::atoi(order) : 0;
}

std::vector<int> order_of(int n) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (order_asked_for() == 1) std::reverse(order.begin(), order.end());
  if (order_asked_for() == 2) std::shuffle(order.begin(), order.end(), std::minstd_rand(static_cast<unsigned>(n)));
  return order;
}

// The first block from b on that runs.
std::uint64_t next_block(std::uint64_t b, std::uint64_t blocks, std::uint64_t threads) {
  static const bool samples = [] {
    const char* asked = std::getenv("LAMINA_EMULATE_SAMPLE");
    return asked && *asked == '1';
  }();
  constexpr std::uint64_t kNear = 16, kSmallGrid = 4096, kBoundary = std::uint64_t{1} << 31;
  if (!samples || blocks <= kSmallGrid || b < kNear) return b;
  const std::uint64_t before = b * threads / kBoundary * kBoundary / threads, after = before + kBoundary / threads,
                      soon = std::min(after, blocks) - kNear;
  return b < before + kNear || b > soon ? b : soon;
}

}  // namespace

void wait_for_block() { scheduler().wait(State::at_block_barrier); }
void yield() { scheduler().wait(State::ready); }
void wait_for_warp() { scheduler().wait(State::at_warp_barrier); }
std::byte* exchange_buffer() { return scheduler().exchange_buffer(); }

void run(const Work& work) {
  const std::vector<int> order = order_of(work.threads);
  const auto shared = std::make_unique_for_overwrite<std::byte[]>(work.shared_bytes + 256);
  auto* const aligned = reinterpret_cast<std::byte*>((reinterpret_cast<std::uintptr_t>(shared.get()) + 255) & ~255ull);
  const std::uint64_t blocks = std::uint64_t{work.grid[0]} * work.grid[1] * work.grid[2];
  const auto threads = static_cast<std::uint64_t>(work.threads);
  for (std::uint64_t b = next_block(0, blocks, threads); b < blocks; b = next_block(b + 1, blocks, threads)) {
    const std::uint64_t at = order_asked_for() == 1 ? blocks - 1 - b : b;
    const Block block{
        {static_cast<unsigned>(at % work.grid[0]), static_cast<unsigned>(at / work.grid[0] % work.grid[1]),
         static_cast<unsigned>(at / work.grid[0] / work.grid[1])},
        {work.grid[0], work.grid[1], work.grid[2]},
        work.threads,
        aligned};
    std::memset(aligned, 0xff, work.shared_bytes);  // NaN
    if (work.collective)
      scheduler().run(work, block, order);
    else
      for (const int t : order) work.body(block, t);
  }
}

}  // namespace lamina::emulation
