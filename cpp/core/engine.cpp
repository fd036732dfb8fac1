// The engine: gathers batches, drives the executor from a team of threads, and updates parameters while they are in cache.
#include "core/engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>

#include "core/cpu.hpp"
#include "core/scoring.hpp"
#include "core/threads.hpp"
#include "core/updates.hpp"
#include "core/workspace.hpp"

namespace nncore {
namespace {

template <class T>
class EngineOf final : public Engine {
 public:
  EngineOf(const GraphDesc& graph, const Kernels<T>& kernels, uint64_t key)
      : kernels_(kernels),
        network_(graph, kernels),
        training_(network_),
        inference_(network_),
        memory_(kernels, network_.arena_size()) {
    seed = key;
  }

  void hold() override { mutex_.hold(); }
  void release() override { mutex_.release(); }

  std::vector<int64_t> parameter_shape(size_t parameter) const override { return network_.layout(parameter).shape; }

  void get_parameter(size_t parameter, void* out) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    read(network_.value(parameter), parameter, out);
  }

  void assign(const std::vector<Assignment>& assignments) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    for (const Assignment& a : assignments)
      if (!a.rule.empty()) memory_.state(a.rule, a.state);  // may have to be made
    for (const Assignment& a : assignments) {
      const bool own = a.rule.empty();
      T* arena = own ? network_.value(0) : memory_.state(a.rule, a.state).data();
      write(arena + network_.layout(a.parameter).offset, a.parameter, a.values);
      if (own) {
        network_.mark_changed();
      } else {
        memory_.note_set(a.rule);
      }
    }
  }

