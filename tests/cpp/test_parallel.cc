// core/parallel and core/barrier on their own, for ThreadSanitizer: every element written once, what was written before
// a barrier seen behind it, regions entered from several threads at a time.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/barrier.h"
#include "core/parallel.h"

namespace {

void expect(bool holds, const char* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  std::exit(1);
}

void chunks_cover_everything_once(std::int64_t n, std::int64_t grain) {
  std::vector<int> seen(static_cast<std::size_t>(n), 0);
  lamina::parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  for (const int count : seen) expect(count == 1, "each element is visited once");
}

struct Rounds {
  static constexpr int kTeam = 4, kRounds = 200;
  lamina::Barrier barrier;
  int written[kTeam] = {};
  bool right = true;
  int team = 0;
};

// In each round every thread writes its own place and then reads those of all.
void barrier_separates_rounds() {
  Rounds rounds;
  lamina::parallel_team(
      Rounds::kTeam,
      [](void* context, int thread, int team) {
        Rounds& r = *static_cast<Rounds*>(context);
        if (thread == 0) r.team = team;
        for (int round = 1; round <= Rounds::kRounds; ++round) {
          r.written[thread] = round;
          lamina::barrier_wait(r.barrier, team);
          for (int t = 0; t < team; ++t)
            if (r.written[t] != round && thread == 0) r.right = false;
          lamina::barrier_wait(r.barrier, team);
        }
      },
      &rounds);
  expect(rounds.right, "what was written before a barrier is seen behind it");
  expect(rounds.team == Rounds::kTeam, "the team has the asked size");
}

// Regions of every kind, one after the other, beside a team that stays; after a pause, too, in which its threads fall
// asleep; and the team goes home when the body throws.
void team_that_stays_does_the_same() {
  lamina::with_staying_team(
      [](void*) {
        expect(lamina::team_stays(), "a team stays");
        for (int i = 0; i < 50; ++i) chunks_cover_everything_once(1003, 64);
        barrier_separates_rounds();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        chunks_cover_everything_once(1003, 64);
        lamina::set_thread_count(2);
        chunks_cover_everything_once(1003, 64);
        lamina::set_thread_count(4);
        lamina::with_staying_team([](void*) { chunks_cover_everything_once(1003, 64); }, nullptr);
      },
      nullptr);
  expect(!lamina::team_stays(), "a team leaves in the end");
  bool thrown = false;
  try {
    lamina::with_staying_team([](void*) { throw std::runtime_error("a fault"); }, nullptr);
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  expect(thrown && !lamina::team_stays(), "what a body throws comes out, and the team leaves");
}

}  // namespace

int main() {
  lamina::set_thread_count(4);
  for (const std::int64_t n : {0, 1, 7, 64, 1000, 100003}) chunks_cover_everything_once(n, 64);
  for (int i = 0; i < 5; ++i) barrier_separates_rounds();
  for (int i = 0; i < 5; ++i) team_that_stays_does_the_same();
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back([] { chunks_cover_everything_once(50001, 128); });
  for (std::thread& caller : callers) caller.join();
  std::puts("parallel and barrier: right");
}
