// What went wrong in the threads of a pass: ops report here, as nothing may be thrown out of a parallel region.
#pragma once
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>

namespace nncore {

class Faults {
 public:
  // Of several reports that of the lowest row counts, whichever thread came first.
  void report(size_t row, std::exception_ptr exception) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!exception_ || row < row_) {
      row_ = row;
      exception_ = std::move(exception);
    }
    any_.store(true, std::memory_order_relaxed);
  }
  // The same answer for all threads after a barrier, until somebody reports again.
  bool any() const { return any_.load(std::memory_order_relaxed); }
  // To be called after the parallel region.
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr exception_;
  size_t row_ = 0;
  std::atomic<bool> any_{false};
};

}  // namespace nncore
