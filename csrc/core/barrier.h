// A meeting point for the threads of one parallel_team (core/parallel.h).
#pragma once

namespace lamina {

struct Barrier {
  int arrived = 0;
  int round = 0;
};

// Returns when all `team` threads have called it; what they wrote before is then visible to each.
void barrier_wait(Barrier& barrier, int team);

}  // namespace lamina
