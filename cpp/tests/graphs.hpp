// Building small graphs.
#pragma once
#include "core/graph.hpp"

namespace nncore {

// Each call adds a node and returns its index. Samples are vectors.
struct GraphBuilder {
  GraphDesc graph;

  int input(int64_t width) {
    graph.nodes.push_back({"input", {}, {}, {}, {width}});
    graph.inputs.push_back(last());
    return last();
  }
  // A node of the shape of its first input.
  int node(const std::string& op, const std::vector<int>& inputs, const std::vector<double>& attrs = {}) {
    graph.nodes.push_back({op, inputs, attrs, {}, graph.nodes[static_cast<size_t>(inputs[0])].shape});
    return last();
  }
  int parameter(const std::vector<int64_t>& shape, bool trainable = true) {
    graph.parameters.push_back({shape, trainable});
    return static_cast<int>(graph.parameters.size()) - 1;
  }
  // A dense node with parameters given: kernel, or kernel and bias.
  int dense(int from, int64_t units, const std::vector<int>& parameters) {
    graph.nodes.push_back(
        {"dense", {from}, {static_cast<double>(units), parameters.size() > 1 ? 1.0 : 0.0}, parameters, {units}});
    return last();
  }
  // A dense node with new parameters.
  int dense(int from, int64_t units) {
    const int kernel = parameter({graph.nodes[static_cast<size_t>(from)].shape[0], units});
    return dense(from, units, {kernel, parameter({units})});
  }
  const GraphDesc& outputs(const std::vector<int>& nodes) {
    graph.outputs = nodes;
    return graph;
  }

 private:
  int last() const { return static_cast<int>(graph.nodes.size()) - 1; }
};

}  // namespace nncore
