// Batch normalisation: statistics over all vectors of a batch, channel by channel; included after rows.hpp.
//
// A block of channels is carried through all vectors at once. Sums run in ascending order of rows and positions, so a
// channel's bits do not depend on which others are in the call.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

template <int N>
struct Count {
  static constexpr int kCount = N;
};

// f(vectors, j, lanes) for channels j: several whole vectors at a time, then single ones, the last with fewer lanes.
template <class V, class F>
inline void channel_blocks(size_t n, F f) {
  constexpr size_t kWide = 4, kLanes = V::kLanes;
  size_t j = 0;
  for (; j + kWide * kLanes <= n; j += kWide * kLanes) f(Count<kWide>{}, j, kLanes);
  for (; j + kLanes <= n; j += kLanes) f(Count<1>{}, j, kLanes);
  if (j < n) f(Count<1>{}, j, n - j);
}

// f(offset) for each vector.
template <class F>
inline void each_vector(const Channels& c, F f) {
  for (size_t r = 0; r < c.rows; ++r)
    for (size_t p = 0; p < c.positions; ++p) f(r * c.ld + p * c.step);
}

// f(row, position) for each vector, adding to the parts of `sums`.
template <class Sums, class F>
inline void sum_vectors(const Channels& c, Sums& sums, F f) {
  size_t left = kRowBlock;
  for (size_t r = 0; r < c.rows; ++r)
    for (size_t p = 0; p < c.positions; ++p) {
      f(r, p);
      if (--left > 0) continue;
      sums.end_block();
      left = kRowBlock;
    }
  sums.end_block();
}

template <class V>
inline V inverse_deviation(V variance, typename V::T epsilon) {
  return V::set1(1) / sqrt(variance + V::set1(epsilon));
}

// mean = sum(x) / m; variance = sum((x - mean)^2) / m, over the m vectors
template <class V>
void channel_moments(typename V::T* mean, typename V::T* variance, const typename V::T* x, const Channels& c) {
  using T = typename V::T;
  const V count = V::set1(static_cast<T>(c.rows * c.positions));
  channel_blocks<V>(c.n, [&](auto vectors, size_t j, size_t lanes) {
    constexpr int kCount = decltype(vectors)::kCount;
    LongSums<V, kCount> sums, squares;
    sum_vectors(c, sums, [&](size_t r, size_t p) {
      const T* v = x + r * c.ld + p * c.step + j;
      for (int i = 0; i < kCount; ++i) sums.part[i] = sums.part[i] + load_lanes<V>(v + i * V::kLanes, lanes);
    });
    V m[kCount];
    for (int i = 0; i < kCount; ++i) m[i] = sums.total(i) / count;
    sum_vectors(c, squares, [&](size_t r, size_t p) {
      const T* v = x + r * c.ld + p * c.step + j;
      for (int i = 0; i < kCount; ++i) {
        const V d = load_lanes<V>(v + i * V::kLanes, lanes) - m[i];
        squares.part[i] = fma(d, d, squares.part[i]);
      }
    });
    for (int i = 0; i < kCount; ++i) {
      store_lanes(m[i], mean + j + i * V::kLanes, lanes);
      store_lanes(squares.total(i) / count, variance + j + i * V::kLanes, lanes);
    }
  });
}

