// Planning of buffers, and passes over graphs that are not chains, compared with numbers computed by hand.
#include "core/workspace.hpp"

#include <algorithm>
#include <stdexcept>

#include "core/engine.hpp"
#include "graphs.hpp"
#include "support.hpp"

TEST_SUITE_BEGIN("core/workspace");

namespace nncore {
namespace {

using Values = std::vector<double>;

// An engine of doubles on a graph, and passes over one batch.
class Passes {
 public:
  Passes(const GraphDesc& graph, const std::vector<Values>& parameters)
      : graph_(graph), engine_(make_engine(graph, true, 1)) {
    for (size_t p = 0; p < parameters.size(); ++p) engine_->set_parameter(p, parameters[p].data());
  }

  std::vector<Values> forward(const std::vector<Values>& inputs, bool training = true) {
    rows_ = inputs[0].size() / width(graph_.inputs[0]);
    std::vector<SampleArray> samples;
    for (size_t i = 0; i < inputs.size(); ++i)
      samples.push_back({inputs[i].data(), Source::kF64, rows_, width(graph_.inputs[i])});
    std::vector<Values> outputs = arrays(graph_.outputs);
    engine_->forward(samples, training, pointers(outputs));
    return outputs;
  }
  std::vector<Values> backward(const std::vector<Values>& gradients) {
    std::vector<const void*> from;
    for (const Values& gradient : gradients) from.push_back(gradient.data());
    std::vector<Values> inputs = arrays(graph_.inputs);
    engine_->backward(rows_, from, pointers(inputs));
    return inputs;
  }
  Values gradient(size_t parameter) {
    size_t size = 1;
    for (const int64_t n : graph_.parameters[parameter].shape) size *= static_cast<size_t>(n);
    Values values(size);
    engine_->get_gradient(parameter, values.data());
    return values;
  }

 private:
  size_t width(int node) const { return static_cast<size_t>(graph_.nodes[static_cast<size_t>(node)].shape[0]); }
  std::vector<Values> arrays(const std::vector<int>& nodes) const {
    std::vector<Values> all;
    for (const int node : nodes) all.emplace_back(rows_ * width(node));
    return all;
  }
  static std::vector<void*> pointers(std::vector<Values>& arrays) {
    std::vector<void*> all;
    for (Values& values : arrays) all.push_back(values.data());
    return all;
  }

