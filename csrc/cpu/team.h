// How the arithmetic of one kernel is divided among threads.
#pragma once
#include <cstdint>

#include "core/parallel.h"
#include "simd/target.h"

namespace lamina {
namespace LAMINA_TARGET {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t most(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// [0, total) cut into `parts` pieces whose lengths differ by one at most. One division for all: it takes as long as a
// whole step of the micro-kernel.
struct Cut {
  std::int64_t length, longer;
  explicit Cut(std::int64_t total = 0, std::int64_t parts = 1)
      : length(parts == 1 ? total : total / parts), longer(total - length * parts) {}
  std::int64_t begin(std::int64_t i) const { return i * length + least(i, longer); }
};

constexpr double kFlopsWorthAThread = 2e5, kFlopsWorthAStayingThread = 5e4;

int team_for(double flops, std::int64_t pieces) {
  const double worth_one = team_stays() ? kFlopsWorthAStayingThread : kFlopsWorthAThread;
  const std::int64_t worth = flops < 1e15 ? static_cast<std::int64_t>(flops / worth_one) : 1 << 20;
  return static_cast<int>(most(1, least(least(thread_count(), worth), pieces)));
}

// body(thread, team) on each thread of a team.
template <class Body>
void with_team(int team, Body body) {
  if (team == 1) return body(0, 1);
  parallel_team(
      team, [](void* p, int thread, int size) { (*static_cast<Body*>(p))(thread, size); }, &body);
}

// body(thread, i) for every i in [0, count).
template <class Body>
void share_out(int team, std::int64_t count, Body body) {
  parallel_chunks(
      team, count, [](void* p, int thread, std::int64_t i) { (*static_cast<Body*>(p))(thread, i); }, &body);
}

}  // namespace
}  // namespace LAMINA_TARGET
}  // namespace lamina
