// A network ready to run: whole steps and whole epochs in one call, each one parallel region.
//
// Calls lock the engine, so that threads take turns; they may be made without Python's lock. Arrays are row-major; what
// does not fit is refused with std::invalid_argument before anything changes.
#pragma once
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/graph.hpp"
#include "kernels/kernel_table.hpp"

namespace nncore {

// A row-major array of samples that is read.
struct SampleArray {
  const void* data;
  Source type;
  size_t rows, width;
};

// Targets: values [rows, width], or one class index for each row.
struct TargetArray {
  SampleArray array;
  bool indices;
};

// What an output is trained for and measured by. A row's share in the mean loss is its sample weight, times the weight of
// its class where the loss says so; in the means of metrics it is its sample weight. Rows to ignore have no share.
struct Objective {
  TargetArray target;
  std::string loss;
  std::vector<double> attrs;                // of the loss's row in the op table, in that order
  std::vector<std::vector<double>> arrays;  // its array options: a number for each column, or empty
  bool mean = true;                         // the loss of a batch is the mean of its parts, otherwise their sum
  std::optional<int64_t> ignored;           // class index of rows to ignore
  const double* sample_weight = nullptr;    // by sample, or null: all 1
  std::vector<std::string> metrics;
};

// Parameters with hyper-parameters of their own.
struct OptimizerGroup {
  std::vector<double> hyper;  // the learning rate among them does not count
  double rate_factor;         // theirs is the optimizer's times this
};

struct OptimizerStep {
  std::string rule;
  std::vector<double> hyper;    // in the order of the rule's row, which begins with the learning rate
  std::vector<double> rates{};  // learning rates of the coming updates instead; a run ends where they do
  std::vector<OptimizerGroup> groups{};
  std::vector<size_t> group_of{};                              // by parameter: 0 or 1 + place in groups; empty: 0 for all
  double clip_value = 0, clip_norm = 0, global_clip_norm = 0;  // of gradients, elements or norms; 0: not
  uint64_t accumulation = 1;                                   // batches whose mean gradient makes one update
  bool averages = false;                                       // keep a moving average of the parameters
  double average_momentum = 0;
  uint64_t overwrite_frequency = 0;  // updates after which the parameters become the average, again and again; 0: never
};

struct RunOptions {
  const int64_t* order = nullptr;  // indices of samples, or null for all in storage order
  size_t order_size = 0;
  size_t start = 0, batch_size = 1;
  const OptimizerStep* optimizer = nullptr;  // null: evaluate
  double deadline = 0;                       // seconds
  std::vector<double> sums;                  // RunOutcome::sums to go on from; empty: zeros
};

// Sums over the samples: of loss and metrics, each times the row's share, and of the shares.
struct RunOutcome {
  size_t position = 0, samples = 0, steps = 0;
  double loss = 0;
  std::vector<double> metrics;
  double loss_weight = 0, metric_weight = 0;
};

// The loss of a batch is not finite.
struct DivergenceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a parameter, or where `rule` has a name an optimizer state of it, is to become.
struct Assignment {
  size_t parameter;
  const void* values;
  std::string rule{};
  int state = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Between the two, calls of this thread follow each other without one of another thread.
  virtual void hold() = 0;
  virtual void release() = 0;

  virtual std::vector<int64_t> parameter_shape(size_t parameter) const = 0;
  virtual void get_parameter(size_t parameter, void* out) = 0;
  // All of them, or none where one is refused or there is no memory.
  virtual void assign(const std::vector<Assignment>& assignments) = 0;
  void set_parameter(size_t parameter, const void* values) { assign({{parameter, values}}); }
  virtual void get_gradient(size_t parameter, void* out) = 0;
  virtual void get_state(const std::string& rule, int state, size_t parameter, void* out) = 0;

  virtual void forward(const std::vector<SampleArray>& inputs, bool training, const std::vector<void*>& outputs) = 0;
  // Rows of the last training forward that no backward has used yet, if there is one.
  virtual std::optional<size_t> pending_rows() const = 0;
  // `rows` is what the caller's arrays have; another number is refused, as another thread may have come in between.
  virtual void backward(size_t rows, const std::vector<const void*>& gradients,
                        const std::vector<void*>& input_gradients) = 0;
  virtual void update(const OptimizerStep& optimizer) = 0;
  virtual void predict(const std::vector<SampleArray>& inputs, size_t batch_size, const std::vector<void*>& outputs) = 0;
  virtual RunOutcome run(const std::vector<SampleArray>& inputs, const Objective& objective, const RunOptions& options) = 0;

  // Of the regularised parameters, as run() adds it to the loss.
  virtual double penalty() = 0;

  // accumulated: gradients in the sum that waits for its update.
  uint64_t seed = 0, draws = 0, iterations = 0, accumulated = 0;
  // Whether run(), when it trains, divides the penalty by the sum of the batch's shares.
  bool divide_penalty = false;
};

std::unique_ptr<Engine> make_engine(const GraphDesc& graph, bool double_precision, uint64_t seed);

// Names of metrics that run() knows.
std::vector<std::string> metric_names();

}  // namespace nncore
