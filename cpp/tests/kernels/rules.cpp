// Optimizer rules against their definitions (PyTorch's), two updates long.
#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("kernels/rules");

namespace nncore {
namespace {

// A rule with its hyper-parameters in the order of its row in the op table, and one update of one parameter.
struct Truth {
  const char* name;
  std::vector<double> hyper;
  void (*update)(Real& p, Real g, Real* s, const double* h, Real t);
};

void sgd(Real& p, Real g, Real*, const double* h, Real) { p -= h[0] * (g + h[1] * p); }

void momentum(Real& p, Real g, Real* s, const double* h, Real) {
  g += h[3] * p;
  s[0] = h[1] * s[0] + g;
  p -= h[0] * (h[2] != 0 ? g + h[1] * s[0] : s[0]);
}

void adam_moments(Real& p, Real g, Real* s, const double* h, Real t) {
  const Real b1 = h[1], b2 = h[2];
  s[0] = b1 * s[0] + (1 - b1) * g;
  s[1] = b2 * s[1] + (1 - b2) * g * g;
  p -= h[0] / (1 - std::pow(b1, t)) * s[0] / (std::sqrt(s[1]) / std::sqrt(1 - std::pow(b2, t)) + h[3]);
}
void adam(Real& p, Real g, Real* s, const double* h, Real t) { adam_moments(p, g + h[4] * p, s, h, t); }
void adamw(Real& p, Real g, Real* s, const double* h, Real t) {
  p *= 1 - static_cast<Real>(h[0]) * h[4];
  adam_moments(p, g, s, h, t);
}

void rmsprop(Real& p, Real g, Real* s, const double* h, Real) {
  g += h[3] * p;
  s[0] = h[1] * s[0] + (1 - static_cast<Real>(h[1])) * g * g;
  p -= h[0] * g / (std::sqrt(s[0]) + h[2]);
}

const Truth kTruths[] = {
    {"sgd", {0.1, 0}, sgd},
    {"sgd", {0.1, 0.01}, sgd},
    {"momentum", {0.1, 0.9, 0, 0}, momentum},
    {"momentum", {0.1, 0.9, 1, 0.01}, momentum},
    {"adam", {0.01, 0.9, 0.999, 1e-8, 0}, adam},
    {"adam", {0.01, 0.8, 0.99, 1e-3, 0.1}, adam},
    {"adamw", {0.01, 0.9, 0.999, 1e-8, 0.1}, adamw},
    {"rmsprop", {0.01, 0.99, 1e-8, 0}, rmsprop},
    {"rmsprop", {0.01, 0.9, 1e-3, 0.1}, rmsprop},
};

template <class T>
const Rule<T>& rule_called(const Kernels<T>& kernels, const std::string& name) {
  for (int i = 0; i < kernels.rule_count; ++i)
    if (name == kernels.rules[i].name) return kernels.rules[i];
  FAIL("no rule ", name);
  return kernels.rules[0];
}

TEST_CASE_TEMPLATE("each rule of the table has a truth here", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (int i = 0; i < kernels.rule_count; ++i) {
      const std::string name = kernels.rules[i].name;
      CAPTURE(name);
      CHECK(std::any_of(std::begin(kTruths), std::end(kTruths), [&](const Truth& truth) { return truth.name == name; }));
    }
  });
}

// Two updates of the first n parameters, with gradients g and -g / 2.
template <class T>
void update_twice(const Rule<T>& rule, const Truth& truth, T* p, const std::vector<T>& g, T* const* states, size_t n) {
  for (int t = 1; t <= 2; ++t) {
    std::vector<T> gradient(g.begin(), g.begin() + static_cast<ptrdiff_t>(n));
    if (t == 2)
      for (T& x : gradient) x *= T(-0.5);
    double coefficients[kMaxCoefficients];
    rule.prepare(coefficients, truth.hyper.data(), t);
    rule.update(p, gradient.data(), states, n, coefficients);
  }
}

TEST_CASE_TEMPLATE("two updates", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const Truth& truth : kTruths) {
      INFO(truth.name);
      const Rule<T>& rule = rule_called(kernels, truth.name);
      const std::vector<T> p = random_values<T>(kMostTail, 1), g = random_values<T>(kMostTail, 2);
      std::vector<T> whole_p = p, whole[kMaxStates] = {std::vector<T>(kMostTail), std::vector<T>(kMostTail)};
      T* states[kMaxStates] = {whole[0].data(), whole[1].data()};
      update_twice(rule, truth, whole_p.data(), g, states, kMostTail);
      for (size_t j = 0; j < kMostTail; ++j) {
        Real want = p[j], s[kMaxStates] = {};
        truth.update(want, g[j], s, truth.hyper.data(), 1);
        truth.update(want, static_cast<T>(g[j] * T(-0.5)), s, truth.hyper.data(), 2);
        check_close(whole_p[j], want, 16 * kEpsilon<T>);
        for (int i = 0; i < rule.states; ++i) check_close(whole[i][j], s[i], 16 * kEpsilon<T>);
      }

      for (size_t n = 0; n <= kMostTail; ++n) {
        CAPTURE(n);
        Guarded<T> got(std::vector<T>(p.begin(), p.begin() + static_cast<ptrdiff_t>(n)));
        Guarded<T> first(std::vector<T>(n, 0)), second(std::vector<T>(n, 0));
        T* parts[kMaxStates] = {rule.states > 0 ? first.data() : nullptr, rule.states > 1 ? second.data() : nullptr};
        update_twice(rule, truth, got.data(), g, parts, n);
        CHECK(same_bits(got.data(), whole_p.data(), n));
        if (rule.states > 0) CHECK(same_bits(first.data(), whole[0].data(), n));
        if (rule.states > 1) CHECK(same_bits(second.data(), whole[1].data(), n));
        CHECK(got.intact());
        CHECK(first.intact());
        CHECK(second.intact());
      }
    }
  });
}

}  // namespace
}  // namespace nncore
