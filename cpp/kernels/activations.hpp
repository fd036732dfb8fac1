// Elementwise activations, each a functor with forward beside backward; included after math.hpp.
//
// To add one: write its functor and name it in the list at the end.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

template <class V>
struct Identity {
  static constexpr const char* kName = "identity";
  static constexpr bool kReadsX = false, kReadsY = false;
  explicit Identity(const double*) {}
  V forward(V x) const { return x; }
  V backward(V, V, V dy) const { return dy; }
};

template <class V>
struct Relu {
  static constexpr const char* kName = "relu";
  static constexpr bool kReadsX = false, kReadsY = true;
  explicit Relu(const double*) {}
  V forward(V x) const { return select(x <= V::set1(0), V::set1(0), x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), V::set1(0), dy); }
};

template <class V>
struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  static constexpr bool kReadsX = false, kReadsY = true;
  V slope;
  explicit LeakyRelu(const double* attrs) : slope(V::set1(static_cast<typename V::T>(attrs[0]))) {}
  V forward(V x) const { return select(x <= V::set1(0), slope * x, x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), slope * dy, dy); }
};

template <class V>
struct Elu {
  static constexpr const char* kName = "elu";
  static constexpr bool kReadsX = false, kReadsY = true;
  V alpha;
  explicit Elu(const double* attrs) : alpha(V::set1(static_cast<typename V::T>(attrs[0]))) {}
  V forward(V x) const { return select(x <= V::set1(0), alpha * expm1(min(V::set1(0), x)), x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), dy * (y + alpha), dy); }
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
    if (by_tanh) return x * sigmoid(twice_u(x));
    return x * normal_cdf(x, exp_half_square(x));
  }
  V backward(V x, V, V dy) const {
    if (by_tanh) {
      const V s = sigmoid(twice_u(x));
      const V du = V::set1(1.59576912160573071176) * fma(V::set1(3 * 0.044715) * x, x, V::set1(1));
      return dy * fma(x * du, s * (V::set1(1) - s), s);
    }
    const V gauss = exp_half_square(x);
    return dy * fma(V::set1(0.39894228040143267794) * x, gauss, normal_cdf(x, gauss));
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

template <class V>
struct Tanh {
  static constexpr const char* kName = "tanh";
  static constexpr bool kReadsX = false, kReadsY = true;
  explicit Tanh(const double*) {}
  V forward(V x) const { return tanh(x); }
  V backward(V, V y, V dy) const { return dy * fnma(y, y, V::set1(1)); }
};

template <class V>
struct Rescaling {
  static constexpr const char* kName = "rescaling";
  static constexpr bool kReadsX = false, kReadsY = false;
  V scale, offset;
  explicit Rescaling(const double* attrs)
      : scale(V::set1(static_cast<typename V::T>(attrs[0]))), offset(V::set1(static_cast<typename V::T>(attrs[1]))) {}
  V forward(V x) const { return x * scale + offset; }
  V backward(V, V, V dy) const { return dy * scale; }
};

template <class V, template <class> class F>
void activation_forward(typename V::T* y, const typename V::T* x, size_t n, const double* attrs) {
  const F<V> f(attrs);
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) f.forward(V::load(x + i)).store(y + i);
  if (i < n) f.forward(V::load(x + i, n - i)).store(y + i, n - i);
}

template <class V, template <class> class F>
void activation_backward(typename V::T* dx, const typename V::T* x, const typename V::T* y, const typename V::T* dy,
                         size_t n, const double* attrs) {
  const F<V> f(attrs);
  const V zero = V::set1(0);
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const V xi = F<V>::kReadsX ? V::load(x + i) : zero;
    const V yi = F<V>::kReadsY ? V::load(y + i) : zero;
    f.backward(xi, yi, V::load(dy + i)).store(dx + i);
  }
  if (i < n) {
    const V xi = F<V>::kReadsX ? V::load(x + i, n - i) : zero;
    const V yi = F<V>::kReadsY ? V::load(y + i, n - i) : zero;
    f.backward(xi, yi, V::load(dy + i, n - i)).store(dx + i, n - i);
  }
}

template <class V, template <class> class... F>
void fill_activations_with(Kernels<typename V::T>& k) {
  const Activation<typename V::T> rows[] = {
      {F<V>::kName, F<V>::kReadsX, F<V>::kReadsY, activation_forward<V, F>, activation_backward<V, F>}...};
  static_assert(sizeof...(F) <= kMaxActivations, "raise kMaxActivations");
  for (const auto& row : rows) k.activations[k.activation_count++] = row;
}

template <class V>
void fill_activations(Kernels<typename V::T>& k) {
  k.activation_count = 0;
  fill_activations_with<V, Identity, Relu, LeakyRelu, Elu, Gelu, Sigmoid, Tanh, Rescaling>(k);
}

}  // namespace
}  // namespace nncore
