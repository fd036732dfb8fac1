// Elementwise activations as kernels on arrays; the functors are in piecewise.hpp and smooth.hpp.
//
// To add one: write its functor there and name it in the list at the end.
#pragma once
#include "kernel_table.hpp"
#include "piecewise.hpp"
#include "smooth.hpp"

namespace nncore {
namespace {

template <class V, template <class> class F>
void activation_forward(typename V::T* y, const typename V::T* x, size_t n, const double* attrs) {
  using W = Twice<V>;
  const F<V> f(attrs);
  const F<W> f2(attrs);
  size_t i = 0;
  for (; i + W::kLanes <= n; i += W::kLanes) f2.forward(W::load(x + i)).store(y + i);
  for (; i + V::kLanes <= n; i += V::kLanes) f.forward(V::load(x + i)).store(y + i);
  if (i < n) f.forward(V::load(x + i, n - i)).store(y + i, n - i);
}

template <class V, template <class> class F>
void activation_backward(typename V::T* dx, const typename V::T* x, const typename V::T* y, const typename V::T* dy,
                         size_t n, const double* attrs) {
  using W = Twice<V>;
  const F<V> f(attrs);
  const F<W> f2(attrs);
  const V zero = V::set1(0);
  const W zero2 = W::set1(0);
  size_t i = 0;
  for (; i + W::kLanes <= n; i += W::kLanes) {
    const W xi = F<V>::kReadsX ? W::load(x + i) : zero2;
    const W yi = F<V>::kReadsY ? W::load(y + i) : zero2;
    f2.backward(xi, yi, W::load(dy + i)).store(dx + i);
  }
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
  fill_activations_with<V, Identity, Step, Relu, Relu6, LeakyRelu, HardTanh, HardSigmoid, HardSwish, Softsign, Rescaling,
                        Elu, Selu, Celu, Gelu, Silu, Mish, Sigmoid, LogSigmoid, Softplus, Tanh>(k);
}

}  // namespace
}  // namespace nncore
