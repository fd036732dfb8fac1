// Teams, the barrier, parallel regions, and what threads carry: flushed subnormals, and caution after a fork.
#include "core/threads.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

#if defined(__linux__)
#include <sys/wait.h>
#include <unistd.h>
#endif

TEST_SUITE_BEGIN("core/threads");

namespace nncore {
namespace {

TEST_CASE("Team::share covers everything once, in rank order and in whole steps, evenly") {
  Barrier barrier;
  for (const size_t count : {0, 1, 5, 16, 17, 100, 1000})
    for (const size_t step : {1, 2, 16})
      for (int size = 1; size <= 9; ++size) {
        CAPTURE(count);
        CAPTURE(step);
        CAPTURE(size);
        size_t next = 0, least = SIZE_MAX, most = 0;
        for (int rank = 0; rank < size; ++rank) {
          size_t begin = 1, end = 0;
          Team{rank, size, &barrier}.share(count, step, begin, end);
          CHECK(begin == next);
          CHECK(end >= begin);
          CHECK((begin % step == 0 || begin == count));
          least = std::min(least, end - begin);
          most = std::max(most, end - begin);
          next = end;
        }
        CHECK(next == count);
        CHECK(most - least < 2 * step);
      }
}

TEST_CASE("parallel gives every rank once, and the barrier orders what they do") {
  for (const int asked : {1, 2, 4, 7}) {
    CAPTURE(asked);
    std::vector<int> seen(static_cast<size_t>(asked)), sums(static_cast<size_t>(asked));
    int size = 0;
    parallel(asked, [&](const Team& team) {
      const auto rank = static_cast<size_t>(team.rank);
      if (team.rank == 0) size = team.size;
      for (int round = 1; round <= 50; ++round) {
        seen[rank] = round;
        team.barrier();
        for (int other = 0; other < team.size; ++other) sums[rank] += seen[static_cast<size_t>(other)] == round;
        team.barrier();
      }
    });
    CHECK(size >= 1);
    CHECK(size <= asked);
    for (int rank = 0; rank < size; ++rank) CHECK(sums[static_cast<size_t>(rank)] == 50 * size);
  }
}

TEST_CASE("parallel with no or a negative number runs on the caller's thread") {
  for (const int asked : {1, 0, -3}) {
    const std::thread::id caller = std::this_thread::get_id();
    int calls = 0;
    parallel(asked, [&](const Team& team) {
      ++calls;
      CHECK(team.rank == 0);
      CHECK(team.size == 1);
      CHECK((std::this_thread::get_id() == caller));
      team.barrier();
    });
    CHECK(calls == 1);
  }
}

TEST_CASE("Barrier under contention: more threads than cores, uneven work") {
  constexpr int kThreads = 6, kRounds = 300;
  Barrier barrier;
  int counter = 0;  // rank round % kThreads adds one in every round; everybody must see it
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int rank = 0; rank < kThreads; ++rank)
    threads.emplace_back([&, rank] {
      for (int round = 0; round < kRounds; ++round) {
        if (round % kThreads == rank) {
          if (round % 10 == 0) std::this_thread::yield();
          ++counter;
        }
        barrier.wait(kThreads);
        if (counter != round + 1) ++wrong;
        barrier.wait(kThreads);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(counter == kRounds);
}

TEST_CASE("threads_for: one thread for little work, never more than the limit") {
  CHECK(max_threads() >= 1);
  const ThreadLimit limit(4);
  CHECK(max_threads() == 4);
  CHECK(threads_for(0) == 1);
  CHECK(threads_for(400e3) == 1);
  CHECK(threads_for(500e3) == 2);
  CHECK(threads_for(1e18) == 4);
  const ThreadLimit one(1);
  CHECK(threads_for(1e18) == 1);
}

#if defined(__x86_64__) || defined(__aarch64__)
TEST_CASE("threads are never more than the machine can be asked for, nor than OpenMP is told to use") {
  const ThreadLimit limit(4096);
  CHECK(thread_setting() == 4096);
  CHECK(max_threads() >= 64);
  CHECK(max_threads() < 4096);
  const int before = omp_get_max_threads();
  omp_set_num_threads(before + 1);
  CHECK(max_threads() == before + 1);
  omp_set_num_threads(before);
  CHECK(max_threads() >= 64);
}

TEST_CASE("cgroup_cpus: both versions, parents too, and nonsense is no limit") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("nncore_cgroup_" + std::to_string(std::random_device{}()));
  const auto cpus = [&](const std::string& groups, const std::vector<std::pair<std::string, std::string>>& files) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::ofstream(folder / "groups") << groups;
    for (const auto& [name, text] : files) {
      fs::create_directories((folder / name).parent_path());
      std::ofstream(folder / name) << text;
    }
    return cgroup_cpus((folder / "groups").string(), folder.string());
  };
  CHECK(cpus("0::/a/b\n", {{"a/b/cpu.max", "max 100000\n"}}) == 0);
  CHECK(cpus("0::/a/b\n", {{"a/b/cpu.max", "150000 100000\n"}}) == 2);
  CHECK(cpus("0::/a/b\n", {{"a/b/cpu.max", "400000 100000\n"}, {"a/cpu.max", "100000 100000\n"}}) == 1);
  CHECK(cpus("0::/a/b\n", {{"cpu.max", "300000 100000\n"}}) == 3);  // a container sees its own at the root
  CHECK(cpus("0::/\n", {{"cpu.max", "1000 100000\n"}}) == 1);
  CHECK(cpus("0::/\n", {{"cpu.max", "garbage"}}) == 0);
  CHECK(cpus("0::/\n", {}) == 0);
  CHECK(cpus("garbage\n", {{"cpu.max", "100000 100000\n"}}) == 0);
  const auto v1 = [&](const std::string& quota) {
    return cpus("5:memory:/x\n4:cpu,cpuacct:/x/y\n",
                {{"cpu,cpuacct/x/y/cpu.cfs_quota_us", quota}, {"cpu,cpuacct/x/y/cpu.cfs_period_us", "100000\n"}});
  };
  CHECK(v1("-1\n") == 0);
  CHECK(v1("250000\n") == 3);
  fs::remove_all(folder);
}

TEST_CASE("FlushSubnormals holds for its lifetime only") {
  volatile float small = std::numeric_limits<float>::min();
  const auto half = [&] { return static_cast<float>(small * 0.5f); };
  CHECK(half() > 0);
  {
    const FlushSubnormals flush;
    CHECK(half() == 0);
  }
  CHECK(half() > 0);
}
#endif

TEST_CASE("a thread that holds a mutex locks it again and again; others wait, and what runs inside is refused") {
  ForkAwareMutex mutex;
  std::atomic<bool> inside{false};
  mutex.hold();
  mutex.hold();
  std::thread other([&] {
    const std::lock_guard<ForkAwareMutex> lock(mutex);
    inside = true;
  });
  for (int twice = 0; twice < 2; ++twice) {
    const std::lock_guard<ForkAwareMutex> lock(mutex);
    CHECK_THROWS_AS(mutex.lock(), std::runtime_error);
    mutex.hold();  // by what runs inside: it may not lock either
    CHECK_THROWS_AS(mutex.lock(), std::runtime_error);
    mutex.release();
  }
  mutex.release();
  CHECK(!inside);
  mutex.release();
  other.join();
  CHECK(inside);
}

// ThreadSanitizer does not follow a threaded process into its fork.
#if defined(__linux__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("in a forked process, regions have one thread, and a mutex that another thread held is refused") {
  parallel(2, [](const Team&) {});
  ForkAwareMutex held, unused;
  std::atomic<bool> locked{false}, done{false};
  std::thread holder([&] {
    const std::lock_guard<ForkAwareMutex> lock(held);
    locked = true;
    while (!done) std::this_thread::yield();
  });
  while (!locked) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);  // rather than hang
    note_fork();
    int size = 0;
    parallel(4, [&](const Team& team) { size = team.size; });
    bool refused = false;
    try {
      held.lock();
    } catch (const std::runtime_error&) {
      refused = true;
    }
    for (int twice = 0; twice < 2; ++twice) const std::lock_guard<ForkAwareMutex> lock(unused);
    _exit(size == 1 && refused && fork_count() == 1 ? 0 : 1);
  }
  done = true;
  holder.join();
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(fork_count() == 0);
  const std::lock_guard<ForkAwareMutex> lock(held);  // free again in the parent
}
#endif

}  // namespace
}  // namespace nncore
