// Runs a graph's nodes on blocks of rows, forward and backward, and computes parameter gradients tile by tile.
//
// It owns the parameter and gradient arenas and the activation buffers, and knows nothing of threads, losses, optimizers or data:
// the engine calls it from every thread of a team, each with rows or tiles of its own.
#pragma once
#include <memory>
#include <vector>

#include "core/graph.hpp"
#include "core/memory.hpp"
#include "core/op.hpp"

namespace nncore {

// What the buffers are laid out for. The training levels serve inference too.
enum class Level {
  kNone,
  kInference,
  kTraining,        // gradients of trainable parameters
  kInputGradients,  // gradients of all parameters and of the graph's inputs
};

// One piece of the parameter-gradient phase.
struct GradientTask {
  size_t parameter;
  Tile tile;
};

template <class T>
class Executor {
 public:
  Executor(const GraphDesc& graph, const Kernels<T>& kernels);

  // Makes the buffers fit `rows` rows at `level`; the parameters stay. What an earlier pass left in the buffers is lost.
  void prepare(size_t rows, Level level);
  size_t capacity() const { return capacity_; }

  const Matrix<T>& input(size_t i) const { return operands_[static_cast<size_t>(graph_.inputs[i])].y; }
  const Matrix<T>& output(size_t i) const { return operands_[static_cast<size_t>(graph_.outputs[i])].y; }
  // Where the gradient of output i is to be put before backward(), and where backward() leaves that of input i. An output
  // that appears twice or feeds another node has its gradient added up.
  const Matrix<T>& output_gradient(size_t i) const { return operands_[static_cast<size_t>(graph_.outputs[i])].dy; }
  const Matrix<T>& input_gradient(size_t i) const { return operands_[static_cast<size_t>(graph_.inputs[i])].dy; }

  void forward(Rows rows, const Pass& pass) const;
  void backward(Rows rows) const;

  // The parameter-gradient phase: any order, any threads. `rows` is the number of rows in the batch.
  const std::vector<GradientTask>& tasks() const { return tasks_; }
  double task_cost(const GradientTask& task) const;
  void gradient(const GradientTask& task, size_t rows);

  size_t parameter_count() const { return layouts_.size(); }
  const ParameterLayout& layout(size_t parameter) const { return layouts_[parameter]; }
  size_t arena_size() const { return values_.size(); }
  T* value(size_t parameter) { return values_.data() + layouts_[parameter].offset; }
  T* gradient_of(size_t parameter) { return gradients_.data() + layouts_[parameter].offset; }
  // After a value was changed: brings the transposed copy up to date, for a tile or, later, for the whole parameter.
  void refresh_transposed(const GradientTask& task);
  void mark_changed() { transposed_stale_ = true; }
  void refresh_all_transposed();

  // Multiply-adds of a forward pass per row.
  double cost() const { return cost_; }

 private:
  // One call of an op's backward. An input whose gradient is a sum over several consumers gets a call of its own for every
  // consumer but the first, into scratch rows that are then added to `target`.
  struct Call {
    Operands<T> operands;
    Matrix<T> scratch, target;
  };

  bool can_overwrite_input(size_t node) const;
  void plan_tasks();
  void allocate_forward();
  void allocate_backward();
  void allocate_transposed();
  Matrix<T> allocate(size_t width);
  size_t width_of(size_t node) const;

  const GraphDesc graph_;
  const Kernels<T>& kernels_;
  std::vector<std::unique_ptr<Op<T>>> ops_;  // null for inputs
  std::vector<int> consumers_;
  std::vector<bool> live_, is_output_;
  std::vector<ParameterLayout> layouts_;
  std::vector<std::vector<std::pair<size_t, size_t>>> users_;  // by parameter: node, slot
  std::vector<size_t> transposed_offset_;                      // by parameter; SIZE_MAX without
  std::vector<GradientTask> tasks_;
  double cost_ = 0;

  Buffer<T> values_, gradients_, transposed_;
  bool transposed_stale_ = true;

  size_t capacity_ = 0;
  Level level_ = Level::kNone;
  std::vector<Operands<T>> operands_;
  std::vector<std::vector<Call>> calls_;  // by node
  std::vector<Buffer<T>> buffers_;
};

}  // namespace nncore
