// Layer and RMS normalisation, vector by vector, and the penalties on weights; included after channels.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// f(vector, statistics) with offsets of each vector and of its two statistics.
template <class F>
inline void each_vector_and_statistics(const Channels& c, size_t ld_statistics, F f) {
  for (size_t r = 0; r < c.rows; ++r)
    for (size_t p = 0; p < c.positions; ++p) f(r * c.ld + p * c.step, r * ld_statistics + 2 * p);
}

// y = (x - mean) / sqrt(mean((x - mean)^2) + epsilon) gamma + beta over each vector's n elements; not Centred: with 0 for
// the mean. statistics: mean and inverse deviation of each vector, or null; y, gamma and beta may be null.
template <class V, bool Centred>
void vector_normalize(typename V::T* y, typename V::T* statistics, size_t ld_statistics, const typename V::T* x,
                      typename V::T epsilon, const typename V::T* gamma, const typename V::T* beta, const Channels& c) {
  using T = typename V::T;
  const T n = static_cast<T>(c.n);
  each_vector_and_statistics(c, ld_statistics, [&](size_t at, size_t s) {
    const T* v = x + at;
    T mean = 0;
    if (Centred) mean = row_sum<V>(c.n, [&](size_t j, size_t lanes) { return load_lanes<V>(v + j, lanes); }) / n;
    const T squares = row_sum<V>(c.n, [&](size_t j, size_t lanes) {
      const V d = load_lanes<V>(v + j, lanes, mean) - V::set1(mean);
      return d * d;
    });
    T inverse[V::kLanes];
    inverse_deviation(V::set1(squares / n), epsilon).store(inverse);
    if (statistics) {
      statistics[s] = mean;
      statistics[s + 1] = inverse[0];
    }
    if (!y) return;
    row_map<V>(y + at, c.n, [&](size_t j, size_t lanes) {
      V r = (load_lanes<V>(v + j, lanes) - V::set1(mean)) * V::set1(inverse[0]);
      if (gamma) r = r * load_lanes<V>(gamma + j, lanes);
      return beta ? r + load_lanes<V>(beta + j, lanes) : r;
    });
  });
}

// With xhat = (x - mean) inverse and g = dy gamma: dx = inverse (g - mean(g) - xhat mean(g xhat)); not Centred: without
// mean(g).
template <class V, bool Centred>
void vector_backward(typename V::T* dx, const typename V::T* statistics, size_t ld_statistics, const typename V::T* x,
                     const typename V::T* dy, const typename V::T* gamma, const Channels& c) {
  using T = typename V::T;
  const T n = static_cast<T>(c.n);
  each_vector_and_statistics(c, ld_statistics, [&](size_t at, size_t s) {
    const V mean = V::set1(statistics[s]), inverse = V::set1(statistics[s + 1]);
    const auto g = [&](size_t j, size_t lanes) {
      const V d = load_lanes<V>(dy + at + j, lanes);
      return gamma ? d * load_lanes<V>(gamma + j, lanes) : d;
    };
    const auto xhat = [&](size_t j, size_t lanes) { return (load_lanes<V>(x + at + j, lanes) - mean) * inverse; };
    V sum = V::set1(0);
    if (Centred) sum = V::set1(row_sum<V>(c.n, g) / n);
    const V dot = V::set1(row_sum<V>(c.n, [&](size_t j, size_t lanes) { return g(j, lanes) * xhat(j, lanes); }) / n);
    row_map<V>(dx + at, c.n,
               [&](size_t j, size_t lanes) { return inverse * fnma(xhat(j, lanes), dot, g(j, lanes) - sum); });
  });
}

// gradient (+)= sum over vectors of dy xhat, or, where x is null, of dy; in ascending order
template <class V>
void vector_gradient(typename V::T* gradient, const typename V::T* statistics, size_t ld_statistics, const typename V::T* x,
                     const typename V::T* dy, const Channels& c, bool accumulate) {
  channel_blocks<V>(c.n, [&](auto vectors, size_t j, size_t lanes) {
    constexpr int kCount = decltype(vectors)::kCount;
    LongSums<V, kCount> sums;
    for (int i = 0; accumulate && i < kCount; ++i)
      sums.start(i, load_lanes<V>(gradient + j + static_cast<size_t>(i) * V::kLanes, lanes));
    sum_vectors(c, sums, [&](size_t r, size_t p) {
      const size_t at = r * c.ld + p * c.step + j, s = r * ld_statistics + 2 * p;
      for (int i = 0; i < kCount; ++i) {
        const size_t k = at + static_cast<size_t>(i) * V::kLanes;
        const V d = load_lanes<V>(dy + k, lanes);
        V& sum = sums.part[i];
        sum =
            x ? fma(d, (load_lanes<V>(x + k, lanes) - V::set1(statistics[s])) * V::set1(statistics[s + 1]), sum) : sum + d;
      }
    });
    for (int i = 0; i < kCount; ++i) store_lanes(sums.total(i), gradient + j + static_cast<size_t>(i) * V::kLanes, lanes);
  });
}

// The penalty sum(l1 |p| + l2 p^2); unless g is null, its gradient l1 sign(p) + 2 l2 p is added to g.
template <class V>
double penalize(typename V::T* g, const typename V::T* p, size_t n, double l1, double l2) {
  using T = typename V::T;
  const V a = V::set1(static_cast<T>(l1)), b = V::set1(static_cast<T>(l2)), twice = V::set1(static_cast<T>(2 * l2));
  const V zero = V::set1(0);
  return static_cast<double>(row_sum<V>(n, [&](size_t j, size_t lanes) {
    const V v = load_lanes<V>(p + j, lanes), magnitude = abs(v);
    if (g) {
      const V pull = select(magnitude <= zero, zero, copysign(a, v));
      store_lanes(load_lanes<V>(g + j, lanes) + fma(twice, v, pull), g + j, lanes);
    }
    return fma(a, magnitude, b * v * v);
  }));
}

// Scales each column of `count` whole panels of `rows` rows down to the norm `limit`.
template <class V>
void limit_columns(typename V::T* panels, size_t rows, size_t count, typename V::T limit) {
  constexpr size_t w = kPanel<typename V::T>;
  const V most = V::set1(limit);
  for (size_t p = 0; p < count; ++p)
    for (size_t j = 0; j < w; j += V::kLanes) {
      typename V::T* column = panels + p * rows * w + j;
      V squares = V::set1(0);
      for (size_t r = 0; r < rows; ++r) squares = fma(V::load(column + r * w), V::load(column + r * w), squares);
      const V norm = sqrt(squares), scale = select(norm <= most, V::set1(1), most / norm);
      for (size_t r = 0; r < rows; ++r) (V::load(column + r * w) * scale).store(column + r * w);
    }
}

template <class V>
void fill_vectors(Kernels<typename V::T>& k) {
  k.layer_norm = {vector_normalize<V, true>, vector_backward<V, true>};
  k.rms_norm = {vector_normalize<V, false>, vector_backward<V, false>};
  k.vector_gradient = vector_gradient<V>;
  k.penalize = penalize<V>;
  k.limit_columns = limit_columns<V>;
}

}  // namespace
}  // namespace nncore
