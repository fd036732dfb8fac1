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

// Weight decay, coupled or not.
Real decay(Real& p, Real g, double lr, double wd, bool decoupled) {
  if (!decoupled) return g + wd * p;
  p *= 1 - static_cast<Real>(lr) * wd;
  return g;
}

void sgd(Real& p, Real g, Real*, const double* h, Real) {
  g = decay(p, g, h[0], h[1], h[2] != 0);
  p -= h[0] * g;
}

void momentum(Real& p, Real g, Real* s, const double* h, Real t) {
  g = decay(p, g, h[0], h[4], h[5] != 0);
  s[0] = h[1] * s[0] + (t > 1 ? 1 - static_cast<Real>(h[2]) : 1) * g;
  p -= h[0] * (h[3] != 0 ? g + h[1] * s[0] : s[0]);
}

template <bool Centered, bool WithMomentum>
void rmsprop(Real& p, Real g, Real* s, const double* h, Real) {
  const double* rest = h + 2 + WithMomentum;
  g = decay(p, g, h[0], rest[1], rest[2] != 0);
  s[0] = h[1] * s[0] + (1 - static_cast<Real>(h[1])) * g * g;
  if (Centered) s[1] = h[1] * s[1] + (1 - static_cast<Real>(h[1])) * g;
  Real d = g / (std::sqrt(Centered ? s[0] - s[1] * s[1] : s[0]) + rest[0]);
  if (WithMomentum) d = s[1 + Centered] = h[2] * s[1 + Centered] + d;
  p -= h[0] * d;
}

void adagrad(Real& p, Real g, Real* s, const double* h, Real) {
  g = decay(p, g, h[0], h[3], h[4] != 0);
  s[0] += g * g;
  p -= h[0] * g / (std::sqrt(s[0] + h[1]) + h[2]);
}

void adadelta(Real& p, Real g, Real* s, const double* h, Real) {
  g = decay(p, g, h[0], h[3], h[4] != 0);
  s[0] = h[1] * s[0] + (1 - static_cast<Real>(h[1])) * g * g;
  const Real d = std::sqrt(s[1] + h[2]) / std::sqrt(s[0] + h[2]) * g;
  s[1] = h[1] * s[1] + (1 - static_cast<Real>(h[1])) * d * d;
  p -= h[0] * d;
}

void moments(Real g, Real* s, const double* h) {
  s[0] = h[1] * s[0] + (1 - static_cast<Real>(h[1])) * g;
  s[1] = h[2] * s[1] + (1 - static_cast<Real>(h[2])) * g * g;
}
Real root(Real v, const double* h, Real t) { return std::sqrt(v) / std::sqrt(1 - std::pow(h[2], t)) + h[3]; }

