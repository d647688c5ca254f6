// Waiting for another thread that is about to be ready.
#pragma once
#include <sched.h>

namespace lamina {

constexpr int kSpins = 1000;  // tens of microseconds: a pause takes up to 140 cycles

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins for some microseconds and then yields: an unbounded spin beside a thread that has lost its core costs
// milliseconds.
template <class Ready>
void spin_until(Ready ready) {
  for (int spins = 0; !ready(); ++spins)
    if (spins < kSpins)
      relax();
    else
      sched_yield();
}

}  // namespace lamina
