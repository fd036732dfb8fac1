// Elementwise activations as kernels on arrays; the functors are in piecewise.hpp and smooth.hpp.
//
// To add one: write its functor there and name it in the list at the end.
#pragma once
#include "kernel_table.hpp"
#include "piecewise.hpp"
#include "smooth.hpp"

namespace nncore {
namespace {

// y[i] = f at i, for n elements: f.at<U>(i) gives a vector of type U, f.part(i, lanes) the first lanes of one. `apart`: y
// is none of what f reads.
template <class V, class F>
void map_elements(typename V::T* y, size_t n, bool apart, const F& f) {
  using T = typename V::T;
  using W = Twice<V>;
  constexpr size_t kFarBytes = 16u << 20, kLine = 64;
  size_t i = 0;
  const auto address = reinterpret_cast<uintptr_t>(y);
  if (n * sizeof(T) >= kFarBytes && apart && address % sizeof(T) == 0) {
    // What is larger than a cache is written past it: then the old content need not be read.
    const size_t first = (kLine - address % kLine) % kLine / sizeof(T);
    for (; i + V::kLanes <= first; i += V::kLanes) f.template at<V>(i).store(y + i);
    if (i < first) f.part(i, first - i).store(y + i, first - i);
    for (i = first; i + W::kLanes <= n; i += W::kLanes) f.template at<W>(i).stream(y + i);
    end_streaming();
  }
  for (; i + W::kLanes <= n; i += W::kLanes) f.template at<W>(i).store(y + i);
  for (; i + V::kLanes <= n; i += V::kLanes) f.template at<V>(i).store(y + i);
  if (i < n) f.part(i, n - i).store(y + i, n - i);
}

template <class V, template <class> class F>
struct ForwardOf {
  const typename V::T* x;
  F<V> f;
  F<Twice<V>> f2;
  ForwardOf(const typename V::T* from, const double* attrs) : x(from), f(attrs), f2(attrs) {}
  V apply(V v) const { return f.forward(v); }
  Twice<V> apply(Twice<V> v) const { return f2.forward(v); }
  template <class U>
  U at(size_t i) const {
    return apply(U::load(x + i));
  }
  V part(size_t i, size_t lanes) const { return f.forward(V::load(x + i, lanes)); }
};

template <class V, template <class> class F>
struct BackwardOf {
  using T = typename V::T;
  const T *x, *y, *dy;
  F<V> f;
  F<Twice<V>> f2;
  BackwardOf(const T* x_from, const T* y_from, const T* dy_from, const double* attrs)
      : x(x_from), y(y_from), dy(dy_from), f(attrs), f2(attrs) {}
  V apply(V xi, V yi, V dyi) const { return f.backward(xi, yi, dyi); }
  Twice<V> apply(Twice<V> xi, Twice<V> yi, Twice<V> dyi) const { return f2.backward(xi, yi, dyi); }
  template <class U>
  U at(size_t i) const {
    return apply(F<V>::kReadsX ? U::load(x + i) : U::set1(0), F<V>::kReadsY ? U::load(y + i) : U::set1(0), U::load(dy + i));
  }
  V part(size_t i, size_t lanes) const {
    const V zero = V::set1(0);
    return f.backward(F<V>::kReadsX ? V::load(x + i, lanes) : zero, F<V>::kReadsY ? V::load(y + i, lanes) : zero,
                      V::load(dy + i, lanes));
  }
};

template <class V, template <class> class F>
void activation_forward(typename V::T* y, const typename V::T* x, size_t n, const double* attrs) {
  map_elements<V>(y, n, y != x, ForwardOf<V, F>(x, attrs));
}

template <class V, template <class> class F>
void activation_backward(typename V::T* dx, const typename V::T* x, const typename V::T* y, const typename V::T* dy,
                         size_t n, const double* attrs) {
  map_elements<V>(dx, n, dx != x && dx != y && dx != dy, BackwardOf<V, F>(x, y, dy, attrs));
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