void adam(Real& p, Real g, Real* s, const double* h, Real t) {
  moments(g + h[4] * p, s, h);
  if (h[5] != 0) {  // as at the end of the paper's section 2
    p -= h[0] * std::sqrt(1 - std::pow(h[2], t)) / (1 - std::pow(h[1], t)) * s[0] / (std::sqrt(s[1]) + h[3]);
  } else {
    p -= h[0] / (1 - std::pow(h[1], t)) * s[0] / root(s[1], h, t);
  }
}
void adamw(Real& p, Real g, Real* s, const double* h, Real t) {
  moments(decay(p, g, h[0], h[4], true), s, h);
  p -= h[0] / (1 - std::pow(h[1], t)) * s[0] / root(s[1], h, t);
}
void amsgrad(Real& p, Real g, Real* s, const double* h, Real t) {
  moments(decay(p, g, h[0], h[4], h[5] != 0), s, h);
  s[2] = std::max(s[2], s[1]);
  p -= h[0] / (1 - std::pow(h[1], t)) * s[0] / root(s[2], h, t);
}
void adamax(Real& p, Real g, Real* s, const double* h, Real t) {
  g = decay(p, g, h[0], h[4], h[5] != 0);
  s[0] = h[1] * s[0] + (1 - static_cast<Real>(h[1])) * g;
  s[1] = std::max(h[2] * s[1], std::fabs(g) + h[3]);
  p -= h[0] / (1 - std::pow(h[1], t)) * s[0] / s[1];
}
void nadam(Real& p, Real g, Real* s, const double* h, Real t) {
  g = decay(p, g, h[0], h[5], h[6] != 0);
  moments(g, s, h);
  const auto mu = [&](Real i) { return h[1] * (1 - Real(0.5) * std::pow(Real(0.96), i * h[4])); };
  Real product = 1;
  for (int i = 1; i <= static_cast<int>(t); ++i) product *= mu(i);
  const Real of_gradient = (1 - mu(t)) / (1 - product), of_mean = mu(t + 1) / (1 - product * mu(t + 1));
  p -= h[0] * (of_gradient * g + of_mean * s[0]) / root(s[1], h, t);
}
void radam(Real& p, Real g, Real* s, const double* h, Real t) {
  moments(decay(p, g, h[0], h[4], h[5] != 0), s, h);
  const Real rest = 1 - std::pow(h[2], t), longest = 2 / (1 - static_cast<Real>(h[2])) - 1;
  const Real r = longest - 2 * t * (1 - rest) / rest;
  Real d = s[0] / (1 - std::pow(h[1], t));
  if (r > 5)
    d *= std::sqrt((r - 4) * (r - 2) * longest / ((longest - 4) * (longest - 2) * r)) * std::sqrt(rest) /
         (std::sqrt(s[1]) + h[3]);
  p -= h[0] * d;
}
void lion(Real& p, Real g, Real* s, const double* h, Real) {
  g = decay(p, g, h[0], h[3], true);
  const Real c = h[1] * s[0] + (1 - static_cast<Real>(h[1])) * g;
  s[0] = h[2] * s[0] + (1 - static_cast<Real>(h[2])) * g;
  p -= h[0] * static_cast<Real>((c > 0) - (c < 0));
}
// Without the ratio of norms, which the caller of a rule finds.
void lamb(Real& p, Real g, Real* s, const double* h, Real t) {
  moments(g, s, h);
  p -= h[0] * (s[0] / (1 - std::pow(h[1], t)) / root(s[1], h, t) + h[4] * p);
}

const Truth kTruths[] = {
    {"sgd", {0.1, 0, 0}, sgd},
    {"sgd", {0.1, 0.01, 0}, sgd},
    {"sgd", {0.1, 0.01, 1}, sgd},
    {"momentum", {0.1, 0.9, 0, 0, 0, 0}, momentum},
    {"momentum", {0.1, 0.9, 0.25, 1, 0.01, 0}, momentum},
    {"rmsprop", {0.01, 0.99, 1e-8, 0, 0}, rmsprop<false, false>},
    {"rmsprop", {0.01, 0.9, 1e-3, 0.1, 1}, rmsprop<false, false>},
    {"rmsprop_momentum", {0.01, 0.9, 0.8, 1e-3, 0.1, 0}, rmsprop<false, true>},
    {"rmsprop_centered", {0.01, 0.5, 1e-3, 0.1, 0}, rmsprop<true, false>},
    {"rmsprop_centered_momentum", {0.01, 0.5, 0.8, 1e-3, 0.1, 0}, rmsprop<true, true>},
    {"adagrad", {0.1, 0.25, 1e-8, 0.1, 0}, adagrad},
    {"adadelta", {0.5, 0.9, 1e-3, 0.1, 0}, adadelta},
    {"adam", {0.01, 0.9, 0.999, 1e-8, 0, 0}, adam},
    {"adam", {0.01, 0.8, 0.99, 1e-3, 0.1, 0}, adam},
    {"adam", {0.01, 0.8, 0.99, 1e-3, 0.1, 1}, adam},
    {"adamw", {0.01, 0.9, 0.999, 1e-8, 0.1}, adamw},
    {"amsgrad", {0.01, 0.9, 0.5, 1e-8, 0.1, 0}, amsgrad},
    {"adamax", {0.01, 0.9, 0.5, 1e-3, 0.1, 0}, adamax},
    {"nadam", {0.01, 0.9, 0.999, 1e-8, 0.004, 0.1, 0}, nadam},
    {"nadam", {0.01, 0.9, 0.999, 1e-8, 0, 0.1, 1}, nadam},
    {"radam", {0.01, 0.9, 0.9, 1e-8, 0.1, 0}, radam},
    {"lion", {0.01, 0.9, 0.99, 0.1}, lion},
    {"lamb", {0.01, 0.9, 0.999, 1e-6, 0.1}, lamb},
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
    double sums[2] = {0, 0};
    if (rule.norms) rule.norms(p, gradient.data(), states, n, coefficients, sums);
    rule.update(p, gradient.data(), states, n, coefficients);
  }
}

