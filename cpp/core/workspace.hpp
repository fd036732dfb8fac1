// The activation buffers of a network for batches of some size, and the passes over them on blocks of rows.
//
// A workspace knows nothing of losses, optimizers or data: the engine calls it from every thread of a team, each with rows
// or tiles of its own. Between ops that mix rows the threads do not wait for each other; around each of those they do.
#pragma once
#include <vector>

#include "core/network.hpp"
#include "core/threads.hpp"

namespace nncore {

// What the buffers are laid out for.
enum class Level {
  kNone,
  kInference,
  kTraining,        // gradients of trainable parameters
  kInputGradients,  // gradients of all parameters and of the graph's inputs
};

template <class T>
class Workspace {
 public:
  explicit Workspace(Network<T>& network) : network_(network) {}

  // Makes the buffers fit `rows` rows at `level`. If they did not, what an earlier pass left in them is lost.
  void prepare(size_t rows, Level level);

  const Matrix<T>& input(size_t i) const { return node_of(network_.graph().inputs[i]).y; }
  const Matrix<T>& output(size_t i) const { return node_of(network_.graph().outputs[i]).y; }
  // Where the gradient of output i is to be put before backward(), and where backward() leaves that of input i.
  const Matrix<T>& output_gradient(size_t i) const { return node_of(network_.graph().outputs[i]).dy; }
  const Matrix<T>& input_gradient(size_t i) const { return node_of(network_.graph().inputs[i]).dy; }

  // For a batch of `rows` rows of which this thread has `mine`; every thread of the team calls.
  void forward(const Team& team, size_t rows, Rows mine, const Pass& pass) const;
  void backward(const Team& team, size_t rows, Rows mine, const Pass& pass) const;
  // Ops keep what they have learnt from the last forward over `rows` rows. By one thread.
  void commit(size_t rows) const;
  // One tile of a parameter's gradient over a batch of `rows` rows; overwrites it.
  void parameter_gradient(const GradientTask& task, size_t rows) const;

 private:
  // One call of an op's backward. An input whose gradient is a sum over several consumers gets a call of its own for every
  // consumer but the first, into scratch rows that are then added to `target`.
  struct Call {
    Operands<T> operands;
    Matrix<T> scratch, target;
  };

  const Operands<T>& node_of(int node) const { return operands_[static_cast<size_t>(node)]; }
  bool can_overwrite_input(size_t node) const;
  template <class F>
  void mix(const Team& team, size_t node, Mixing mixing, const Pass& pass, const F& call) const;
  void allocate_forward();
  void allocate_backward();
  Matrix<T> allocate(size_t width);

  Network<T>& network_;
  size_t capacity_ = 0;
  Level level_ = Level::kNone;
  std::vector<Operands<T>> operands_;
  std::vector<std::vector<Call>> calls_;  // by node
  std::vector<Buffer<T>> buffers_;
};

}  // namespace nncore
