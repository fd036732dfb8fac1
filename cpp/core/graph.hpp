// The graph as the native core receives it: the Python Graph, with every attribute encoded as a number.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace nncore {

struct NodeDesc {
  std::string op;  // "input" for an input
  std::vector<int> inputs;
  std::vector<double> attrs;
  std::vector<int> parameters;
  std::vector<int64_t> shape;  // per sample
};

struct ParameterDesc {
  std::vector<int64_t> shape;
  bool trainable;
};

struct GraphDesc {
  std::vector<NodeDesc> nodes;  // in topological order
  std::vector<ParameterDesc> parameters;
  std::vector<int> inputs, outputs;
};

}  // namespace nncore