  double penalty() override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    return network_.penalty();
  }

  void get_gradient(size_t parameter, void* out) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    if (!has_gradients_) throw std::runtime_error("gradients: expected a backward pass first, there was none");
    read(network_.gradient(parameter), parameter, out);
  }

  void get_state(const std::string& rule, int state, size_t parameter, void* out) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    read(memory_.state(rule, state).data() + network_.layout(parameter).offset, parameter, out);
  }

  void forward(const std::vector<SampleArray>& inputs, bool training, const std::vector<void*>& outputs) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    const size_t rows = inputs[0].rows;
    Workspace<T>& workspace = training ? training_ : inference_;
    if (training) pending_rows_.reset();
    workspace.prepare(rows, training ? Level::kInputGradients : Level::kInference);
    Faults faults;
    const Pass pass{training, seed, static_cast<uint32_t>(draws), &faults};
    parallel(threads(rows, 1), [&](const Team& team) {
      const FlushSubnormals flush;
      Rows mine{};
      team.share(rows, 1, mine.begin, mine.end);
      gather(workspace, inputs, nullptr, 0, mine);
      workspace.forward(team, rows, mine, pass);
      for (size_t i = 0; i < outputs.size(); ++i) copy_out(outputs[i], workspace.output(i), mine, mine.begin);
    });
    faults.rethrow();
    if (!training) return;
    workspace.commit(rows);
    ++draws;
    pending_rows_ = rows;
  }

  std::optional<size_t> pending_rows() const override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    return pending_rows_;
  }

  void backward(size_t rows, const std::vector<const void*>& gradients,
                const std::vector<void*>& input_gradients) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    if (pending_rows_ != rows)
      throw std::runtime_error("backward: expected a forward pass with training=True on " + std::to_string(rows) +
                               " rows first, there was none");
    network_.refresh_all_transposed();
    const int count = threads(rows, 3);
    const std::vector<size_t> bounds = share_tasks(count);
    Faults faults;
    const Pass pass{true, seed, 0, &faults};
    parallel(count, [&](const Team& team) {
      const FlushSubnormals flush;
      Rows mine{};
      team.share(rows, 1, mine.begin, mine.end);
      for (size_t i = 0; i < gradients.size(); ++i) seed_gradient(i, static_cast<const T*>(gradients[i]), mine);
      training_.backward(team, rows, mine, pass);
      for (size_t i = 0; i < input_gradients.size(); ++i)
        copy_out(input_gradients[i], training_.input_gradient(i), mine, mine.begin);
      team.barrier();
      for_tasks(team, bounds, [&](const GradientTask& task) {
        training_.parameter_gradient(task, rows);
        network_.regularize(task);
      });
    });
    pending_rows_.reset();
    has_gradients_ = false;
    faults.rethrow();
    has_gradients_ = true;
  }

  void update(const OptimizerStep& optimizer) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    if (!has_gradients_) throw std::runtime_error("update: expected a backward pass first, there was none");
    Updates<T> updates(optimizer, network_, memory_, iterations, accumulated);
    updates.begin_step();
    const int count = threads_for(static_cast<double>(network_.arena_size()) * 4);
    const std::vector<size_t> bounds = share_tasks(count);
    parallel(count, [&](const Team& team) {
      const FlushSubnormals flush;
      updates.step(team, [&](const auto& f) { for_tasks(team, bounds, f); }, [](const GradientTask&) {});
    });
    updates.end_step();
    note(updates);
  }

  void predict(const std::vector<SampleArray>& inputs, size_t batch_size, const std::vector<void*>& outputs) override {
    const std::lock_guard<ForkAwareMutex> lock(mutex_);
    const size_t rows = inputs[0].rows, block = std::min({batch_size, rows, kMostRows});
    if (rows == 0) return;
    const int worth = threads_for(network_.cost() * static_cast<double>(rows));
    const bool few_rows = rows < static_cast<size_t>(worth);
    const int count = few_rows ? worth : threads(rows, 1);
    // Where rows mix or are few, the team carries each block together; otherwise each thread has samples and blocks of its
    // own.
    const bool together = few_rows || network_.mixes(false);
    inference_.prepare(together ? block : block * static_cast<size_t>(count), Level::kInference);
    Faults faults;
    const Pass pass{false, seed, 0, &faults, few_rows};
    parallel(count, [&](const Team& team) {
      const FlushSubnormals flush;
      size_t begin = 0, end = rows;
      if (!together) team.share(rows, 1, begin, end);
      const size_t slot = together ? 0 : static_cast<size_t>(team.rank) * block;
      for (size_t at = begin; at < end; at += block) {
        const size_t length = std::min(block, end - at);
        Rows mine{slot, slot + length};
        if (together) team.share(length, 1, mine.begin, mine.end);
        gather(inference_, inputs, nullptr, at - slot, mine);  // sample at - slot + row; wraps, as unsigned arithmetic may
        inference_.forward(team, length, mine, pass);
        for (size_t i = 0; i < outputs.size(); ++i)
          copy_out(outputs[i], inference_.output(i), mine, at - slot + mine.begin);
        if (together) team.barrier();  // the next block may share its rows among the threads in another way
      }
    });
    faults.rethrow();
  }

  RunOutcome run(const std::vector<SampleArray>& inputs, const Objective& objective, const RunOptions& options) override;

 private:
  static constexpr size_t kMostRows = 256;        // rows that a thread carries through the network at once in predict()
  static constexpr size_t kEvaluationRows = 512;  // rows between two barriers of an evaluation; fixed, as sums depend on it

  void read(const T* panels, size_t parameter, void* out) const {
    const ParameterLayout& layout = network_.layout(parameter);
    unpack(static_cast<T*>(out), panels, layout.rows, layout.columns);
  }
  void write(T* panels, size_t parameter, const void* values) const {
    const ParameterLayout& layout = network_.layout(parameter);
    kernels_.pack(panels, static_cast<const T*>(values), layout.rows, layout.columns,
                  static_cast<ptrdiff_t>(layout.columns), 1);
  }

  void note(const Updates<T>& updates) {
    iterations = updates.iterations();
    accumulated = updates.accumulated();
  }

  int threads(size_t rows, int passes) const {
    const int worth = threads_for(network_.cost() * static_cast<double>(rows) * passes);
    return static_cast<int>(std::min(static_cast<size_t>(worth), std::max<size_t>(rows, 1)));
  }

  // Converts samples into the input buffers: row r takes sample order[first + r], or first + r without an order.
  void gather(const Workspace<T>& workspace, const std::vector<SampleArray>& inputs, const int64_t* order, size_t first,
              Rows rows) const {
    for (size_t i = 0; i < inputs.size(); ++i)
      for (size_t r = rows.begin; r < rows.end; ++r)
        convert_row(kernels_, workspace.input(i).row(r), inputs[i],
                    order ? static_cast<size_t>(order[first + r]) : first + r);
  }

  void copy_out(void* out, const Matrix<T>& from, Rows rows, size_t first) const {
    T* to = static_cast<T*>(out) + first * from.width;
    for (size_t r = rows.begin; r < rows.end; ++r, to += from.width) std::memcpy(to, from.row(r), from.width * sizeof(T));
  }

  // Puts the gradient of output i in place; a node that is an output more than once gets the sum.
  void seed_gradient(size_t i, const T* gradient, Rows rows) const {
    const Matrix<T>& dy = training_.output_gradient(i);
    const auto begin = network_.graph().outputs.begin(), at = begin + static_cast<ptrdiff_t>(i);
    const bool again = std::find(begin, at, network_.graph().outputs[i]) != at;
    for (size_t r = rows.begin; r < rows.end; ++r) {
      const T* source = gradient + r * dy.width;
      if (again) {
        kernels_.add(dy.row(r), dy.row(r), source, dy.width);
      } else {
        std::memcpy(dy.row(r), source, dy.width * sizeof(T));
      }
    }
  }

  // Bounds of the tasks of each of `count` threads: contiguous runs of about equal cost.
  std::vector<size_t> share_tasks(int count) const {
    const auto& tasks = network_.tasks();
    double total = 0;
    for (const GradientTask& task : tasks) total += network_.task_cost(task);
    std::vector<size_t> bounds(static_cast<size_t>(count) + 1, tasks.size());
    bounds[0] = 0;
    double sum = 0;
    size_t rank = 1;
    for (size_t i = 0; i < tasks.size() && rank < static_cast<size_t>(count); ++i) {
      sum += network_.task_cost(tasks[i]);
      while (rank < static_cast<size_t>(count) && sum >= total * static_cast<double>(rank) / count) bounds[rank++] = i + 1;
    }
    return bounds;
  }

  // f(task) for this thread's tasks. The runtime may give fewer threads than were asked for; then they share all runs.
  template <class F>
  void for_tasks(const Team& team, const std::vector<size_t>& bounds, const F& f) const {
    for (size_t run = static_cast<size_t>(team.rank); run + 1 < bounds.size(); run += static_cast<size_t>(team.size))
      for (size_t i = bounds[run]; i < bounds[run + 1]; ++i) f(network_.tasks()[i]);
  }

  const Kernels<T>& kernels_;
  Network<T> network_;
  Workspace<T> training_, inference_;  // apart, so that inference between forward and backward does no harm
  OptimizerMemory<T> memory_;
  std::optional<size_t> pending_rows_;  // of a training forward that no backward has used yet
  bool has_gradients_ = false;
  mutable ForkAwareMutex mutex_;
};

