// The optimizer's part of a step: from the gradient of a tile to the new values of the tile.
#pragma once
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "core/network.hpp"
#include "core/samples.hpp"
#include "core/threads.hpp"

namespace nncore {

// |p| / |d| of a parameter and the direction of its step; 1 where either is zero.
inline double trust_ratio(double p_squares, double d_squares) {
  return p_squares > 0 && d_squares > 0 ? std::sqrt(p_squares / d_squares) : 1;
}

// What an optimizer keeps between steps beside the parameters, arenas of their layout by rule; zeros at first.
template <class T>
class OptimizerMemory {
 public:
  OptimizerMemory(const Kernels<T>& kernels, size_t arena_size) : kernels_(kernels), arena_size_(arena_size) {}

  const Rule<T>& rule(const std::string& name) const {
    return find_named(kernels_.rules, static_cast<size_t>(kernels_.rule_count), name, "rule");
  }
  std::vector<Buffer<T>>& states_of(const Rule<T>& rule) { return buffers(rule.name, rule.states); }
  // Sums of gradients that wait for their update, and the moving average of the parameters.
  Buffer<T>& accumulator() { return buffers(kAccumulation, 1)[0]; }
  Buffer<T>& average() { return buffers(kAverage, 1)[0]; }
  // By the names of the op table; std::invalid_argument where there is no such state.
  Buffer<T>& state(const std::string& name, int index) {
    const bool extra = name == kAccumulation || name == kAverage;
    const int count = extra ? 1 : rule(name).states;
    if (index < 0 || index >= count) throw std::invalid_argument("state: rule '" + name + "' has no such state");
    return buffers(name, count)[static_cast<size_t>(index)];
  }
  // The average that somebody has set goes on; a new one starts from the parameters.
  void note_set(const std::string& name) { averaging = averaging || name == kAverage; }

  bool averaging = false;

 private:
  static constexpr const char *kAccumulation = "accumulation", *kAverage = "ema";

  std::vector<Buffer<T>>& buffers(const std::string& name, int count) {
    std::vector<Buffer<T>>& found = buffers_[name];
    while (found.size() < static_cast<size_t>(count)) found.emplace_back(arena_size_);
    return found;
  }

  const Kernels<T>& kernels_;
  size_t arena_size_;
  std::map<std::string, std::vector<Buffer<T>>> buffers_;
};

// The steps of one native call. One thread calls begin_step() before a barrier and end_step() after it, all threads call
// step() after it; what step() reads, begin_step() has written.
template <class T>
class Updates {
 public:
  Updates(const OptimizerStep& optimizer, Network<T>& network, OptimizerMemory<T>& memory, uint64_t iterations,
          uint64_t accumulated);

  void begin_step();
  // gradient(task) computes a tile's gradient, each(f) calls f(task) for this thread's tasks. An update in which elements
  // do not mix follows each gradient while the tile is in cache; norms need barriers.
  template <class Each, class Gradient>
  void step(const Team& team, const Each& each, const Gradient& gradient);
  void end_step();

  // No learning rate is left for another update.
  bool exhausted() const { return !optimizer_.rates.empty() && updates_ >= optimizer_.rates.size(); }
  // The engine's counters after the steps so far.
  uint64_t iterations() const { return iterations_; }
  uint64_t accumulated() const { return accumulated_; }

 private:
  struct Coefficients {
    double values[kMaxCoefficients];
  };

  bool accumulates() const { return optimizer_.accumulation > 1; }
  bool clips_by_norm() const { return optimizer_.clip_norm > 0 || optimizer_.global_clip_norm > 0; }
  bool trains(const GradientTask& task) const { return network_.layout(task.parameter).trainable; }
  size_t index_of(const GradientTask& task) const { return static_cast<size_t>(&task - network_.tasks().data()); }
  T* gradient_of(const GradientTask& task) const {
    return accumulates() ? accumulator_->data() + network_.layout(task.parameter).offset
                         : network_.gradient(task.parameter);
  }

  // f(at, length) for each contiguous run of a tile; `at` counts from the parameter's beginning.
  template <class F>
  void for_runs(const GradientTask& task, const F& f) const;
  Coefficients coefficients_of(const GradientTask& task) const;
  double sum_of_parameter(size_t parameter, const std::vector<double>& sums) const;
  double scale_for_norm(double squares, double limit) const;
  double clipping_scale(const GradientTask& task) const;

  void accumulate(const GradientTask& task);
  void sum_squares(const GradientTask& task);
  void advance(const GradientTask& task, double scale);  // the update, or what comes before its norms are known
  void finish(const GradientTask& task, double ratio);
  void update_tile(const GradientTask& task, const Coefficients& c);

  const OptimizerStep& optimizer_;
  Network<T>& network_;
  const Kernels<T>& kernels_;
  OptimizerMemory<T>& memory_;
  const Rule<T>& rule_;
  std::vector<Buffer<T>>& states_;
  Buffer<T>* accumulator_ = nullptr;
  Buffer<T>* average_ = nullptr;
  std::vector<std::vector<double>> hyper_;               // by group: 0 is the optimizer's own
  std::vector<Coefficients> coefficients_;               // by group
  std::vector<size_t> first_task_;                       // by parameter, and the number of tasks
  std::vector<double> squares_, p_squares_, d_squares_;  // by task
  uint64_t iterations_, accumulated_;
  size_t updates_ = 0;
  // Of the current step.
  bool applies_ = true, first_ = true, overwrites_ = false;
  double mean_ = 1, keep_ = 0;
};

template <class T>
template <class Each, class Gradient>
void Updates<T>::step(const Team& team, const Each& each, const Gradient& gradient) {
  each([&](const GradientTask& task) {
    if (!trains(task)) return;
    gradient(task);
    if (accumulates()) accumulate(task);
    if (!applies_) return;
    if (clips_by_norm()) {
      sum_squares(task);
    } else {
      advance(task, mean_);
    }
  });
  if (!applies_) return;
  // Sums are added in the order of the tasks, the same for any number of threads, and once for a run of tasks.
  size_t key = SIZE_MAX;
  double factor = 1;
  if (clips_by_norm()) {
    team.barrier();
    each([&](const GradientTask& task) {
      if (!trains(task)) return;
      const size_t wanted = optimizer_.global_clip_norm > 0 ? 0 : task.parameter;
      if (wanted != key) factor = clipping_scale(task);
      key = wanted;
      advance(task, factor);
    });
  }
  if (rule_.norms) {
    team.barrier();
    key = SIZE_MAX;
    each([&](const GradientTask& task) {
      if (!trains(task)) return;
      if (task.parameter != key)
        factor = trust_ratio(sum_of_parameter(task.parameter, p_squares_), sum_of_parameter(task.parameter, d_squares_));
      key = task.parameter;
      finish(task, factor);
    });
  }
}

}  // namespace nncore
