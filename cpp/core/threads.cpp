// Thread counts from affinity, cgroup and environment; the barrier; flushing of subnormals; forks.
#include "core/threads.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#else
#include <thread>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nncore {
namespace {

int affinity_count() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return 1;
#else
  return std::max(1u, std::thread::hardware_concurrency());
#endif
}

// CPUs that the cgroup at `folder` may use, or 0 if it sets no limit. v2: "cpu.max" holds "quota period"; v1: two files.
int quota_at(const std::string& folder) {
  std::string quota;
  double period = 0;
  if (std::ifstream file(folder + "/cpu.max"); !(file >> quota >> period)) {
    std::ifstream v1_quota(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
    if (!(v1_quota >> quota) || !(v1_period >> period)) return 0;
  }
  const double limit = std::atof(quota.c_str());  // "max" and v1's "-1" are no limit
  return limit > 0 && period > 0 ? std::max(1, static_cast<int>(std::ceil(limit / period))) : 0;
}

int initial_count() {
  int count = affinity_count();
  if (const int quota = cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup"); quota > 0) count = std::min(count, quota);
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text && std::atoi(text) > 0)
    count = std::min(count, std::atoi(text));
  return count;
}

std::atomic<int>& count_setting() {
  static std::atomic<int> count{initial_count()};
  return count;
}

int initial_openmp() {
  static const int count = omp_get_max_threads();
  return count;
}

std::atomic<unsigned> forks{0};

}  // namespace

int cgroup_cpus(const std::string& groups_file, const std::string& folder) {
  int smallest = 0;
  std::ifstream groups(groups_file);
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("cpu") == std::string::npos) continue;
    const std::string root = controllers.empty() ? folder : folder + "/" + controllers;
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      const int count = quota_at(root + path);
      if (count > 0) smallest = smallest ? std::min(smallest, count) : count;
      if (path.find('/') == std::string::npos) break;
    }
  }
  return smallest;
}

int max_threads() {
  static const int most = std::max(64, 4 * affinity_count());  // more would only wait, or fail to start
  const int count = std::min(thread_setting(), most), openmp = omp_get_max_threads();
  return openmp == initial_openmp() ? count : std::min(count, openmp);
}
int thread_setting() {
  initial_openmp();
  return count_setting().load();
}
void set_max_threads(int count) { count_setting().store(count); }

unsigned fork_count() { return forks.load(std::memory_order_relaxed); }
void note_fork() { forks.fetch_add(1); }

int threads_for(double multiply_adds) {
  constexpr double kWorthOneThread = 250e3;  // about 4 us of work, twice the cost of the two barriers
  const double worth = multiply_adds / kWorthOneThread;
  return worth < 2 ? 1 : static_cast<int>(std::min(worth, static_cast<double>(max_threads())));
}

void ForkAwareMutex::take() {
  if (forks_.load() == fork_count()) {
    mutex_.lock();
  } else if (!mutex_.try_lock()) {
    throw std::runtime_error("this model was in use by another thread when the process forked; make a new one");
  }
  forks_.store(fork_count());
  owner_.store(std::this_thread::get_id());
}

void ForkAwareMutex::leave() {
  owner_.store(std::thread::id());
  mutex_.unlock();
}

void ForkAwareMutex::lock() {
  if (!is_mine()) {
    take();
  } else if (locked_) {
    throw std::runtime_error("this model is running: code that it calls, such as a layer of one's own, cannot use it");
  }
  locked_ = true;
}

void ForkAwareMutex::unlock() {
  locked_ = false;
  if (holds_ == 0) leave();
}

void ForkAwareMutex::hold() {
  if (!is_mine()) take();
  ++holds_;
}

void ForkAwareMutex::release() {
  if (--holds_ == 0 && !locked_) leave();
}

void Barrier::wait(int size) {
  const unsigned generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
    if (spins < 1000) {  // some 15 us; longer waits mean that another process has our core
#if defined(__x86_64__)
      _mm_pause();
#endif
    } else {
#if defined(__linux__)
      sched_yield();
#else
      std::this_thread::yield();
#endif
    }
  }
}

#if defined(__x86_64__)
FlushSubnormals::FlushSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040u); }
FlushSubnormals::~FlushSubnormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
KeepSubnormals::KeepSubnormals() : saved_(_mm_getcsr()) { _mm_setcsr(static_cast<unsigned>(saved_) & ~0x8040u); }
KeepSubnormals::~KeepSubnormals() { _mm_setcsr(static_cast<unsigned>(saved_)); }
#elif defined(__aarch64__)
FlushSubnormals::FlushSubnormals() {
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
  __asm__ volatile("msr fpcr, %0" : : "r"(saved_ | (1ull << 24)));
}
FlushSubnormals::~FlushSubnormals() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }
KeepSubnormals::KeepSubnormals() {
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
  __asm__ volatile("msr fpcr, %0" : : "r"(saved_ & ~(1ull << 24)));
}
KeepSubnormals::~KeepSubnormals() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
FlushSubnormals::FlushSubnormals() : saved_(0) {}
FlushSubnormals::~FlushSubnormals() {}
KeepSubnormals::KeepSubnormals() : saved_(0) {}
KeepSubnormals::~KeepSubnormals() {}
#endif

}  // namespace nncore
