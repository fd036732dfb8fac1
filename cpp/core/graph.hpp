// The graph as the native core receives it: the Python Graph, with every attribute encoded as a number.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nncore {

// Rows of numbers of the engine's type, `ld` apart.
struct RowsView {
  void* data;
  size_t width, ld;
};

// A function on whole batches that the core does not know: what a node of op "python" calls. May throw.
class BatchFunction {
 public:
  virtual ~BatchFunction() = default;
  // y [rows, ...] from inputs [rows, ...] and parameters, each of which is one row.
  virtual void forward(size_t rows, const std::vector<RowsView>& inputs, const std::vector<RowsView>& parameters,
                       const RowsView& y, bool training) const = 0;
  // The gradients of the inputs and then of the parameters.
  virtual void backward(size_t rows, const std::vector<RowsView>& inputs, const std::vector<RowsView>& parameters,
                        const RowsView& y, const RowsView& dy, const std::vector<RowsView>& gradients) const = 0;
};

struct NodeDesc {
  std::string op;  // "input" for an input
  std::vector<int> inputs;
  std::vector<double> attrs;
  std::vector<int> parameters;
  std::vector<int64_t> shape;                         // per sample
  std::shared_ptr<BatchFunction> function = nullptr;  // of op "python"
};

struct ParameterDesc {
  std::vector<int64_t> shape;
  bool trainable;
  double l1 = 0, l2 = 0;  // of the penalty l1 |p| + l2 p^2 on each element
  double max_norm = 0;    // of each column of a matrix, or of a vector; 0: no limit
};

struct GraphDesc {
  std::vector<NodeDesc> nodes;  // in topological order
  std::vector<ParameterDesc> parameters;
  std::vector<int> inputs, outputs;
};

}  // namespace nncore