  GraphDesc graph_;
  std::unique_ptr<Engine> engine_;
  size_t rows_ = 0;
};

TEST_CASE("dense: two rows by hand") {
  GraphBuilder g;
  const int x = g.input(2);
  Passes passes(g.outputs({g.dense(x, 3)}), {{1, 2, 3, 4, 5, 6}, {10, 20, 30}});
  CHECK(passes.forward({{1, 2, 3, -1}})[0] == Values{19, 32, 45, 9, 21, 33});
  CHECK(passes.backward({{1, 0, 2, 0, 1, 1}})[0] == Values{7, 16, 5, 11});
  CHECK(passes.gradient(0) == Values{1, 3, 5, 2, -1, 3});
  CHECK(passes.gradient(1) == Values{1, 1, 3});
}

TEST_CASE("fan-out: x + x + x") {
  GraphBuilder g;
  const int x = g.input(2);
  Passes passes(g.outputs({g.node("add", {x, x, x})}), {});
  CHECK(passes.forward({{1, -2, 5, 7}})[0] == Values{3, -6, 15, 21});
  CHECK(passes.backward({{1, 10, 100, 1000}})[0] == Values{3, 30, 300, 3000});
}

TEST_CASE("a residual around an activation, summed in two steps") {
  GraphBuilder g;
  const int x = g.input(2), twice = g.node("rescaling", {x}, {2, 0});
  const int relu = g.node("relu", {twice}), sum = g.node("add", {twice, relu, twice});
  Passes passes(g.outputs({g.node("add", {sum, x})}), {});
  CHECK(passes.forward({{-1, 2}})[0] == Values{-5, 14});  // h = 2x; 2h + relu(h) + x
  CHECK(passes.backward({{1, 10}})[0] == Values{5, 70});
}

TEST_CASE("parameters used twice") {
  GraphBuilder g;
  const int x = g.input(2), w = g.parameter({2, 2}), b = g.parameter({2});
  Passes passes(g.outputs({g.dense(g.dense(x, 2, {w, b}), 2, {w, b})}), {{1, 2, 3, 4}, {1, -1}});
  CHECK(passes.forward({{1, 2}})[0] == Values{36, 51});
  CHECK(passes.backward({{1, 1}})[0] == Values{17, 37});
  CHECK(passes.gradient(0) == Values{11, 15, 15, 23});
  CHECK(passes.gradient(1) == Values{4, 8});
}

TEST_CASE("two inputs, one of them also used through the other's op") {
  GraphBuilder g;
  const int a = g.input(2), b = g.input(2);
  const int sum = g.node("add", {a, b});
  Passes passes(g.outputs({g.node("add", {g.node("relu", {sum}), b})}), {});
  CHECK(passes.forward({{1, -5}, {2, 3}})[0] == Values{5, 3});
  const std::vector<Values> gradients = passes.backward({{10, 100}});
  CHECK(gradients[0] == Values{10, 0});
  CHECK(gradients[1] == Values{20, 100});
}

TEST_CASE("an output that another node reads, and a node that is an output twice") {
  GraphBuilder g;
  const int x = g.input(2), h = g.node("rescaling", {x}, {2, 0}), y = g.node("relu", {h});
  Passes passes(g.outputs({h, y, y}), {});
  const std::vector<Values> outputs = passes.forward({{-1, 2}});
  CHECK(outputs == std::vector<Values>{{-2, 4}, {0, 4}, {0, 4}});
  CHECK(passes.backward({{10, 20}, {1, 2}, {3, 4}})[0] == Values{20, 52});
}

TEST_CASE("nodes that no output depends on do nothing, and their parameters have no gradient") {
  GraphBuilder g;
  const int x = g.input(2), w = g.parameter({2, 1}), unused = g.parameter({2, 3});
  g.dense(x, 3, {unused});
  const int y = g.dense(x, 1, {w});
  g.node("relu", {y});
  Passes passes(g.outputs({y}), {{2, 3}, {1, 1, 1, 1, 1, 1}});
  CHECK(passes.forward({{1, -1}})[0] == Values{-1});
  CHECK(passes.backward({{1}})[0] == Values{2, 3});
  CHECK(passes.gradient(0) == Values{1, -1});
  CHECK(passes.gradient(1) == Values(6));
}

TEST_CASE("softmax over the last axis of a sample with two") {
  GraphBuilder g;
  const int x = g.input(6);
  g.graph.nodes[0].shape = {2, 3};
  const int y = g.node("flatten", {g.node("softmax", {x}, {-1})});
  g.graph.nodes[static_cast<size_t>(y)].shape = {6};
  const std::unique_ptr<Engine> engine = make_engine(g.outputs({y}), true, 1);
  const Values in = {0, 0, 0, 0, 1000, 0};
  Values out(6);
  engine->forward({{in.data(), Source::kF64, 1, 6}}, false, {out.data()});
  CHECK(out[0] == doctest::Approx(1.0 / 3));
  CHECK(Values(out.begin() + 3, out.end()) == Values{0, 1, 0});
}

// Whether output 0 lies where input 0 does.
template <class T>
bool in_place(const GraphDesc& graph, Level level) {
  Network<T> network(graph, kernels_of<T>(active_kernels()));
  Workspace<T> workspace(network);
  workspace.prepare(3, level);
  return workspace.output(0).data == workspace.input(0).data;
}

TEST_CASE_TEMPLATE("an op overwrites its input where nobody reads that any more", T, float, double) {
  const auto unary = [](const std::string& op, const std::vector<double>& attrs = {}) {
    GraphBuilder g;
    const int x = g.input(5);
    return g.outputs({g.node(op, {x}, attrs)});
  };
  CHECK(in_place<T>(unary("relu"), Level::kInference));
  CHECK(in_place<T>(unary("relu"), Level::kTraining));
  CHECK(in_place<T>(unary("gelu", {0}), Level::kInference));
  CHECK_FALSE(in_place<T>(unary("gelu", {0}), Level::kTraining));  // its backward reads x

  GraphBuilder chain;  // tanh's backward reads its y, which identity may therefore not overwrite
  const int tanh = chain.node("tanh", {chain.input(5)});
  const GraphDesc& both = chain.outputs({chain.node("identity", {tanh})});
  CHECK(in_place<T>(both, Level::kInference));
  CHECK_FALSE(in_place<T>(both, Level::kTraining));

  GraphBuilder fan;  // a second reader
  const int x = fan.input(5), relu = fan.node("relu", {x});
  CHECK_FALSE(in_place<T>(fan.outputs({relu, fan.node("add", {x, relu})}), Level::kInference));

  GraphBuilder kept;  // an output that the caller wants to see
  const int h = kept.input(5), y = kept.node("relu", {h});
  CHECK_FALSE(in_place<T>(kept.outputs({y, h}), Level::kInference));
}

TEST_CASE_TEMPLATE("buffers are kept for smaller batches, and sizes beyond memory leave a usable workspace", T, float,
                   double) {
  GraphBuilder g;
  Network<T> network(g.outputs({g.dense(g.input(5), 3)}), kernels_of<T>(active_kernels()));
  Workspace<T> workspace(network);
  workspace.prepare(8, Level::kTraining);
  const T* const before = workspace.input(0).data;
  workspace.prepare(3, Level::kTraining);
  CHECK(workspace.input(0).data == before);
  CHECK_THROWS_AS(workspace.prepare(SIZE_MAX / 8, Level::kTraining), std::bad_alloc);
  workspace.prepare(3, Level::kTraining);
  CHECK(workspace.input(0).data != nullptr);
  Barrier barrier;
  workspace.forward({0, 1, &barrier}, 3, {0, 3}, {true, 1, 0, nullptr});
}

TEST_CASE_TEMPLATE("tasks cover every element of every parameter once", T, float, double) {
  constexpr size_t w = kPanel<T>;
  GraphBuilder g;
  const int x = g.input(300);
  Network<T> network(g.outputs({g.dense(g.dense(g.dense(x, 1), 1000), 77)}), kernels_of<T>(active_kernels()));
  std::vector<int> covered(network.arena_size());
  for (const GradientTask& task : network.tasks()) {
    const ParameterLayout& layout = network.layout(task.parameter);
    CHECK(task.tile.row_begin % w == 0);  // as transpose() asks for
    for (size_t p = task.tile.panel_begin; p < task.tile.panel_end; ++p)
      for (size_t i = task.tile.row_begin * w; i < task.tile.row_end * w; ++i)
        ++covered[layout.offset + p * layout.rows * w + i];
  }
  CHECK(std::all_of(covered.begin(), covered.end(), [](int count) { return count == 1; }));
}

TEST_CASE("unknown ops are refused by name") {
  GraphBuilder g;
  const int x = g.input(2);
  CHECK_THROWS_WITH_AS(make_engine(g.outputs({g.node("nonsense", {x})}), false, 1),
                       "op: the native engine has no op called 'nonsense'", std::invalid_argument);
}

}  // namespace
}  // namespace nncore
