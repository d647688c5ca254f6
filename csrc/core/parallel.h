// The only door to threads. Work is cut into chunks whose size never depends on the number of threads, so that the
// same program gives the same bits with 1, 2 or 64 of them; which thread runs a chunk is nobody's business.
#pragma once
#include <cstdint>

namespace lamina {

int thread_count();
void set_thread_count(int threads);

using ChunkTask = void (*)(void* context, int thread, std::int64_t chunk);

// Runs task(context, t, c) once for every c in [0, chunks), on at most `threads` threads; t < threads is the one that
// runs it. Each begins with a stretch of neighbouring chunks, the same in every call with these numbers, and helps the
// others when it is done: what one kernel wrote, the next one finds in the cache of the same core. (Between cores that
// share no cache, a line just written costs several times what it costs from memory.) Returns when all are done. Called
// from inside another parallel region it runs serially.
void parallel_chunks(int threads, std::int64_t chunks, ChunkTask task, void* context);

using TeamTask = void (*)(void* context, int thread, int team);

// Runs task(context, t, team) for every t in [0, team) at the same time, for kernels that meet at barriers. `team` is
// what could be had: at most `threads`, and 1 inside another parallel region.
void parallel_team(int threads, TeamTask task, void* context);

// Runs body(context) on this thread beside a team that stays: the regions that it enters meanwhile begin and end in a
// fifth of the time that a fork and a join take. For a row of short kernels, in which nothing waits for the world.
void with_staying_team(void (*body)(void* context), void* context);
// Does a team stay beside this thread now? Smaller pieces of work are then worth a thread.
bool team_stays();

namespace {

// body(begin, end) over [0, n) in chunks of `grain`; the last may be shorter. One chunk never pays for threads.
template <class Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body body) {
  if (n <= grain) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  struct Context {
    Body* body;
    std::int64_t n, grain;
  } context{&body, n, grain};
  parallel_chunks(
      thread_count(), (n + grain - 1) / grain,
      [](void* p, int, std::int64_t chunk) {
        Context& c = *static_cast<Context*>(p);
        const std::int64_t begin = chunk * c.grain;
        (*c.body)(begin, begin + c.grain < c.n ? begin + c.grain : c.n);
      },
      &context);
}

}  // namespace
}  // namespace lamina
