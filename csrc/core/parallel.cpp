#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>

#include "core/spin.h"

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

constexpr int kMost = 64;  // threads that have a cache line of their own in a call's book-keeping

// Threads of one region that wait for the tasks which its first thread leaves for them, each in a cache line of its
// own: one line travels there and back.
class StayingTeam {
 public:
  void begin(int size) { size_ = size; }
  int size() const { return size_; }

  void run(int team, TeamTask task, void* context) {
    for (int t = 1; t < team; ++t) give(t, {task, context, team});
    inside = true;
    task(context, 0, team);
    inside = false;
    for (int t = 1; t < team; ++t) {
      const Mailbox& box = boxes_[t];
      const int posted = box.posted.load(std::memory_order_relaxed);
      spin_until([&] { return box.done.load(std::memory_order_acquire) == posted; });
    }
  }
  void serve(int thread) {
    Mailbox& box = boxes_[thread];
    for (int served = 0;; ++served) {
      await(box.posted, served);
      const Order order = box.order;
      if (!order.task) return;
      order.task(order.context, thread, order.team);
      box.done.store(served + 1, std::memory_order_release);
    }
  }
  void dismiss() {
    for (int t = 1; t < size_; ++t) give(t, {});
  }

 private:
  struct Order {
    TeamTask task = nullptr;  // null: go home
    void* context = nullptr;
    int team = 0;
  };
  struct alignas(64) Mailbox {
    std::atomic<int> posted{0}, done{0};
    Order order;
  };
  static constexpr int kYields = 1000;  // some tenths of a millisecond

  void give(int thread, Order order) {
    Mailbox& box = boxes_[thread];
    box.order = order;
    box.posted.fetch_add(1, std::memory_order_release);
    box.posted.notify_one();
  }
  // Sleeps in the end: what the first thread does alone may take long.
  static void await(const std::atomic<int>& posted, int served) {
    const auto ready = [&] { return posted.load(std::memory_order_acquire) != served; };
    for (int turn = 0; turn < kSpins + kYields; ++turn) {
      if (ready()) return;
      if (turn < kSpins)
        relax();
      else
        sched_yield();
    }
    while (!ready()) posted.wait(served, std::memory_order_acquire);
  }

  int size_ = 1;
  Mailbox boxes_[kMost];
};

thread_local StayingTeam* staying = nullptr;

int most_threads() {
  const int asked = thread_count();
  return staying && staying->size() < asked ? staying->size() : asked;
}

void enter(int team, TeamTask task, void* context) {
  if (staying) return staying->run(team, task, context);
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
  if (const int most = most_threads(); team > most) team = most;
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
  if (const int most = most_threads(); team > most) team = most;
  if (team <= 1 || inside) return task(context, 0, 1);
  enter(team, task, context);
}

bool team_stays() { return staying; }

void with_staying_team(void (*body)(void* context), void* context) {
  const int team = thread_count() < kMost ? thread_count() : kMost;
  if (team == 1 || inside || staying || child_master.load(std::memory_order_acquire)) return body(context);
  struct Visit {
    void (*body)(void* context);
    void* context;
    StayingTeam* team;
    std::exception_ptr thrown;
  };
  StayingTeam members;
  Visit visit{body, context, &members, {}};
  run_region(
      team,
      [](void* p, int thread, int size) {
        Visit& v = *static_cast<Visit*>(p);
        if (thread > 0) return v.team->serve(thread);
        inside = false;
        v.team->begin(size);
        staying = v.team;
        try {
          v.body(v.context);
        } catch (...) {
          v.thrown = std::current_exception();
        }
        staying = nullptr;
        v.team->dismiss();
      },
      &visit);
  if (visit.thrown) std::rethrow_exception(visit.thrown);
}

}  // namespace lamina
