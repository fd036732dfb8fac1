// The Python-side engine: checks arrays against the graph, releases Python's lock, calls.
#pragma once
#include <algorithm>
#include <array>
#include <map>

#include "bindings/bindings.hpp"
#include "bindings/function.hpp"
#include "core/engine.hpp"
#include "core/memory.hpp"

namespace nncore {

namespace py = pybind11;

// The type of what the engine can read; nothing for other dtypes.
inline std::optional<Source> find_source(const py::dtype& dtype) {
  struct {
    char kind;
    py::ssize_t size;
  } constexpr kTypes[] = {{'f', 4}, {'f', 8}, {'u', 1}, {'i', 1}, {'u', 2},
                          {'i', 2}, {'u', 4}, {'i', 4}, {'u', 8}, {'i', 8}};
  static_assert(std::size(kTypes) == static_cast<size_t>(Source::kCount), "one dtype for each Source, in its order");
  if (dtype.byteorder() != '=' && dtype.byteorder() != '|') return std::nullopt;
  for (size_t i = 0; i < std::size(kTypes); ++i)
    if (dtype.kind() == kTypes[i].kind && dtype.itemsize() == kTypes[i].size) return static_cast<Source>(i);
  return std::nullopt;
}

inline Source source_of(const py::dtype& dtype, const char* name) {
  if (const std::optional<Source> source = find_source(dtype)) return *source;
  throw py::type_error(std::string(name) + ": expected a real dtype in native byte order, got " +
                       py::str(static_cast<const py::object&>(dtype)).cast<std::string>());
}

inline size_t product(const std::vector<int64_t>& shape) {
  size_t n = 1;
  for (const int64_t extent : shape) n *= static_cast<size_t>(extent);
  return n;
}

// An optimizer as Python hands it over: rule; hyper-parameters; for each group its hyper-parameters and learning-rate
// factor; the group of each parameter; clip_value, clip_norm, global_clip_norm; accumulation; of the average its
// momentum and how often it overwrites the parameters, or none.
using RuleArgument =
    std::tuple<std::string, std::vector<double>, std::vector<std::pair<std::vector<double>, double>>, std::vector<size_t>,
               std::array<double, 3>, uint64_t, std::optional<std::pair<double, uint64_t>>>;

// Samples of `shape` in an array that the engine reads as it lies; nothing for all that has to be converted or refused.
template <class Extents>
std::optional<SampleArray> plain_samples(const py::object& object, const Extents& shape) {
  if (!is_array(object)) return std::nullopt;
  const auto array = py::reinterpret_borrow<py::array>(object);
  const std::optional<Source> source = find_source(array.dtype());
  if (!source || !(array.flags() & py::array::c_style) || array.ndim() != static_cast<py::ssize_t>(shape.size()) + 1)
    return std::nullopt;
  size_t width = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (array.shape(static_cast<py::ssize_t>(i) + 1) != static_cast<py::ssize_t>(shape[i])) return std::nullopt;
    width *= static_cast<size_t>(shape[i]);
  }
  return SampleArray{array.data(), *source, static_cast<size_t>(array.shape(0)), width};
}

// A native engine and the shapes that its arrays must have.
class PyEngine {
 public:
  using Nodes =
      std::vector<std::tuple<std::string, std::vector<int>, std::vector<double>, std::vector<int>, std::vector<int64_t>>>;
  using Parameters = std::vector<std::tuple<std::vector<int64_t>, bool, double, double, double>>;
  using Functions = std::map<size_t, py::object>;  // by node
  PyEngine(const Nodes& nodes, const Parameters& parameters, const std::vector<int>& inputs,
           const std::vector<int>& outputs, const std::string& dtype, uint64_t seed, const Functions& functions)
      : dtype_(dtype) {
    GraphDesc graph;
    for (const auto& [shape, trainable, l1, l2, max_norm] : parameters)
      graph.parameters.push_back({shape, trainable, l1, l2, max_norm});
    for (const auto& [op, from, attrs, used, shape] : nodes) graph.nodes.push_back({op, from, attrs, used, shape});
    for (const auto& [node, function] : functions) graph.nodes.at(node).function = function_of(graph, node, function);
    graph.inputs = inputs;
    graph.outputs = outputs;
    for (const int i : inputs) input_shapes_.push_back(graph.nodes.at(static_cast<size_t>(i)).shape);
    for (const int i : outputs) output_shapes_.push_back(graph.nodes.at(static_cast<size_t>(i)).shape);
    parameter_count_ = parameters.size();
    engine_ = make_engine(graph, dtype_.equal(py::dtype::of<double>()), seed);
    // pybind11 will need some bytes to note the object, and cannot do without: there are some.
    const Buffer<char> room(4096);
  }

