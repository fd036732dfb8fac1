// Accumulating, clipping and averaging around an optimizer's rule, tile by tile.
#include "core/updates.hpp"

#include <algorithm>

namespace nncore {

template <class T>
Updates<T>::Updates(const OptimizerStep& optimizer, Network<T>& network, OptimizerMemory<T>& memory, uint64_t iterations,
                    uint64_t accumulated)
    : optimizer_(optimizer),
      network_(network),
      kernels_(network.kernels()),
      memory_(memory),
      rule_(memory.rule(optimizer.rule)),
      states_(memory.states_of(rule_)),
      hyper_{optimizer.hyper},
      coefficients_(1 + optimizer.groups.size()),
      iterations_(iterations),
      accumulated_(accumulated) {
  for (const OptimizerGroup& group : optimizer.groups) hyper_.push_back(group.hyper);
  if (accumulates()) accumulator_ = &memory.accumulator();
  if (optimizer.averages) average_ = &memory.average();
  if (!clips_by_norm() && !rule_.norms) return;
  const auto& tasks = network.tasks();
  for (size_t i = 0; i < tasks.size(); ++i)
    while (first_task_.size() <= tasks[i].parameter) first_task_.push_back(i);
  first_task_.push_back(tasks.size());
  squares_.assign(tasks.size(), 0);
  p_squares_ = d_squares_ = squares_;
}

template <class T>
void Updates<T>::begin_step() {
  first_ = accumulated_ == 0;
  applies_ = !accumulates() || accumulated_ + 1 >= optimizer_.accumulation;
  if (!applies_) return;
  mean_ = accumulates() ? 1 / static_cast<double>(accumulated_ + 1) : 1;
  keep_ = memory_.averaging ? optimizer_.average_momentum : 0;
  overwrites_ = optimizer_.overwrite_frequency > 0 && (iterations_ + 1) % optimizer_.overwrite_frequency == 0;
  const double rate = optimizer_.rates.empty() ? optimizer_.hyper[0] : optimizer_.rates[updates_];
  for (size_t group = 0; group < coefficients_.size(); ++group) {
    hyper_[group][0] = group ? rate * optimizer_.groups[group - 1].rate_factor : rate;
    double* c = coefficients_[group].values;
    rule_.prepare(c, hyper_[group].data(), static_cast<double>(iterations_ + 1));
    if (optimizer_.clip_value > 0) c[kLimit] = optimizer_.clip_value;
  }
}

template <class T>
void Updates<T>::end_step() {
  if (!applies_) {
    ++accumulated_;
    return;
  }
  accumulated_ = 0;
  ++iterations_;
  ++updates_;
  memory_.averaging = memory_.averaging || optimizer_.averages;
}

template <class T>
template <class F>
void Updates<T>::for_runs(const GradientTask& task, const F& f) const {
  network_.for_runs(task, f);
}

template <class T>
typename Updates<T>::Coefficients Updates<T>::coefficients_of(const GradientTask& task) const {
  return coefficients_[optimizer_.group_of.empty() ? 0 : optimizer_.group_of[task.parameter]];
}

template <class T>
double Updates<T>::sum_of_parameter(size_t parameter, const std::vector<double>& sums) const {
  double sum = 0;
  for (size_t i = first_task_[parameter]; i < first_task_[parameter + 1]; ++i) sum += sums[i];
  return sum;
}

template <class T>
double Updates<T>::scale_for_norm(double squares, double limit) const {
  const double norm = mean_ * std::sqrt(squares);
  return norm > limit ? mean_ * (limit / norm) : mean_;
}

template <class T>
double Updates<T>::clipping_scale(const GradientTask& task) const {
  if (optimizer_.global_clip_norm <= 0)
    return scale_for_norm(sum_of_parameter(task.parameter, squares_), optimizer_.clip_norm);
  double squares = 0;
  for (const double part : squares_) squares += part;
  return scale_for_norm(squares, optimizer_.global_clip_norm);
}

template <class T>
void Updates<T>::accumulate(const GradientTask& task) {
  T* sum = gradient_of(task);
  const T* gradient = network_.gradient(task.parameter);
  for_runs(task, [&](size_t at, size_t length) {
    if (first_) {
      std::copy_n(gradient + at, length, sum + at);
    } else {
      kernels_.add(sum + at, sum + at, gradient + at, length);
    }
  });
}

template <class T>
void Updates<T>::sum_squares(const GradientTask& task) {
  double sum = 0;
  for_runs(task, [&](size_t at, size_t length) { sum += kernels_.sum_squares(gradient_of(task) + at, length); });
  squares_[index_of(task)] = sum;
}

template <class T>
void Updates<T>::advance(const GradientTask& task, double scale) {
  Coefficients c = coefficients_of(task);
  c.values[kScale] = scale;
  if (!rule_.norms) {
    update_tile(task, c);
    return;
  }
  const size_t offset = network_.layout(task.parameter).offset;
  double sums[2] = {0, 0};
  for_runs(task, [&](size_t at, size_t length) {
    T* states[kMaxStates] = {};
    for (size_t s = 0; s < states_.size(); ++s) states[s] = states_[s].data() + offset + at;
    rule_.norms(network_.value(task.parameter) + at, gradient_of(task) + at, states, length, c.values, sums);
  });
  p_squares_[index_of(task)] = sums[0];
  d_squares_[index_of(task)] = sums[1];
}

template <class T>
void Updates<T>::finish(const GradientTask& task, double ratio) {
  Coefficients c = coefficients_of(task);
  c.values[kRatio] = ratio;
  update_tile(task, c);
}

// The rule, the constraint, the average and the transposed copy of a tile.
template <class T>
void Updates<T>::update_tile(const GradientTask& task, const Coefficients& c) {
  const size_t offset = network_.layout(task.parameter).offset;
  T* value = network_.value(task.parameter);
  for_runs(task, [&](size_t at, size_t length) {
    T* states[kMaxStates] = {};
    for (size_t s = 0; s < states_.size(); ++s) states[s] = states_[s].data() + offset + at;
    rule_.update(value + at, gradient_of(task) + at, states, length, c.values);
  });
  network_.constrain(task);
  if (average_)
    for_runs(task, [&](size_t at, size_t length) {
      T* average = average_->data() + offset + at;
      kernels_.blend(average, value + at, length, keep_);
      if (overwrites_) std::memcpy(value + at, average, length * sizeof(T));
    });
  network_.refresh_transposed(task);
}

template class Updates<float>;
template class Updates<double>;

}  // namespace nncore
