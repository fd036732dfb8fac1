// Every elementwise loss against its definition: values, row sums and gradients, for every length of tail.
#include <algorithm>
#include <functional>

#include "losses.hpp"

TEST_SUITE_BEGIN("kernels/losses_elementwise");

namespace nncore {
namespace {

// A loss's definition: value and derivative in p, with attributes, and what the column's array options hold.
struct Truth {
  const char* name;
  std::vector<double> attrs;  // in the order of the op table's row, the reduction first
  size_t arrays;              // how many array options it is tried with
  double low, high;           // of predictions
  std::function<Real(Real p, Real t, const double* a, const Real* w)> value, derivative;
};

Real log1p_exp(Real x) { return std::fmax(x, Real(0)) + std::log1p(std::exp(-std::fabs(x))); }
Real logistic(Real x) { return 1 / (1 + std::exp(-x)); }
Real sign(Real t) { return t > 0 ? 1 : -1; }
Real side(Real x) { return Real(x > 0) - Real(x < 0); }

Real focal(Real p, Real t, const double* a, const Real*) {
  const Real up = logistic(p), u = up * (1 - t) + (1 - up) * t, alpha = static_cast<Real>(a[1]);
  const Real weight = alpha < 0 ? 1 : alpha * t + (1 - alpha) * (1 - t);
  return weight * std::pow(u, static_cast<Real>(a[2])) * (log1p_exp(p) - p * t);
}
// d u / d p = up (1 - up) (1 - 2 t)
Real focal_derivative(Real p, Real t, const double* a, const Real*) {
  const Real up = logistic(p), u = up * (1 - t) + (1 - up) * t, alpha = static_cast<Real>(a[1]);
  const Real weight = alpha < 0 ? 1 : alpha * t + (1 - alpha) * (1 - t), gamma = static_cast<Real>(a[2]);
  return weight * (gamma * std::pow(u, gamma - 1) * up * (1 - up) * (1 - 2 * t) * (log1p_exp(p) - p * t) +
                   std::pow(u, gamma) * (up - t));
}

const std::vector<Truth>& truths() {
  using A = const double*;
  using W = const Real*;
  static const std::vector<Truth> all = {
      {"mse",
       {0},
       0,
       -3,
       3,
       [](Real p, Real t, A, W) { return (p - t) * (p - t); },
       [](Real p, Real t, A, W) { return 2 * (p - t); }},
      {"mae",
       {0},
       0,
       -3,
       3,
       [](Real p, Real t, A, W) { return std::fabs(p - t); },
       [](Real p, Real t, A, W) { return side(p - t); }},
      {"huber",
       {0, 0.75},
       0,
       -3,
       3,
       [](Real p, Real t, A a, W) {
         const Real d = std::fabs(p - t), delta = static_cast<Real>(a[1]);
         return d <= delta ? d * d / 2 : delta * (d - delta / 2);
       },
       [](Real p, Real t, A a, W) {
         const Real delta = static_cast<Real>(a[1]);
         return std::fmax(-delta, std::fmin(delta, p - t));
       }},
      {"smooth_l1",
       {0, 0.5},
       0,
       -3,
       3,
       [](Real p, Real t, A a, W) {
         const Real d = std::fabs(p - t), beta = static_cast<Real>(a[1]);
         return d < beta ? d * d / 2 / beta : d - beta / 2;
       },
       [](Real p, Real t, A a, W) { return std::fmax(Real(-1), std::fmin(Real(1), (p - t) / static_cast<Real>(a[1]))); }},
      {"log_cosh",
       {0},
       0,
       -3,
       3,
       [](Real p, Real t, A, W) { return std::log(std::cosh(p - t)); },
       [](Real p, Real t, A, W) { return std::tanh(p - t); }},
      {"quantile",
       {0},
       1,
       -3,
       3,
       [](Real p, Real t, A, W w) { return std::fmax(w[0] * (t - p), (w[0] - 1) * (t - p)); },
       [](Real p, Real t, A, W w) { return p == t  ? 0
                                           : p < t ? -w[0]
                                                   : 1 - w[0]; }},
      {"poisson",
       {0, 1, 0, 1e-8},
       0,
       -3,
       3,
       [](Real p, Real t, A, W) { return std::exp(p) - t * p; },
       [](Real p, Real t, A, W) { return std::exp(p) - t; }},
      {"poisson",
       {0, 0, 1, 0.25},
       0,
       0.5,
       3,
       [](Real p, Real t, A a, W) {
         const Real stirling = t > 1 ? t * std::log(t) - t + std::log(2 * 3.14159265358979323846264L * t) / 2 : 0;
         return p - t * std::log(p + static_cast<Real>(a[3])) + stirling;
       },
       [](Real p, Real t, A a, W) { return 1 - t / (p + static_cast<Real>(a[3])); }},
      {"kl_div",
       {0, 0},
       0,
       -3,
       0,
       [](Real p, Real t, A, W) { return t == 0 ? 0 : t * (std::log(t) - p); },
       [](Real, Real t, A, W) { return -t; }},
      {"kl_div",
       {0, 1},
       0,
       -3,
       0,
       [](Real p, Real t, A, W) { return std::exp(t) * (t - p); },
       [](Real, Real t, A, W) { return -std::exp(t); }},
      {"hinge",
       {0},
       0,
       -3,
       3,
       [](Real p, Real t, A, W) { return std::fmax(Real(0), 1 - sign(t) * p); },
       [](Real p, Real t, A, W) { return sign(t) * p < 1 ? -sign(t) : 0; }},
      {"squared_hinge",
       {0},
       0,
       -3,
       3,
       [](Real p, Real t, A, W) { return std::pow(std::fmax(Real(0), 1 - sign(t) * p), 2); },
       [](Real p, Real t, A, W) { return -2 * sign(t) * std::fmax(Real(0), 1 - sign(t) * p); }},
      {"bce",
       {0},
       1,
       0.05,
       0.95,
       [](Real p, Real t, A, W w) { return -w[0] * (t * std::log(p) + (1 - t) * std::log1p(-p)); },
       [](Real p, Real t, A, W w) { return w[0] * (p - t) / (p * (1 - p)); }},
      {"bce_with_logits",
       {0},
       2,
       -3,
       3,
       [](Real p, Real t, A, W w) { return w[0] * (w[1] * t * log1p_exp(-p) + (1 - t) * log1p_exp(p)); },
       [](Real p, Real t, A, W w) { return w[0] * ((1 - t) * logistic(p) - w[1] * t * logistic(-p)); }},
      {"focal", {0, 0.25, 2}, 0, -3, 3, focal, focal_derivative},
      {"focal", {0, -1, 1.5}, 0, -3, 3, focal, focal_derivative},
  };
  return all;
}

TEST_CASE_TEMPLATE("each elementwise loss of the table has a truth here", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (int i = 0; i < kernels.loss_count; ++i) {
      const Loss<T>& found = kernels.losses[i];
      const bool known =
          std::any_of(truths().begin(), truths().end(), [&](const Truth& t) { return found.name == std::string(t.name); });
      CAPTURE(found.name);
      CHECK(known == (found.parts == LossParts::kElements));
    }
  });
}