// y = (x - mean) gamma / sqrt(variance + epsilon) + beta; without mean, gamma or beta they are 0, 1, 0
template <class V>
void channel_normalize(typename V::T* y, const typename V::T* x, const typename V::T* mean, const typename V::T* variance,
                       typename V::T epsilon, const typename V::T* gamma, const typename V::T* beta, const Channels& c) {
  channel_blocks<V>(c.n, [&](auto vectors, size_t j, size_t lanes) {
    constexpr int kCount = decltype(vectors)::kCount;
    V m[kCount], scale[kCount], shift[kCount];
    for (int i = 0; i < kCount; ++i) {
      const size_t at = j + static_cast<size_t>(i) * V::kLanes;
      m[i] = mean ? load_lanes<V>(mean + at, lanes) : V::set1(0);
      scale[i] = inverse_deviation(load_lanes<V>(variance + at, lanes), epsilon);
      if (gamma) scale[i] = scale[i] * load_lanes<V>(gamma + at, lanes);
      shift[i] = beta ? load_lanes<V>(beta + at, lanes) : V::set1(0);
    }
    each_vector(c, [&](size_t at) {
      for (int i = 0; i < kCount; ++i) {
        const size_t k = at + j + static_cast<size_t>(i) * V::kLanes;
        store_lanes(fma(load_lanes<V>(x + k, lanes) - m[i], scale[i], shift[i]), y + k, lanes);
      }
    });
  });
}

// With xhat = (x - mean) / sqrt(variance + epsilon): sums = sum(dy), dots = sum(dy xhat), and, unless dx is null,
// dx = gamma / sqrt(variance + epsilon) (dy - sums / m - xhat dots / m) over the m vectors
template <class V>
void channel_backward(typename V::T* dx, typename V::T* sums, typename V::T* dots, const typename V::T* x,
                      const typename V::T* dy, const typename V::T* mean, const typename V::T* variance,
                      typename V::T epsilon, const typename V::T* gamma, const Channels& c) {
  const V count = V::set1(static_cast<typename V::T>(c.rows * c.positions));
  channel_blocks<V>(c.n, [&](auto vectors, size_t j, size_t lanes) {
    constexpr int kCount = decltype(vectors)::kCount;
    V m[kCount], inverse[kCount], sum[kCount], dot[kCount];
    LongSums<V, 2 * kCount> sums_and_dots;
    for (int i = 0; i < kCount; ++i) {
      const size_t at = j + static_cast<size_t>(i) * V::kLanes;
      m[i] = load_lanes<V>(mean + at, lanes);
      inverse[i] = inverse_deviation(load_lanes<V>(variance + at, lanes), epsilon);
    }
    sum_vectors(c, sums_and_dots, [&](size_t r, size_t p) {
      for (int i = 0; i < kCount; ++i) {
        const size_t k = r * c.ld + p * c.step + j + static_cast<size_t>(i) * V::kLanes;
        const V d = load_lanes<V>(dy + k, lanes);
        V &part = sums_and_dots.part[2 * i], &part_of_dot = sums_and_dots.part[2 * i + 1];
        part = part + d;
        part_of_dot = fma(d, load_lanes<V>(x + k, lanes) - m[i], part_of_dot);
      }
    });
    V scale[kCount];
    for (int i = 0; i < kCount; ++i) {
      const size_t at = j + static_cast<size_t>(i) * V::kLanes;
      sum[i] = sums_and_dots.total(2 * i);
      dot[i] = sums_and_dots.total(2 * i + 1) * inverse[i];
      store_lanes(sum[i], sums + at, lanes);
      store_lanes(dot[i], dots + at, lanes);
      scale[i] = gamma ? inverse[i] * load_lanes<V>(gamma + at, lanes) : inverse[i];
      sum[i] = sum[i] / count;
      dot[i] = dot[i] * inverse[i] / count;
    }
    if (!dx) return;
    each_vector(c, [&](size_t at) {
      for (int i = 0; i < kCount; ++i) {
        const size_t k = at + j + static_cast<size_t>(i) * V::kLanes;
        const V centred = load_lanes<V>(x + k, lanes) - m[i];
        store_lanes(scale[i] * fnma(centred, dot[i], load_lanes<V>(dy + k, lanes) - sum[i]), dx + k, lanes);
      }
    });
  });
}

template <class V>
void fill_channels(Kernels<typename V::T>& k) {
  k.channel_moments = channel_moments<V>;
  k.channel_normalize = channel_normalize<V>;
  k.channel_backward = channel_backward<V>;
}

}  // namespace
}  // namespace nncore
