// Activations made of exponentials, each a functor with forward beside backward; included after math.hpp.
//
// Each holds for every x: exponentials are taken of numbers that are not positive, so none overflows, and an infinity gives
// the limit.
#pragma once

namespace nncore {
namespace {

template <class V>
struct Elu {
  static constexpr const char* kName = "elu";
  static constexpr bool kReadsX = false, kReadsY = true;
  V alpha;
  explicit Elu(const double* attrs) : alpha(V::set1(static_cast<typename V::T>(attrs[0]))) {}
  V forward(V x) const { return select(x <= V::set1(0), alpha * expm1(min(V::set1(0), x)), x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), dy * (y + alpha), dy); }
};

// An elu with fixed numbers, made such that mean 0 and variance 1 are a fixed point.
template <class V>
struct Selu {
  static constexpr const char* kName = "selu";
  static constexpr bool kReadsX = false, kReadsY = true;
  V scale = V::set1(1.05070098735548049342), alpha = V::set1(1.75809934084737685994);  // alpha * scale
  explicit Selu(const double*) {}
  V forward(V x) const { return select(x <= V::set1(0), alpha * expm1(min(V::set1(0), x)), scale * x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), dy * (y + alpha), dy * scale); }
};

template <class V>
struct Celu {
  static constexpr const char* kName = "celu";
  static constexpr bool kReadsX = false, kReadsY = true;
  V alpha, inverse;
  explicit Celu(const double* attrs)
      : alpha(V::set1(static_cast<typename V::T>(attrs[0]))), inverse(V::set1(static_cast<typename V::T>(1 / attrs[0]))) {}
  V forward(V x) const { return select(x < V::set1(0), alpha * expm1(min(V::set1(0), x * inverse)), x); }
  V backward(V, V y, V dy) const { return select(y < V::set1(0), dy * fma(y, inverse, V::set1(1)), dy); }
};

// x Phi(x), or its tanh form x sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3).
template <class V>
struct Gelu {
  static constexpr const char* kName = "gelu";
  static constexpr bool kReadsX = true, kReadsY = false;
  bool by_tanh;
  explicit Gelu(const double* attrs) : by_tanh(attrs[0] != 0) {}

  static V twice_u(V x) { return V::set1(1.59576912160573071176) * (x * fma(V::set1(0.044715) * x, x, V::set1(1))); }
  V forward(V x) const {
    if (by_tanh) return lift(x) * sigmoid(twice_u(x));
    const V a = normal_argument(x);  // x Phi(x) = max(x, 0) - |x| Phi(-|x|)
    return fnma(a * normal_tail(a), exp_half_square(a), max(V::set1(0), x));
  }
  V backward(V x, V, V dy) const {
    if (by_tanh) {
      x = min(V::set1(100), max(V::set1(-100), x));  // the slope is 0 or 1 long before, and no power of x overflows
      const V s = sigmoid(twice_u(x));
      const V du = V::set1(1.59576912160573071176) * fma(V::set1(3 * 0.044715) * x, x, V::set1(1));
      return dy * fma(x * du, s * (V::set1(1) - s), s);
    }
    const V a = normal_argument(x), gauss = exp_half_square(a), tail = normal_tail(a) * gauss;
    const V cdf = select(x <= V::set1(0), tail, V::set1(1) - tail);
    return dy * fma(V::set1(0.39894228040143267794) * copysign(a, x), gauss, cdf);
  }
};

// x sigmoid(x)
template <class V>
struct Silu {
  static constexpr const char* kName = "silu";
  static constexpr bool kReadsX = true, kReadsY = false;
  explicit Silu(const double*) {}
  V forward(V x) const { return lift(x) * sigmoid(x); }
  V backward(V x, V, V dy) const {
    V s, rest;
    sigmoids(x, s, rest);
    return dy * (s * fma(finite(x), rest, V::set1(1)));
  }
};

// x tanh(log(1 + exp(x))) = x n / d, where with e = exp(-|x|)
//   n = e (e + 2), d = n + 2 for negative x, and n = 1 + 2 e, d = n + 2 e^2 otherwise.
template <class V>
struct Mish {
  static constexpr const char* kName = "mish";
  static constexpr bool kReadsX = true, kReadsY = false;
  explicit Mish(const double*) {}
  V forward(V x) const {
    V e, n, d;
    parts(x, e, n, d);
    return lift(x) * (n / d);
  }
  // n / d + x 4 (1 + e) (e or e^2) / d^2
  V backward(V x, V, V dy) const {
    V e, n, d;
    parts(x, e, n, d);
    const V r = V::set1(1) / d;
    const V power = select(x < V::set1(0), e, e * e);
    const V slope = V::set1(4) * (power * fma(e, r, r)) * r;
    return dy * fma(finite(x), slope, n * r);
  }

 private:
  static void parts(V x, V& e, V& n, V& d) {
    e = exp_down(V::set1(0) - abs(x));
    const auto negative = x < V::set1(0);
    n = select(negative, e * (e + V::set1(2)), fma(V::set1(2), e, V::set1(1)));
    d = n + select(negative, V::set1(2), V::set1(2) * (e * e));
  }
};

template <class V>
struct Sigmoid {
  static constexpr const char* kName = "sigmoid";
  static constexpr bool kReadsX = false, kReadsY = true;
  explicit Sigmoid(const double*) {}
  V forward(V x) const { return sigmoid(x); }
  V backward(V, V y, V dy) const { return dy * (y * (V::set1(1) - y)); }
};

// min(x, 0) - log(1 + exp(-|x|)); its slope is 1 - exp(y).
template <class V>
struct LogSigmoid {
  static constexpr const char* kName = "log_sigmoid";
  static constexpr bool kReadsX = false, kReadsY = true;
  explicit LogSigmoid(const double*) {}
  V forward(V x) const { return min(V::set1(0), x) - log1p_reduced(exp_down(V::set1(0) - abs(x))); }
  V backward(V, V y, V dy) const { return dy * (V::set1(0) - expm1(y)); }
};

// log(1 + exp(beta x)) / beta, or x where beta x is above the threshold.
template <class V>
struct Softplus {
  static constexpr const char* kName = "softplus";
  static constexpr bool kReadsX = true, kReadsY = false;
  V beta, inverse, threshold;
  explicit Softplus(const double* attrs)
      : beta(V::set1(static_cast<typename V::T>(attrs[0]))),
        inverse(V::set1(static_cast<typename V::T>(1 / attrs[0]))),
        threshold(V::set1(static_cast<typename V::T>(attrs[1]))) {}
  V forward(V x) const {
    const V u = beta * x;
    const V bent = (max(V::set1(0), u) + log1p_reduced(exp_down(V::set1(0) - abs(u)))) * inverse;
    return select(threshold < u, x, bent);
  }
  V backward(V x, V, V dy) const {
    const V u = beta * x;
    return select(threshold < u, dy, dy * sigmoid(u));
  }
};

template <class V>
struct Tanh {
  static constexpr const char* kName = "tanh";
  static constexpr bool kReadsX = false, kReadsY = true;
  explicit Tanh(const double*) {}
  V forward(V x) const { return tanh(x); }
  V backward(V, V y, V dy) const { return dy * fnma(y, y, V::set1(1)); }
};

}  // namespace
}  // namespace nncore
