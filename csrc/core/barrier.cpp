#include "core/barrier.h"

#include <sched.h>

#include <atomic>

namespace lamina {
namespace {

constexpr int kSpins = 1000;  // tens of microseconds: a pause takes up to 140 cycles

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void barrier_wait(Barrier& barrier, int team) {
  if (team == 1) return;
  std::atomic_ref round(barrier.round), arrived(barrier.arrived);
  const int mine = round.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) == team - 1) {
    arrived.store(0, std::memory_order_relaxed);
    round.store(mine + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; round.load(std::memory_order_acquire) == mine; ++spins)
    if (spins < kSpins)
      relax();
    else
      sched_yield();
}

}  // namespace lamina