TEST_CASE_TEMPLATE("two updates", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const Truth& truth : kTruths) {
      INFO(truth.name);
      const Rule<T>& rule = rule_called(kernels, truth.name);
      const std::vector<T> p = random_values<T>(kMostTail, 1), g = random_values<T>(kMostTail, 2);
      std::vector<T> whole_p = p, whole[kMaxStates];
      T* states[kMaxStates];
      for (int i = 0; i < kMaxStates; ++i) {
        whole[i].resize(kMostTail);
        states[i] = whole[i].data();
      }
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
        std::vector<Guarded<T>> parts(kMaxStates, Guarded<T>(std::vector<T>(n, 0)));
        T* of_parts[kMaxStates] = {};
        for (int i = 0; i < rule.states; ++i) of_parts[i] = parts[static_cast<size_t>(i)].data();
        update_twice(rule, truth, got.data(), g, of_parts, n);
        CHECK(same_bits(got.data(), whole_p.data(), n));
        CHECK(got.intact());
        for (int i = 0; i < kMaxStates; ++i) {
          if (i < rule.states) CHECK(same_bits(of_parts[i], whole[i].data(), n));
          CHECK(parts[static_cast<size_t>(i)].intact());
        }
      }
    }
  });
}

TEST_CASE_TEMPLATE("scaling and clipping come before weight decay and the rule", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    const Rule<T>& rule = rule_called(kernels, "sgd");
    const std::vector<T> p = random_values<T>(kMostTail, 1), g = random_values<T>(kMostTail, 2, -4, 4);
    for (const bool decoupled : {false, true}) {
      double c[kMaxCoefficients];
      const double hyper[] = {0.1, 0.01, decoupled ? 1.0 : 0.0};
      rule.prepare(c, hyper, 1);
      c[kScale] = 0.5;
      c[kLimit] = 0.75;
      std::vector<T> got = p;
      rule.update(got.data(), g.data(), nullptr, kMostTail, c);
      for (size_t i = 0; i < kMostTail; ++i) {
        Real want = p[i];
        sgd(want, std::clamp<Real>(g[i] * Real(0.5), -0.75, 0.75), nullptr, hyper, 1);
        check_close(got[i], want, 8 * kEpsilon<T>);
      }
    }
  });
}

TEST_CASE_TEMPLATE("sums of squares and blends", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    const std::vector<T> x = random_values<T>(3000, 3), y = random_values<T>(3000, 4);
    for (const size_t n : {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{65}, size_t{1024}, size_t{3000}}) {
      CAPTURE(n);
      Real want = 0;
      for (size_t i = 0; i < n; ++i) want += static_cast<Real>(x[i]) * x[i];
      CHECK(std::fabs(kernels.sum_squares(x.data(), n) - static_cast<double>(want)) <=
            static_cast<double>(64 * kEpsilon<T> * want));
      Guarded<T> got(std::vector<T>(y.begin(), y.begin() + static_cast<ptrdiff_t>(n)));
      kernels.blend(got.data(), x.data(), n, 0.75);
      CHECK(got.intact());
      for (size_t i = 0; i < n; ++i) check_close(got[i], Real(0.75) * y[i] + Real(0.25) * x[i], 2 * kEpsilon<T>);
    }
  });
}

}  // namespace
}  // namespace nncore
