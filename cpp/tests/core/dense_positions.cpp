// dense over several positions against its definition, for shapes on and off cache lines, and with any number of threads.
#include "core/engine.hpp"
#include "graphs.hpp"
#include "support.hpp"

TEST_SUITE_BEGIN("core/dense_positions");

namespace nncore {
namespace {

struct Case {
  size_t rows, positions, inputs, units;
};

template <class T>
constexpr Source kSource = std::is_same_v<T, float> ? Source::kF32 : Source::kF64;

// y = x W + b and the gradients for some dy, from an engine of the ISA in force.
template <class T>
struct Run {
  Run(const Case& c, int threads) {
    const ThreadLimit limit(threads);
    const auto k = static_cast<int64_t>(c.inputs), n = static_cast<int64_t>(c.units);
    const auto p = static_cast<int64_t>(c.positions);
    GraphBuilder g;
    const int x = g.input(k);
    g.graph.nodes.back().shape = {p, k};
    const int y_node = g.dense(x, n, {g.parameter({k, n}), g.parameter({n})});
    g.graph.nodes.back().shape = {p, n};
    const auto engine = make_engine(g.outputs({y_node}), std::is_same_v<T, double>, 1);
    inputs = random_values<T>(c.rows * c.positions * c.inputs, 1);
    kernel = random_values<T>(c.inputs * c.units, 2);
    bias = random_values<T>(c.units, 3);
    outer = random_values<T>(c.rows * c.positions * c.units, 4);
    engine->set_parameter(0, kernel.data());
    engine->set_parameter(1, bias.data());
    y.resize(outer.size());
    dx.resize(inputs.size());
    d_kernel.resize(kernel.size());
    d_bias.resize(bias.size());
    engine->forward({{inputs.data(), kSource<T>, c.rows, c.positions * c.inputs}}, true, {y.data()});
    engine->backward(c.rows, {outer.data()}, {dx.data()});
    engine->get_gradient(0, d_kernel.data());
    engine->get_gradient(1, d_bias.data());
    predicted.resize(y.size());
    engine->predict({{inputs.data(), kSource<T>, c.rows, c.positions * c.inputs}}, 3, {predicted.data()});
  }
  std::vector<T> inputs, kernel, bias, outer, y, predicted, dx, d_kernel, d_bias;
};

const Case kCases[] = {{5, 3, 7, 5}, {4, 2, 16, 16}, {3, 4, 33, 150}, {70, 5, 20, 9}, {1, 200, 3, 2}};

TEST_CASE_TEMPLATE("values and gradients", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>&) {
    for (const Case& c : kCases) {
      CAPTURE(c.positions);
      CAPTURE(c.units);
      const Run<T> run(c, 1);
      const size_t vectors = c.rows * c.positions;
      const auto slack = [](size_t terms) { return static_cast<Real>(terms + 2) * 2 * kEpsilon<T>; };
      std::vector<Real> d_kernel(run.kernel.size()), d_bias(c.units);
      for (size_t v = 0; v < vectors; ++v) {
        for (size_t j = 0; j < c.units; ++j) {
          Real want = run.bias[j];
          for (size_t i = 0; i < c.inputs; ++i)
            want += static_cast<Real>(run.inputs[v * c.inputs + i]) * run.kernel[i * c.units + j];
          check_close(run.y[v * c.units + j], want, slack(c.inputs));
          d_bias[j] += run.outer[v * c.units + j];
        }
        for (size_t i = 0; i < c.inputs; ++i) {
          Real want = 0;
          for (size_t j = 0; j < c.units; ++j) {
            want += static_cast<Real>(run.outer[v * c.units + j]) * run.kernel[i * c.units + j];
            d_kernel[i * c.units + j] += static_cast<Real>(run.inputs[v * c.inputs + i]) * run.outer[v * c.units + j];
          }
          check_close(run.dx[v * c.inputs + i], want, slack(c.units));
        }
      }
      for (size_t j = 0; j < c.units; ++j) check_close(run.d_bias[j], d_bias[j], slack(vectors));
      for (size_t i = 0; i < d_kernel.size(); ++i) check_close(run.d_kernel[i], d_kernel[i], slack(vectors));
      CHECK(same_bits(run.y, run.predicted));
    }
  });
}

TEST_CASE_TEMPLATE("the same bits with any number of threads", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>&) {
    const Case c{300, 6, 40, 70};
    const Run<T> one(c, 1), four(c, 4);
    CHECK(same_bits(one.y, four.y));
    CHECK(same_bits(one.dx, four.dx));
    CHECK(same_bits(one.d_kernel, four.d_kernel));
    CHECK(same_bits(one.d_bias, four.d_bias));
    CHECK(same_bits(one.predicted, four.predicted));
  });
}

}  // namespace
}  // namespace nncore
