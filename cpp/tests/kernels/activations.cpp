// Elementwise activations against their definitions, forward and backward, for every length of tail.
#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("kernels/activations");

namespace nncore {
namespace {

// An activation's definition: value and derivative at x.
struct Truth {
  const char* name;
  std::vector<double> attrs;
  Real (*value)(Real x, const double* attrs);
  Real (*derivative)(Real x, const double* attrs);
};

Real logistic(Real x) { return 1 / (1 + std::exp(-x)); }
Real normal_density(Real x) { return std::exp(-x * x / 2) * 0.398942280401432677939946L; }
Real normal_distribution(Real x) { return std::erfc(-x * 0.707106781186547524400844L) / 2; }
Real gelu_argument(Real x) { return 1.59576912160573071176L * (x + 0.044715L * x * x * x); }

Real gelu(Real x, const double* attrs) {
  return attrs[0] == 0 ? x * normal_distribution(x) : x * logistic(gelu_argument(x));
}
Real gelu_derivative(Real x, const double* attrs) {
  if (attrs[0] == 0) return normal_distribution(x) + x * normal_density(x);
  const Real s = logistic(gelu_argument(x));
  return s + x * s * (1 - s) * 1.59576912160573071176L * (1 + 3 * 0.044715L * x * x);
}
Real elu(Real x, const double* attrs) { return x <= 0 ? static_cast<Real>(attrs[0]) * std::expm1(x) : x; }
Real elu_derivative(Real x, const double* attrs) { return x <= 0 ? static_cast<Real>(attrs[0]) * std::exp(x) : 1; }
Real clamp(Real x, Real low, Real high) { return x != x ? x : x < low ? low : x > high ? high : x; }
Real celu(Real x, const double* attrs) {
  const Real a = static_cast<Real>(attrs[0]);
  return x <= 0 ? a * std::expm1(x / a) : x;
}
Real log1p_exp(Real x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }
Real softplus(Real x, const double* attrs) {
  const Real u = static_cast<Real>(attrs[0]) * x;
  return u > static_cast<Real>(attrs[1]) ? x : (x != x ? x : log1p_exp(u) / static_cast<Real>(attrs[0]));
}
Real mish(Real x) { return x * std::tanh(log1p_exp(x)); }
Real mish_derivative(Real x) {
  const Real t = std::tanh(log1p_exp(x));
  return t + x * (1 - t * t) * logistic(x);
}
constexpr Real kSelu = 1.0507009873554804934193349852946L, kSeluAlpha = 1.7580993408473768599402175208123L;

const std::vector<Truth>& truths() {
  static const std::vector<Truth> all = {
      {"identity", {}, [](Real x, const double*) { return x; }, [](Real, const double*) { return Real(1); }},
      {"relu", {}, [](Real x, const double*) { return x > 0 ? x : 0; }, [](Real x, const double*) { return Real(x > 0); }},
      {"leaky_relu",
       {0.25},
       [](Real x, const double* attrs) { return x > 0 ? x : x * static_cast<Real>(attrs[0]); },
       [](Real x, const double* attrs) { return x > 0 ? 1 : static_cast<Real>(attrs[0]); }},
      {"step",
       {},
       [](Real x, const double*) { return x != x ? x : Real(x >= 0); },
       [](Real, const double*) { return Real(0); }},
      {"relu6",
       {},
       [](Real x, const double*) { return clamp(x, 0, 6); },
       [](Real x, const double*) { return Real(x > 0 && x < 6); }},
      {"hard_tanh",
       {-1.5, 2},
       [](Real x, const double* attrs) { return clamp(x, static_cast<Real>(attrs[0]), static_cast<Real>(attrs[1])); },
       [](Real x, const double* attrs) {
         return Real(x > static_cast<Real>(attrs[0]) && x < static_cast<Real>(attrs[1]));
       }},
      {"hard_sigmoid",
       {},
       [](Real x, const double*) { return clamp(x + 3, 0, 6) / 6; },
       [](Real x, const double*) { return std::fabs(x) < 3 ? 1 / Real(6) : 0; }},
      {"hard_swish",
       {},
       [](Real x, const double*) { return x * clamp(x + 3, 0, 6) / 6; },
       [](Real x, const double*) { return x <= -3  ? 0
                                          : x >= 3 ? 1
                                                   : x / 3 + Real(0.5); }},
      {"softsign",
       {},
       [](Real x, const double*) { return std::isinf(x) ? std::copysign(Real(1), x) : x / (1 + std::fabs(x)); },
       [](Real x, const double*) { return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x))); }},
      {"selu",
       {},
       [](Real x, const double*) { return x <= 0 ? kSeluAlpha * std::expm1(x) : kSelu * x; },
       [](Real x, const double*) { return x <= 0 ? kSeluAlpha * std::exp(x) : kSelu; }},
      {"celu",
       {0.75},
       celu,
       [](Real x, const double* attrs) { return x <= 0 ? std::exp(x / static_cast<Real>(attrs[0])) : 1; }},
      {"silu",
       {},
       [](Real x, const double*) { return x * logistic(x); },
       [](Real x, const double*) { return logistic(x) * (1 + x * logistic(-x)); }},
      {"mish", {}, [](Real x, const double*) { return mish(x); }, [](Real x, const double*) { return mish_derivative(x); }},
      {"softplus",
       {0.5, 2},
       softplus,
       [](Real x, const double* attrs) {
         const Real u = static_cast<Real>(attrs[0]) * x;
         return u > static_cast<Real>(attrs[1]) ? 1 : logistic(u);
       }},
      {"log_sigmoid",
       {},
       [](Real x, const double*) { return -log1p_exp(-x); },
       [](Real x, const double*) { return logistic(-x); }},
      {"elu", {1.0}, elu, elu_derivative},
      {"elu", {0.5}, elu, elu_derivative},
      {"gelu", {0}, gelu, gelu_derivative},
      {"gelu", {1}, gelu, gelu_derivative},
      {"sigmoid",
       {},
       [](Real x, const double*) { return logistic(x); },
       [](Real x, const double*) { return logistic(x) * logistic(-x); }},
      {"tanh",
       {},
       [](Real x, const double*) { return std::tanh(x); },
       [](Real x, const double*) { return 1 - std::tanh(x) * std::tanh(x); }},
      {"rescaling",
       {0.5, -3},
       [](Real x, const double* attrs) { return x * static_cast<Real>(attrs[0]) + static_cast<Real>(attrs[1]); },
       [](Real, const double* attrs) { return static_cast<Real>(attrs[0]); }},
  };
  return all;
}

