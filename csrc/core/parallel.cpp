#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#define LAMINA_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define LAMINA_UNSEEN
#endif

namespace lamina {
namespace {

int initial_thread_count() {
  const int cores = omp_get_num_procs();
  const int asked = omp_get_max_threads();  // honours OMP_NUM_THREADS
  return asked < 1 ? 1 : (std::getenv("OMP_NUM_THREADS") ? asked : (asked < cores ? asked : cores));
}

std::atomic<int> threads{initial_thread_count()};
thread_local bool inside = false;

// ThreadSanitizer does not see libgomp's threads start after, and end before, the thread that entered a region: it is
// told. All use of OpenMP is here, so it then knows every order there is.
struct Moment {
#if defined(__SANITIZE_THREAD__)
  void passed() { __tsan_release(this); }
  void await() { __tsan_acquire(this); }
#else
  void passed() {}
  void await() {}
#endif
};

LAMINA_UNSEEN void run_region(int team, TeamTask task, void* context) {
  Moment entered, left;
  entered.passed();
#pragma omp parallel num_threads(team)
  {
    entered.await();
    inside = true;
    task(context, omp_get_thread_num(), omp_get_num_threads());
    inside = false;
    left.passed();
  }
  left.await();
}

// After fork the OpenMP pool of the forking thread is gone but its book-keeping is not: entering a region from that
// thread would wait for ever. In a child, regions are therefore entered from one fresh thread, which builds a new pool.
class ChildMaster {
 public:
  void run(int team, TeamTask task, void* context) {
    std::unique_lock one_at_a_time(entry_);
    std::unique_lock lock(mutex_);
    if (!started_) {
      started_ = true;
      std::thread([this] { serve(); }).detach();
    }
    team_ = team, task_ = task, context_ = context, pending_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !pending_; });
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return pending_; });
      run_region(team_, task_, context_);
      pending_ = false;
      changed_.notify_all();
    }
  }
  std::mutex entry_, mutex_;
  std::condition_variable changed_;
  bool started_ = false, pending_ = false;
  int team_ = 0;
  TeamTask task_ = nullptr;
  void* context_ = nullptr;
};

std::atomic<ChildMaster*> child_master{nullptr};  // set in forked children; a new one per generation, never freed

const int fork_handler = pthread_atfork(nullptr, nullptr, [] {
  inside = false;
  child_master = new ChildMaster;
});

void enter(int team, TeamTask task, void* context) {
  if (ChildMaster* master = child_master.load(std::memory_order_acquire))
    master->run(team, task, context);
  else
    run_region(team, task, context);
}

// The chunks of one call, cut into a stretch for every thread.
class Shares {
 public:
  Shares(int team, std::int64_t chunks, ChunkTask task, void* context)
      : stretches_(team < kMost ? team : kMost), task_(task), context_(context) {
    for (int i = 0; i < stretches_; ++i) {
      stretch_[i].next = chunks * i / stretches_;
      stretch_[i].end = chunks * (i + 1) / stretches_;
    }
  }

  void work(int thread) {
    for (int i = 0; i < stretches_; ++i) {
      Stretch& s = stretch_[(thread + i) % stretches_];
      const std::atomic_ref next(s.next);
      for (std::int64_t c; (c = next.fetch_add(1, std::memory_order_relaxed)) < s.end;) task_(context_, thread, c);
    }
  }

 private:
  static constexpr int kMost = 64;
  struct alignas(64) Stretch {  // a cache line each: a thread's own counter is nearly always its own
    std::int64_t next, end;
  };
  const int stretches_;
  const ChunkTask task_;
  void* const context_;
  Stretch stretch_[kMost];
};

}  // namespace

int thread_count() { return threads.load(std::memory_order_relaxed); }
void set_thread_count(int n) { threads = n; }

void parallel_chunks(int team, std::int64_t chunks, ChunkTask task, void* context) {
  if (team > thread_count()) team = thread_count();
  if (team > chunks) team = static_cast<int>(chunks);
  if (team <= 1 || inside) {
    for (std::int64_t c = 0; c < chunks; ++c) task(context, 0, c);
    return;
  }
  Shares shares(team, chunks, task, context);
  enter(
      team, [](void* p, int thread, int) { static_cast<Shares*>(p)->work(thread); }, &shares);
}

void parallel_team(int team, TeamTask task, void* context) {
  if (team > thread_count()) team = thread_count();
  if (team <= 1 || inside) return task(context, 0, 1);
  enter(team, task, context);
}

}  // namespace lamina