  void hold() {
    const WithoutPython release;
    engine_->hold();
  }
  void release() { engine_->release(); }

  py::array get_parameter(size_t index) {
    return parameter_sized(index, [&](void* out) { engine_->get_parameter(index, out); });
  }
  py::array get_gradient(size_t index) {
    return parameter_sized(index, [&](void* out) { engine_->get_gradient(index, out); });
  }
  py::array get_state(const std::string& rule, int state, size_t index) {
    return parameter_sized(index, [&](void* out) { engine_->get_state(rule, state, index, out); });
  }
  void assign(const std::vector<std::pair<size_t, py::array>>& parameters,
              const std::vector<std::tuple<std::string, int, size_t, py::array>>& states) {
    std::vector<Assignment> assignments;
    for (const auto& [index, value] : parameters) assignments.push_back({index, checked_parameter(index, value)});
    for (const auto& [rule, state, index, value] : states)
      assignments.push_back({index, checked_parameter(index, value), rule, state});
    const WithoutPython release;
    engine_->assign(assignments);
  }

  double penalty() {
    const WithoutPython release;
    return engine_->penalty();
  }

  std::vector<py::array> forward(const std::vector<py::array>& inputs, bool training) {
    const std::vector<SampleArray> samples = sample_arrays(inputs);
    std::vector<void*> raw;
    std::vector<py::array> outputs = new_arrays(output_shapes_, samples[0].rows, raw);
    const WithoutPython release;
    engine_->forward(samples, training, raw);
    return outputs;
  }

  std::vector<py::array> backward(const std::vector<py::array>& gradients) {
    const std::optional<size_t> pending = pending_rows();
    if (!pending) throw std::runtime_error("backward: expected a forward pass with training=True first, there was none");
    const size_t rows = *pending;
    if (gradients.size() != output_shapes_.size()) throw std::invalid_argument("gradients: expected one for each output");
    std::vector<const void*> from;
    for (size_t i = 0; i < gradients.size(); ++i) {
      expect_size(gradients[i], static_cast<py::ssize_t>(rows * product(output_shapes_[i])), "gradients");
      from.push_back(data_of(gradients[i], "gradients"));
    }
    std::vector<void*> raw;
    std::vector<py::array> result = new_arrays(input_shapes_, rows, raw);
    const WithoutPython release;
    engine_->backward(rows, from, raw);
    return result;
  }

  void update(const RuleArgument& rule, const std::vector<double>& rates) {
    const OptimizerStep step = optimizer_step(rule, rates);
    const WithoutPython release;
    engine_->update(step);
  }

  std::vector<py::array> predict(const std::vector<py::array>& inputs, size_t batch_size) {
    const std::vector<SampleArray> samples = sample_arrays(inputs);
    if (batch_size == 0) throw std::invalid_argument("batch_size: expected a positive number, got 0");
    std::vector<void*> raw;
    std::vector<py::array> outputs = new_arrays(output_shapes_, samples[0].rows, raw);
    const WithoutPython release;
    engine_->predict(samples, batch_size, raw);
    return outputs;
  }

  // Predictions for one array of few samples that the engine reads as it lies, to a network with one output; None for
  // others.
  py::object predict_plain(const py::object& x, size_t batch_size) {
    if (batch_size == 0 || input_shapes_.size() != 1 || output_shapes_.size() != 1) return py::none();
    const std::optional<SampleArray> samples = plain_samples(x, input_shapes_[0]);
    if (!samples || samples->rows == 0 || samples->rows > kFewRows) return py::none();
    std::vector<void*> raw;
    std::vector<py::array> outputs = new_arrays(output_shapes_, samples->rows, raw);
    const WithoutPython release;
    engine_->predict({*samples}, batch_size, raw);
    return std::move(outputs[0]);
  }

  // (name, attributes, array options, mean) as in Objective.
  using LossChoice = std::tuple<std::string, std::vector<double>, std::vector<std::vector<double>>, bool>;

