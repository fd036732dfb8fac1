// Rectifiers whose slope below zero is not one number: learned (prelu) or drawn (rrelu); included after random.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

template <class V>
inline V slopes_at(const typename V::T* alpha, bool shared, size_t j, size_t lanes) {
  return shared ? V::set1(alpha[0]) : load_lanes<V>(alpha + j, lanes);
}

template <class V>
void prelu(typename V::T* y, const typename V::T* x, const typename V::T* alpha, bool shared, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) {
    const V v = load_lanes<V>(x + j, lanes);
    return select(v <= V::set1(0), slopes_at<V>(alpha, shared, j, lanes) * v, v);
  });
}

template <class V>
void prelu_backward(typename V::T* dx, const typename V::T* x, const typename V::T* dy, const typename V::T* alpha,
                    bool shared, size_t n) {
  row_map<V>(dx, n, [&](size_t j, size_t lanes) {
    const V d = load_lanes<V>(dy + j, lanes);
    return select(load_lanes<V>(x + j, lanes) <= V::set1(0), slopes_at<V>(alpha, shared, j, lanes) * d, d);
  });
}

// What an element adds to the gradient of its slope: dy min(x, 0).
template <class V>
inline V slope_term(const typename V::T* x, const typename V::T* dy, size_t lanes) {
  const V v = load_lanes<V>(x, lanes);
  return select(V::set1(0) < v, V::set1(0), v * load_lanes<V>(dy, lanes));
}

template <class V>
void prelu_slopes(typename V::T* dalpha, const typename V::T* x, const typename V::T* dy, size_t rows, size_t n, size_t ld,
                  bool accumulate) {
  row_map<V>(dalpha, n, [&](size_t j, size_t lanes) {
    const V start = accumulate ? load_lanes<V>(dalpha + j, lanes) : V::set1(0);
    return sum_over_rows(rows, start, [&](size_t r) { return slope_term<V>(x + r * ld + j, dy + r * ld + j, lanes); });
  });
}

template <class V>
double prelu_slope(const typename V::T* x, const typename V::T* dy, size_t n) {
  return static_cast<double>(row_sum<V>(n, [&](size_t j, size_t lanes) { return slope_term<V>(x + j, dy + j, lanes); }));
}

template <class V>
void rrelu_slopes(typename V::T* slopes, const typename V::T* x, size_t n, uint64_t seed, uint32_t row, uint32_t step,
                  uint32_t node, double lower, double upper) {
  using T = typename V::T;
  const double range = (upper - lower) * 0x1p-24;
  for_each_words(n, seed, row, step, node, [=](size_t j, const uint32_t* words, size_t count) {
    const double least = lower, span = range;  // copies, as in dropout_mask
    const T* from = x + j;
    T* to = slopes + j;
    for (size_t i = 0; i < count; ++i) {
      const T slope = static_cast<T>(least + span * static_cast<double>(static_cast<int32_t>(words[i] >> 8)));
      to[i] = from[i] <= 0 ? slope : 1;
    }
  });
}

template <class V>
void fill_slopes(Kernels<typename V::T>& k) {
  k.prelu = prelu<V>;
  k.prelu_backward = prelu_backward<V>;
  k.prelu_slopes = prelu_slopes<V>;
  k.prelu_slope = prelu_slope<V>;
  k.rrelu_slopes = rrelu_slopes<V>;
}

}  // namespace
}  // namespace nncore
