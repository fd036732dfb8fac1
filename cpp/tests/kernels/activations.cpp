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

const std::vector<Truth>& truths() {
  static const std::vector<Truth> all = {
      {"identity", {}, [](Real x, const double*) { return x; }, [](Real, const double*) { return Real(1); }},
      {"relu", {}, [](Real x, const double*) { return x > 0 ? x : 0; }, [](Real x, const double*) { return Real(x > 0); }},
      {"leaky_relu",
       {0.25},
       [](Real x, const double* attrs) { return x > 0 ? x : x * static_cast<Real>(attrs[0]); },
       [](Real x, const double* attrs) { return x > 0 ? 1 : static_cast<Real>(attrs[0]); }},
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
      if (std::strcmp(truth.name, "gelu") != 0)  // -inf * 0
        check_close(y[2], truth.value(-infinity, truth.attrs.data()), kEpsilon<T>);
    }
  });
}

}  // namespace
}  // namespace nncore