TEST_CASE_TEMPLATE("values, sums and gradients", T, float, double) {
  constexpr T scale = static_cast<T>(0.75);
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const Truth& truth : truths())
      for (size_t n = 1; n <= kMostTail; ++n) {
        CAPTURE(truth.name);
        CAPTURE(n);
        Samples<T> rows(n, 1);
        rows.pred = random_values<T>(rows.pred.size(), n, truth.low, truth.high);
        const std::vector<T> weights = random_values<T>(2 * n, 77, 0.25, 0.75);
        Results<T> results(n);
        LossArgs<T> args = arguments(rows, results, false, true, true, scale);
        args.attrs = truth.attrs.data();
        for (size_t i = 0; i < truth.arrays; ++i) args.arrays[i] = weights.data() + i * n;
        loss(kernels, truth.name).run(args);
        results.check_guards();
        for (size_t r = 0; r < kRows; ++r) {
          Real sum = 0, magnitude = 0;
          for (size_t j = 0; j < n; ++j) {
            const Real w[] = {weights[j], weights[n + j]}, p = rows.p(r, j), t = rows.t(r, j);
            const Real value = truth.value(p, t, truth.attrs.data(), w);
            const Real slope = truth.derivative(p, t, truth.attrs.data(), w);
            check_close(results.values[r * n + j], value, 16 * kEpsilon<T> * std::max(std::fabs(value), Real(4)));
            check_close(results.d(r, j), slope * scale, 16 * kEpsilon<T> * std::max(std::fabs(slope), Real(4)));
            sum += results.values[r * n + j];
            magnitude += std::fabs(static_cast<Real>(results.values[r * n + j]));
          }
          check_close(results.row_loss[r], sum, static_cast<Real>(n) * kEpsilon<double> * magnitude);
        }
      }
  });
}

TEST_CASE_TEMPLATE("a row without a share has no gradient, whatever its loss is", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const Truth& truth : truths()) {
      CAPTURE(truth.name);
      constexpr size_t n = 7;
      Samples<T> rows(n, 1);
      for (size_t j = 0; j < n; ++j) rows.pred[j] = std::numeric_limits<T>::infinity();
      const std::vector<T> shares = {0, 1, 0};
      Results<T> results(n);
      LossArgs<T> args = arguments(rows, results, false, false, true, T(1));
      args.attrs = truth.attrs.data();
      args.row_scale = shares.data();
      loss(kernels, truth.name).run(args);
      for (const size_t r : {0, 2})
        for (size_t j = 0; j < n; ++j) CHECK(results.d(r, j) == 0);
    }
  });
}

}  // namespace
}  // namespace nncore
