// Threads: how many, and one parallel region per native call. The only OpenMP of the package.
#pragma once
#include <omp.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <string>
#include <thread>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace nncore {

// The number that calls of this thread use at most: the setting, but no more than 64 or four for each CPU, nor than OpenMP
// is told to use in this thread, as by threadpoolctl, since the core was loaded.
int max_threads();
// At first the smallest of affinity mask, cgroup quota and OMP_NUM_THREADS.
int thread_setting();
void set_max_threads(int count);

// CPUs that this process's cgroup and its parents allow, rounded up, or 0 for no limit. The file says which cgroups it is
// in, the folder has those of version 2 and, by controllers, of version 1.
int cgroup_cpus(const std::string& groups_file, const std::string& folder);

// How often this process is a fork of one that had loaded the package. In such a process every call runs on one thread: the
// OpenMP runtime, which other packages may have started too, would wait there for threads that do not exist.
unsigned fork_count();
void note_fork();  // to be called in the child

// While alive, subnormal results and operands count as zero on this thread: they would slow arithmetic a hundredfold.
class FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned long long saved_;
};

// The opposite for as long as it lives, for code that is not ours.
class KeepSubnormals {
 public:
  KeepSubnormals();
  ~KeepSubnormals();
  KeepSubnormals(const KeepSubnormals&) = delete;
  KeepSubnormals& operator=(const KeepSubnormals&) = delete;

 private:
  unsigned long long saved_;
};

// Every thread waits until all have come. Spins, since the phases between barriers last microseconds, then yields.
class Barrier {
 public:
  void wait(int size);

 private:
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
};

// A mutex that knows of forks. Locked by a thread of the parent, it would stay locked in the child for ever, and what it
// guards may be half changed there: then locking throws std::runtime_error.
class ForkAwareMutex {
 public:
  void lock();
  void unlock();
  // Between the two the thread may lock and unlock, again and again, and no other thread comes in between.
  void hold();
  void release();

 private:
  bool is_mine() const { return owner_.load() == std::this_thread::get_id(); }
  void take();
  void leave();

  std::mutex mutex_;
  std::atomic<unsigned> forks_{fork_count()};
  // A thread that has locked it already is refused, not left waiting.
  std::atomic<std::thread::id> owner_{std::thread::id()};
  int holds_ = 0;        // that have not been released; the owner's, as is what follows
  bool locked_ = false;  // inside such a hold
};

// What a thread of a parallel region knows of it.
struct Team {
  int rank, size;
  Barrier* shared;

  void barrier() const {
    if (size > 1) shared->wait(size);
  }
  // This thread's part [begin, end) of `count` things, in multiples of `step`; contiguous, in rank order.
  void share(size_t count, size_t step, size_t& begin, size_t& end) const {
    const size_t blocks = (count + step - 1) / step, n = static_cast<size_t>(size), r = static_cast<size_t>(rank);
    begin = blocks * r / n * step;
    end = blocks * (r + 1) / n * step;
    if (begin > count) begin = count;
    if (end > count) end = count;
  }
};

// ThreadSanitizer cannot see how the OpenMP runtime starts and ends a region. It is told: what happened before a
// hand_over() of some key has happened before a later take_over() of that key.
#if defined(__SANITIZE_THREAD__)
#define NNCORE_UNWATCHED __attribute__((no_sanitize("thread")))
inline void hand_over(void* key) { __tsan_release(key); }
inline void take_over(void* key) { __tsan_acquire(key); }
#else
#define NNCORE_UNWATCHED
inline void hand_over(void*) {}
inline void take_over(void*) {}
#endif

// Unwatched are the variables by which the compiler passes `body` to the threads, not what the body does.
template <class F>
NNCORE_UNWATCHED void run_region(int count, Barrier* barrier, const F& body) {
  hand_over(barrier);
#pragma omp parallel num_threads(count)
  {
    take_over(barrier);
    body(Team{omp_get_thread_num(), omp_get_num_threads(), barrier});
    hand_over(barrier);
  }
  take_over(barrier);
}

// Runs body(team) on `count` threads. The body must not throw.
template <class F>
void parallel(int count, const F& body) {
  if (count > 1 && fork_count() > 0) count = 1;
  Barrier barrier;
  if (count <= 1) {
    body(Team{0, 1, &barrier});
    return;
  }
  run_region(count, &barrier, body);
}

// How many threads are worth their start for this many multiply-adds.
int threads_for(double multiply_adds);

}  // namespace nncore
