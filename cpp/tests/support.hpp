// What the test files share: instruction sets to go through, random numbers, guarded arrays and comparisons.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "core/cpu.hpp"
#include "core/threads.hpp"
#include "kernels/kernel_table.hpp"

namespace nncore {

using Real = long double;  // what expected values are computed in

template <class T>
constexpr Real kEpsilon = std::numeric_limits<T>::epsilon();

// Covers 0 to 3 whole vectors and one element more, for the longest vectors there are (16 floats).
constexpr size_t kMostTail = 3 * 16 + 1;

// f(kernels) for every instruction set of this CPU.
template <class T, class F>
void for_each_isa(const F& f) {
  const std::string before = active_kernels().isa;
  for (const std::string& isa : supported_isas()) {
    CAPTURE(isa);
    select_isa(isa);
    f(kernels_of<T>(active_kernels()));
  }
  select_isa(before);
}

// The thread limit while alive.
class ThreadLimit {
 public:
  explicit ThreadLimit(int count) : before_(max_threads()) { set_max_threads(count); }
  ~ThreadLimit() { set_max_threads(before_); }
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int before_;
};

// n numbers of [low, high), the same for the same seed everywhere (splitmix64).
template <class T>
std::vector<T> random_values(size_t n, uint64_t seed, double low = -1, double high = 1) {
  std::vector<T> values(n);
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (T& value : values) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    value = static_cast<T>(low + (high - low) * static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53);
  }
  return values;
}

template <class T>
bool same_bits(const T* a, const T* b, size_t n) {
  return n == 0 || std::memcmp(a, b, n * sizeof(T)) == 0;
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && same_bits(a.data(), b.data(), a.size());
}

// An array with bands around it that nobody may write to. It starts off vector alignment. Inputs are plain std::vectors
// instead, so that the address sanitizer sees reads beyond them.
template <class T>
class Guarded {
 public:
  explicit Guarded(size_t n) : all_(n + 2 * kBand, kUntouched) {}
  explicit Guarded(const std::vector<T>& values) : Guarded(values.size()) {
    std::copy(values.begin(), values.end(), all_.begin() + kBand);
  }
  T* data() { return all_.data() + kBand; }
  size_t size() const { return all_.size() - 2 * kBand; }
  T operator[](size_t i) const { return all_[kBand + i]; }
  bool untouched(size_t i) const { return all_[kBand + i] == kUntouched; }
  bool intact() const {
    for (size_t i = 0; i < kBand; ++i)
      if (all_[i] != kUntouched || all_[all_.size() - 1 - i] != kUntouched) return false;
    return true;
  }

 private:
  static constexpr size_t kBand = 67;
  static constexpr T kUntouched = static_cast<T>(-12345.75);
  std::vector<T> all_;
};

// Checks that |got - want| <= slack, where infinities and NaN must be met exactly.
template <class T>
void check_close(T got, Real want, Real slack) {
  const bool equal = static_cast<Real>(got) == want || (std::isnan(got) && std::isnan(want));
  if (equal || std::fabs(static_cast<Real>(got) - want) <= slack) return;
  FAIL_CHECK("got ", got, ", expected ", static_cast<double>(want), " within ", static_cast<double>(slack));
}

}  // namespace nncore
