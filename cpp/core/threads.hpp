// Threads: how many, and one parallel region per native call. The only OpenMP of the package.
#pragma once
#include <omp.h>

#include <atomic>
#include <cstddef>

namespace nncore {

// The number that calls use at most: at first the smallest of affinity mask, cgroup quota and OMP_NUM_THREADS.
int max_threads();
void set_max_threads(int count);

// True in a process forked after a parallel region: the OpenMP runtime would wait there for threads that do not exist.
bool single_threaded_after_fork();
void note_parallel_region();

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

// Every thread waits until all have come. Spins, since the phases between barriers last microseconds, then yields.
class Barrier {
 public:
  void wait(int size);

 private:
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
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

// Runs body(team) on `count` threads. The body must not throw.
template <class F>
void parallel(int count, const F& body) {
  if (count > 1 && single_threaded_after_fork()) count = 1;
  Barrier barrier;
  if (count <= 1) {
    body(Team{0, 1, &barrier});
    return;
  }
  note_parallel_region();
#pragma omp parallel num_threads(count)
  body(Team{omp_get_thread_num(), omp_get_num_threads(), &barrier});
}

// How many threads are worth their start for this many multiply-adds.
int threads_for(double multiply_adds);

}  // namespace nncore