  std::tuple<size_t, size_t, size_t, std::vector<double>> run(
      const std::vector<py::array>& inputs, const py::array& target, bool indices,
      const std::optional<py::array>& sample_weight, const std::optional<py::array>& order, size_t start, size_t batch_size,
      const LossChoice& loss, const std::optional<int64_t>& ignored, const std::vector<std::string>& metrics,
      const std::optional<RuleArgument>& rule, const std::vector<double>& rates, double deadline,
      const std::vector<double>& sums) {
    const std::vector<SampleArray> samples = sample_arrays(inputs);
    const size_t rows = samples[0].rows;
    if (batch_size == 0) throw std::invalid_argument("batch_size: expected a positive number, got 0");
    const size_t samples_count = order ? static_cast<size_t>(order->size()) : rows;
    if (start > samples_count)
      throw std::invalid_argument("start: expected a position among the samples, got " + std::to_string(start));
    Objective objective;
    objective.target = target_array(target, indices, rows);
    std::tie(objective.loss, objective.attrs, objective.arrays, objective.mean) = loss;
    objective.ignored = ignored;
    objective.metrics = metrics;
    if (sample_weight) {
      expect_size(*sample_weight, static_cast<py::ssize_t>(rows), "sample_weight");
      objective.sample_weight = contiguous<double>(*sample_weight, "sample_weight");
    }
    RunOptions options;
    if (order) {
      options.order = contiguous<int64_t>(*order, "order");
      options.order_size = samples_count;
    }
    options.start = start;
    options.batch_size = batch_size;
    options.deadline = deadline;
    options.sums = sums;
    const OptimizerStep step = rule ? optimizer_step(*rule, rates) : OptimizerStep{};
    options.optimizer = rule ? &step : nullptr;
    RunOutcome outcome;
    std::vector<double> totals;
    totals.reserve(3 + metrics.size());  // now: where memory is short, before the steps
    {
      const WithoutPython release;
      for (size_t i = start; i < options.order_size; ++i)
        if (static_cast<uint64_t>(options.order[i]) >= rows)
          throw std::invalid_argument("order: expected indices of samples");
      outcome = engine_->run(samples, objective, options);
    }
    totals.push_back(outcome.loss);
    totals.insert(totals.end(), outcome.metrics.begin(), outcome.metrics.end());
    totals.insert(totals.end(), {outcome.loss_weight, outcome.metric_weight});
    return {outcome.position, outcome.samples, outcome.steps, std::move(totals)};
  }

  // Without Python's lock, as everything that waits for the engine: its holder may call Python.
  std::optional<size_t> pending_rows() const {
    const WithoutPython release;
    return engine_->pending_rows();
  }
  uint64_t seed() const { return engine_->seed; }
  uint64_t draws() const { return engine_->draws; }
  void set_draws(uint64_t value) { engine_->draws = value; }
  uint64_t iterations() const { return engine_->iterations; }
  void set_iterations(uint64_t value) { engine_->iterations = value; }
  uint64_t accumulated() const { return engine_->accumulated; }
  void set_accumulated(uint64_t value) { engine_->accumulated = value; }
  bool divide_penalty() const { return engine_->divide_penalty; }
  void set_divide_penalty(bool value) { engine_->divide_penalty = value; }

  const std::vector<std::vector<int64_t>>& input_shapes() const { return input_shapes_; }
  bool is_double() const { return dtype_.itemsize() == sizeof(double); }
  Engine& engine() { return *engine_; }
  OptimizerStep optimizer_step(const RuleArgument& argument, const std::vector<double>& rates) const {
    const auto& [rule, hyper, groups, group_of, clips, accumulation, average] = argument;
    OptimizerStep step{rule, hyper};
    step.rates = rates;
    for (const auto& [values, factor] : groups) {
      if (values.size() != hyper.size())
        throw std::invalid_argument("groups: expected as many hyper-parameters as the rule's");
      step.groups.push_back({values, factor});
    }
    if (!group_of.empty() && group_of.size() != parameter_count_)
      throw std::invalid_argument("groups: expected one for each parameter");
    for (const size_t group : group_of)
      if (group > groups.size()) throw std::invalid_argument("groups: no group " + std::to_string(group));
    step.group_of = group_of;
    step.clip_value = clips[0];
    step.clip_norm = clips[1];
    step.global_clip_norm = clips[2];
    step.accumulation = accumulation;
    step.averages = average.has_value();
    if (average) std::tie(step.average_momentum, step.overwrite_frequency) = *average;
    return step;
  }