template <class T>
const Activation<T>& activation(const Kernels<T>& kernels, const char* name) {
  for (int i = 0; i < kernels.activation_count; ++i)
    if (std::strcmp(kernels.activations[i].name, name) == 0) return kernels.activations[i];
  FAIL("no activation ", name);
  return kernels.activations[0];
}

TEST_CASE_TEMPLATE("each activation of the table has a truth here", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (int i = 0; i < kernels.activation_count; ++i) {
      const std::string name = kernels.activations[i].name;
      CAPTURE(name);
      CHECK(std::any_of(truths().begin(), truths().end(), [&](const Truth& truth) { return truth.name == name; }));
    }
  });
}

TEST_CASE_TEMPLATE("forward and backward", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const Truth& truth : truths()) {
      INFO(truth.name);
      const Activation<T>& f = activation(kernels, truth.name);
      const double* attrs = truth.attrs.data();
      std::vector<T> x = random_values<T>(kMostTail, 1, -6, 6), dy = random_values<T>(kMostTail, 2, -2, 2), y(kMostTail);
      x[0] = x[20] = x[kMostTail - 1] = 0;
      std::vector<T> whole_y(kMostTail), whole_dx(kMostTail);
      f.forward(whole_y.data(), x.data(), kMostTail, attrs);
      for (size_t j = 0; j < kMostTail; ++j) {
        CAPTURE(x[j]);
        const Real want = truth.value(x[j], attrs);
        check_close(whole_y[j], want, 32 * kEpsilon<T> * std::max(std::fabs(want), Real(0.125)));
        y[j] = static_cast<T>(want);
      }
      f.backward(whole_dx.data(), x.data(), y.data(), dy.data(), kMostTail, attrs);
      for (size_t j = 0; j < kMostTail; ++j) {
        CAPTURE(x[j]);
        check_close(whole_dx[j], truth.derivative(x[j], attrs) * dy[j],
                    32 * kEpsilon<T> * std::fabs(static_cast<Real>(dy[j])));
      }

      // The bits of an element depend on nothing but itself: neither on its place nor on the length.
      for (size_t n = 0; n <= kMostTail; ++n) {
        CAPTURE(n);
        const std::vector<T> head_x(x.begin(), x.begin() + n), head_y(y.begin(), y.begin() + n),
            head_dy(dy.begin(), dy.begin() + n);
        Guarded<T> apart(n), in_place(head_x), gradient_apart(n), gradient_in_place(head_dy);
        f.forward(apart.data(), head_x.data(), n, attrs);
        f.forward(in_place.data(), in_place.data(), n, attrs);
        f.backward(gradient_apart.data(), head_x.data(), head_y.data(), head_dy.data(), n, attrs);
        f.backward(gradient_in_place.data(), head_x.data(), head_y.data(), gradient_in_place.data(), n, attrs);
        for (Guarded<T>* got : {&apart, &in_place}) CHECK(same_bits(got->data(), whole_y.data(), n));
        for (Guarded<T>* got : {&gradient_apart, &gradient_in_place}) CHECK(same_bits(got->data(), whole_dx.data(), n));
        for (Guarded<T>* got : {&apart, &in_place, &gradient_apart, &gradient_in_place}) CHECK(got->intact());
      }
    }
  });
}

TEST_CASE_TEMPLATE("backward reads no more than it says", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    const std::vector<T> x = random_values<T>(kMostTail, 1), dy = random_values<T>(kMostTail, 2);
    for (const Truth& truth : truths()) {
      INFO(truth.name);
      const Activation<T>& f = activation(kernels, truth.name);
      std::vector<T> y(kMostTail), want(kMostTail), got(kMostTail);
      f.forward(y.data(), x.data(), kMostTail, truth.attrs.data());
      f.backward(want.data(), x.data(), y.data(), dy.data(), kMostTail, truth.attrs.data());
      f.backward(got.data(), f.backward_reads_x ? x.data() : nullptr, f.backward_reads_y ? y.data() : nullptr, dy.data(),
                 kMostTail, truth.attrs.data());
      CHECK(same_bits(got, want));
    }
  });
}

TEST_CASE_TEMPLATE("infinities and NaN", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const std::vector<T> x = {std::numeric_limits<T>::quiet_NaN(), infinity, -infinity};
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const Truth& truth : truths()) {
      INFO(truth.name);
      T y[3];
      activation(kernels, truth.name).forward(y, x.data(), 3, truth.attrs.data());
      CHECK(std::isnan(y[0]));
      check_close(y[1], truth.value(infinity, truth.attrs.data()), kEpsilon<T>);
      const Real limit = truth.value(-infinity, truth.attrs.data());
      check_close(y[2], std::isnan(limit) ? 0 : limit, kEpsilon<T>);  // x times something has -inf * 0
    }
  });
}

}  // namespace
}  // namespace nncore
