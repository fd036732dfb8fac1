// A training step that is prepared once and called often: the shortest way from Python's arrays to the engine.
#pragma once
#include <limits>

#include "bindings/engine.hpp"
#include "core/samples.hpp"

namespace nncore {

// Takes only arrays that need no conversion and no message: everything else it leaves to a caller who checks at leisure.
class PyStep {
 public:
  // Targets: class indices where `indices`, or values in [low, high] of `target_shape` per sample.
  // The engine is kept by a reference of our own: pybind11 would end the process where it has no memory for one of its.
  PyStep(py::object engine, const PyEngine::LossChoice& loss, const std::vector<std::string>& metrics,
         const RuleArgument& rule, bool indices, double low, double high, std::vector<py::ssize_t> target_shape)
      : owner_(std::move(engine)),
        engine_(owner_.cast<PyEngine&>()),
        optimizer_(engine_.optimizer_step(rule, {})),
        indices_(indices),
        low_(std::max(low, std::numeric_limits<double>::lowest())),
        high_(std::min(high, std::numeric_limits<double>::max())),
        target_shape_(std::move(target_shape)) {
    std::tie(objective_.loss, objective_.attrs, objective_.arrays, objective_.mean) = loss;
    objective_.metrics = metrics;
    const Buffer<char> room(4096);  // as in PyEngine
  }

  // The step's mean loss and metrics, or None if it was not made because the arrays are not that plain.
  py::object operator()(const py::object& x, const py::object& y, const std::vector<double>& rates) const {
    if (engine_.input_shapes().size() != 1) return py::none();
    const std::optional<SampleArray> samples = plain_samples(x, engine_.input_shapes()[0]);
    if (!samples || samples->rows == 0) return py::none();
    Objective objective = objective_;
    if (!find_target(objective.target, y, samples->rows)) return py::none();
    OptimizerStep scheduled;
    if (!rates.empty()) {
      scheduled = optimizer_;
      scheduled.rates = rates;
    }
    RunOptions options;
    options.batch_size = samples->rows;
    options.optimizer = rates.empty() ? &optimizer_ : &scheduled;
    RunOutcome outcome;
    py::tuple means(1 + objective.metrics.size());
    {
      const WithoutPython release;
      outcome = engine_.engine().run({*samples}, objective, options);
    }
    const auto mean = [](double sum, double weight) { return weight > 0 ? sum / weight : 0.0; };
    means[0] = mean(outcome.loss, outcome.loss_weight);
    for (size_t i = 0; i < outcome.metrics.size(); ++i) means[1 + i] = mean(outcome.metrics[i], outcome.metric_weight);
    return means;
  }

 private:
  bool find_target(TargetArray& target, const py::object& y, size_t rows) const {
    const bool column = target_shape_.size() == 1 && target_shape_[0] == 1;
    if (const auto values = column ? one_each(y) : plain_samples(y, target_shape_)) {
      target = {*values, false};
      return values->rows == rows && values_fit(*values);
    }
    const auto labels = indices_ ? one_each(y) : std::nullopt;
    if (!labels) return false;
    target = {*labels, true};
    return labels->rows == rows && indices_fit(*labels);
  }

  // [n] or [n, 1]
  static std::optional<SampleArray> one_each(const py::object& y) {
    const auto vector = plain_samples(y, std::array<py::ssize_t, 0>{});
    return vector ? vector : plain_samples(y, std::array<py::ssize_t, 1>{1});
  }

  bool values_fit(const SampleArray& array) const {
    const size_t n = array.rows * array.width;
    const auto within = [&](const auto* values) {
      int good = 1;
      for (size_t i = 0; i < n; ++i) good &= values[i] >= low_ && values[i] <= high_;
      return good != 0;
    };
    // Only what the engine computes with: other types may overflow in it.
    if (array.type == Source::kF32 && !engine_.is_double()) return within(static_cast<const float*>(array.data));
    if (array.type == Source::kF64 && engine_.is_double()) return within(static_cast<const double*>(array.data));
    return false;
  }

  bool indices_fit(const SampleArray& array) const {
    if (array.type == Source::kF32 || array.type == Source::kF64) return false;
    const auto classes = static_cast<uint64_t>(target_shape_[0]);
    for (size_t i = 0; i < array.rows; ++i)
      if (static_cast<uint64_t>(read_integer(array, i)) >= classes) return false;
    return true;
  }

  py::object owner_;
  PyEngine& engine_;
  Objective objective_;
  OptimizerStep optimizer_;
  bool indices_;
  double low_, high_;
  std::vector<py::ssize_t> target_shape_;
};

}  // namespace nncore