template <class T>
RunOutcome EngineOf<T>::run(const std::vector<SampleArray>& inputs, const Objective& objective, const RunOptions& options) {
  const std::lock_guard<ForkAwareMutex> lock(mutex_);
  const auto began = std::chrono::steady_clock::now();
  const bool training = options.optimizer != nullptr;
  const size_t samples = options.order ? options.order_size : inputs[0].rows;
  const size_t block = std::min(training ? options.batch_size : kEvaluationRows, samples - options.start);
  std::optional<Updates<T>> updates;
  if (training) updates.emplace(*options.optimizer, network_, memory_, iterations, accumulated);
  Workspace<T>& workspace = training ? training_ : inference_;
  const int count = threads(block, training ? 3 : 1);
  const size_t width = network_.width(static_cast<size_t>(network_.graph().outputs[0]));
  Scoring<T> scoring(kernels_, workspace, objective, options, block, width, count);  // refuses what does not fit
  if (block == 0) return scoring.take_outcome();
  const std::vector<size_t> bounds = share_tasks(count);
  if (training) pending_rows_.reset();
  workspace.prepare(block, training ? Level::kTraining : Level::kInference);
  if (training) {
    has_gradients_ = true;
    network_.refresh_all_transposed();
  }
  bool stop = false;  // written by rank 0 between the two barriers of a step, read after the second
  Faults faults;
  const double penalty = training || !network_.regularized() ? 0 : network_.penalty();

  parallel(count, [&](const Team& team) {
    const FlushSubnormals flush;
    size_t step = 0;
    for (size_t at = options.start; at < samples && !stop; at += block, ++step) {
      const size_t rows = std::min(block, samples - at);
      Rows mine{};
      team.share(rows, 1, mine.begin, mine.end);
      gather(workspace, inputs, options.order, at, mine);
      const Pass pass{training, seed, static_cast<uint32_t>(draws + step), &faults};
      workspace.forward(team, rows, mine, pass);
      const bool teaches = scoring.score(team.rank, at, rows, mine);
      if (training) workspace.backward(team, rows, mine, pass);
      if (training && teaches && team.rank == 0) updates->begin_step();
      team.barrier();

      if (scoring.failed() || faults.any()) break;
      if (team.rank == 0) {
        scoring.collect(at, rows);
        if (training && teaches) {
          workspace.commit(rows);
          updates->end_step();
        }
        stop = (training && updates->exhausted()) ||
               std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() >= options.deadline;
      }
      const double factor = divide_penalty && teaches ? 1 / scoring.weight(at, rows) : 1;
      if (training && teaches)
        updates->step(
            team, [&](const auto& f) { for_tasks(team, bounds, f); },
            [&](const GradientTask& task) {
              workspace.parameter_gradient(task, rows);
              network_.regularize(task, factor);
            });
      team.barrier();
      if (team.rank == 0 && network_.regularized()) scoring.add_penalty(training ? network_.penalty_of_tasks() : penalty);
    }
  });

  RunOutcome outcome = scoring.take_outcome();  // no memory is needed from here on: the steps are made, and must be counted
  if (training) {
    draws += outcome.steps;
    note(*updates);
  }
  faults.rethrow();
  scoring.throw_if_failed();
  return outcome;
}

}  // namespace

std::unique_ptr<Engine> make_engine(const GraphDesc& graph, bool double_precision, uint64_t seed) {
  const KernelTable& table = active_kernels();
  if (double_precision) return std::make_unique<EngineOf<double>>(graph, table.f64, seed);
  return std::make_unique<EngineOf<float>>(graph, table.f32, seed);
}

std::vector<std::string> metric_names() {
  std::vector<std::string> names;
  for (const auto& metric : kMetrics<float>) names.emplace_back(metric.name);
  return names;
}

}  // namespace nncore
