#include "core/barrier.h"

#include <atomic>

#include "core/spin.h"

namespace lamina {

void barrier_wait(Barrier& barrier, int team) {
  if (team == 1) return;
  std::atomic_ref round(barrier.round), arrived(barrier.arrived);
  const int mine = round.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) == team - 1) {
    arrived.store(0, std::memory_order_relaxed);
    round.store(mine + 1, std::memory_order_release);
    return;
  }
  spin_until([&] { return round.load(std::memory_order_acquire) != mine; });
}

}  // namespace lamina
