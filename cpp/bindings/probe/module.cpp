// The compiled module nncore._probe: what this machine can do at most, measured for the benchmark suite.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/memory.hpp"
#include "core/threads.hpp"
#include "kernels/probe.hpp"

namespace nncore {
namespace {

constexpr size_t kLine = 16;  // floats of a cache line

Probe probe_of(const std::string& isa) {
  Probe probe{};
  if (isa == "baseline") fill_probe_baseline(probe);
#if defined(__x86_64__)
  if (isa == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) fill_probe_avx2(probe);
  if (isa == "avx512" && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) fill_probe_avx512(probe);
#endif
  if (!probe.read) throw std::invalid_argument("isa: expected one that this CPU supports, got '" + isa + "'");
  return probe;
}

// Seconds from the moment when all threads are ready until all have done work(rank).
template <class F>
double timed(int threads, const F& work) {
  using Clock = std::chrono::steady_clock;
  double seconds = 0;
  parallel(threads, [&](const Team& team) {
    team.barrier();
    const auto begin = Clock::now();
    work(team.rank);
    team.barrier();
    if (team.rank == 0) seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  });
  return seconds;
}

// Single-precision operations per second of `threads` threads that do multiply-adds in registers for about `seconds`.
double flops(const std::string& isa, int threads, double seconds) {
  const Probe probe = probe_of(isa);
  std::vector<float> sink(static_cast<size_t>(threads) * kLine);  // so that the loop has a result
  const auto run = [&](size_t rounds) {
    return timed(threads, [&](int rank) { sink[static_cast<size_t>(rank) * kLine] = probe.multiply_adds(rounds); });
  };
  constexpr size_t kTrial = 1 << 20;
  run(kTrial);  // wakes threads and clock
  const auto rounds = static_cast<size_t>(kTrial * std::max(1.0, seconds / run(kTrial)));
  return probe.flops * static_cast<double>(rounds) * threads / run(rounds);
}

// Bytes per second, counted as the program sees them, of passes over `bytes` of memory in all, for about `seconds`.
double bandwidth(const std::string& isa, const std::string& kind, size_t bytes, int threads, double seconds) {
  const Probe probe = probe_of(isa);
  const size_t arrays = kind == "read" ? 1 : 3;
  if (kind != "read" && kind != "triad" && kind != "triad_streaming")
    throw std::invalid_argument("kind: expected 'read', 'triad' or 'triad_streaming', got '" + kind + "'");
  const size_t n = std::max<size_t>(bytes / sizeof(float) / arrays / static_cast<size_t>(threads) / 128 * 128, 128);
  const size_t stride = (n + 1023) / 1024 * 1024 + 17 * kLine;  // apart, so that the arrays do not share cache sets
  const size_t share = (arrays * stride + 1023) / 1024 * 1024;
  const std::unique_ptr<float, Release<4096>> memory(
      static_cast<float*>(allocate(static_cast<size_t>(threads) * share * sizeof(float), 4096)));
  if (!memory) throw std::bad_alloc();
  std::vector<float> sink(static_cast<size_t>(threads) * kLine);
  const auto part = [&](int rank) { return memory.get() + static_cast<size_t>(rank) * share; };
  timed(threads, [&](int rank) { std::fill_n(part(rank), share, 1.0f); });  // each thread is the first to touch its part
  const auto run = [&](size_t passes) {
    return timed(threads, [&](int rank) {
      float* a = part(rank);
      float sum = 0;
      for (size_t pass = 0; pass < passes; ++pass) {
        if (kind == "read")
          sum += probe.read(a, n);
        else if (kind == "triad")
          probe.triad(a, a + stride, a + 2 * stride, n);
        else
          probe.triad_streaming(a, a + stride, a + 2 * stride, n);
        // Nothing may be moved out of the loop or left out of it.
        std::atomic_signal_fence(std::memory_order_seq_cst);
      }
      sink[static_cast<size_t>(rank) * kLine] = sum;
    });
  };
  const size_t trial = std::max<size_t>(1, (size_t{1} << 22) / (arrays * n * sizeof(float)));
  run(trial);
  const auto passes = static_cast<size_t>(static_cast<double>(trial) * std::max(1.0, seconds / run(trial)));
  return static_cast<double>(passes) * static_cast<double>(arrays * n * sizeof(float)) * threads / run(passes);
}

}  // namespace
}  // namespace nncore

PYBIND11_MODULE(_probe, module, pybind11::mod_gil_not_used()) {
  namespace py = pybind11;
  module.doc() = "What this machine can do at most, for the benchmark suite.";
  using Release = py::call_guard<py::gil_scoped_release>;
  module.def("flops", &nncore::flops, Release(), py::arg("isa"), py::arg("threads"), py::arg("seconds"));
  module.def("bandwidth", &nncore::bandwidth, Release(), py::arg("isa"), py::arg("kind"), py::arg("bytes"),
             py::arg("threads"), py::arg("seconds"));
}