 private:
  std::shared_ptr<BatchFunction> function_of(const GraphDesc& graph, size_t index, const py::object& function) const {
    const NodeDesc& node = graph.nodes.at(index);
    PyFunction::Shapes inputs, parameters;
    for (const int i : node.inputs) inputs.push_back(graph.nodes.at(static_cast<size_t>(i)).shape);
    for (const int p : node.parameters) parameters.push_back(graph.parameters.at(static_cast<size_t>(p)).shape);
    return std::make_shared<PyFunction>(function, dtype_, inputs, parameters, node.shape);
  }
  static const void* data_of(const py::array& array) {
    if (!(array.flags() & py::array::c_style)) throw std::invalid_argument("arrays: expected C order");
    return array.data();
  }
  const void* data_of(const py::array& array, const char* name) const {
    if (!array.dtype().equal(dtype_)) throw std::invalid_argument(std::string(name) + ": wrong dtype");
    return data_of(array);
  }

  std::vector<SampleArray> sample_arrays(const std::vector<py::array>& inputs) const {
    if (inputs.size() != input_shapes_.size())
      throw std::invalid_argument("inputs: expected " + std::to_string(input_shapes_.size()) + " arrays, got " +
                                  std::to_string(inputs.size()));
    std::vector<SampleArray> samples;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].ndim() < 1) throw std::invalid_argument("inputs: expected a batch axis, got a scalar");
      const size_t rows = static_cast<size_t>(inputs[i].shape(0)), width = product(input_shapes_[i]);
      if (i > 0 && rows != samples[0].rows) throw std::invalid_argument("inputs: expected equal numbers of samples");
      if (const auto size = static_cast<size_t>(inputs[i].size()); rows > 0 && (size % rows != 0 || size / rows != width))
        throw std::invalid_argument("inputs: expected " + std::to_string(width) + " numbers for each sample");
      samples.push_back({data_of(inputs[i]), source_of(inputs[i].dtype(), "inputs"), rows, width});
    }
    return samples;
  }

  // Targets of `rows` samples; the engine checks their width.
  static TargetArray target_array(const py::array& target, bool indices, size_t rows) {
    const Source type = source_of(target.dtype(), "target");
    if (indices && (type == Source::kF32 || type == Source::kF64))
      throw py::type_error("target: expected integer class indices");
    const size_t size = static_cast<size_t>(target.size()), width = rows ? size / rows : 0;
    if (size != width * rows) throw std::invalid_argument("target: expected as many numbers for each sample");
    return {{data_of(target), type, rows, width}, indices};
  }

  std::vector<py::array> new_arrays(const std::vector<std::vector<int64_t>>& shapes, size_t rows,
                                    std::vector<void*>& raw) const {
    std::vector<py::array> arrays;
    for (const auto& shape : shapes) {
      std::vector<py::ssize_t> extents{static_cast<py::ssize_t>(rows)};
      extents.insert(extents.end(), shape.begin(), shape.end());
      arrays.emplace_back(dtype_, extents);
      raw.push_back(arrays.back().mutable_data());
    }
    return arrays;
  }

  template <class F>
  py::array parameter_sized(size_t index, const F& fill) {
    expect_index(index);
    const std::vector<int64_t> shape = engine_->parameter_shape(index);
    py::array array(dtype_, std::vector<py::ssize_t>(shape.begin(), shape.end()));
    void* out = array.mutable_data();
    const WithoutPython release;
    fill(out);
    return array;
  }

  const void* checked_parameter(size_t index, const py::array& value) const {
    expect_index(index);
    const std::vector<int64_t> shape = engine_->parameter_shape(index);
    if (static_cast<size_t>(value.ndim()) != shape.size() || !std::equal(shape.begin(), shape.end(), value.shape()))
      throw std::invalid_argument("value: wrong shape");
    return data_of(value, "value");
  }

  void expect_index(size_t index) const {
    if (index >= parameter_count_) throw py::index_error("parameter index " + std::to_string(index) + " out of range");
  }

  static constexpr size_t kFewRows = 256;  // that one call predicts without a look at Ctrl-C

  py::dtype dtype_;
  std::vector<std::vector<int64_t>> input_shapes_, output_shapes_;
  size_t parameter_count_ = 0;
  std::unique_ptr<Engine> engine_;
};

}  // namespace nncore
