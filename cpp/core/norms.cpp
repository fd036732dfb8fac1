// Normalisation as functions on whole arrays: vectors are shared out among threads, or channels where all vectors count.
#include "core/norms.hpp"

#include <algorithm>

#include "core/memory.hpp"
#include "core/threads.hpp"

namespace nncore {
namespace {

constexpr double kElement = 16;  // what a pass over an element costs in multiply-adds

// f(begin, end) over parts of n vectors or channels, each a multiple of `step` long; `work` is the number of elements.
template <class F>
void split(size_t n, size_t step, size_t work, const F& f) {
  parallel(threads_for(static_cast<double>(work) * kElement), [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(n, step, begin, end);
    if (begin < end) f(begin, end);
  });
}

// Vectors of which the call has `n` channels out of `width`.
Channels channels(size_t count, size_t width, size_t n) { return {count, width, 1, width, n}; }

template <class T>
const T* at(const T* array, size_t i) {
  return array ? array + i : nullptr;
}

}  // namespace

template <class T>
void vector_norm_forward(const VectorNormKernels<T>& own, T* y, const T* x, size_t count, size_t n, T epsilon,
                         const Affine<T>& affine) {
  split(count, 1, count * n, [&](size_t begin, size_t end) {
    own.forward(y + begin * n, nullptr, 0, x + begin * n, epsilon, affine.gamma, affine.beta, channels(end - begin, n, n));
  });
}

template <class T>
void vector_norm_backward(const Kernels<T>& kernels, const VectorNormKernels<T>& own, const NormGradients<T>& d, const T* x,
                          const T* dy, size_t count, size_t n, T epsilon, const T* gamma) {
  // The gradients of gamma and beta are added up part by part, whose number does not depend on that of the threads. A few
  // vectors at a time go through all that there is to compute from them.
  constexpr size_t kPart = 1024, kStep = 32;
  const size_t parts = (count + kPart - 1) / kPart;
  Buffer<T> sums(2 * n * parts);
  split(parts, 1, 3 * count * n, [&](size_t first, size_t last) {
    T statistics[2 * kStep];
    for (size_t part = first; part < last; ++part) {
      T *of_gamma = sums.data() + 2 * n * part, *of_beta = of_gamma + n;
      const size_t begin = part * kPart, end = std::min(begin + kPart, count);
      for (size_t at = begin; at < end; at += kStep) {
        const Channels c = channels(std::min(kStep, end - at), n, n);
        const T *own_x = x + at * n, *own_dy = dy + at * n;
        own.forward(nullptr, statistics, 2, own_x, epsilon, nullptr, nullptr, c);
        own.backward(d.x + at * n, statistics, 2, own_x, own_dy, gamma, c);
        kernels.vector_gradient(of_gamma, statistics, 2, own_x, own_dy, c, at > begin);
        kernels.vector_gradient(of_beta, statistics, 2, nullptr, own_dy, c, at > begin);
      }
    }
  });
  kernels.column_sums(d.gamma, sums.data(), parts, n, 2 * n, false);
  kernels.column_sums(d.beta, sums.data() + n, parts, n, 2 * n, false);
}

template <class T>
void batch_norm_forward(const Kernels<T>& kernels, T* y, const T* x, size_t count, size_t n, const T* mean,
                        const T* variance, T epsilon, const Affine<T>& affine) {
  if (count == 0) return;
  Buffer<T> moments(mean ? 0 : 2 * n);
  split(n, kPanel<T>, 2 * count * n, [&](size_t begin, size_t end) {
    const Channels c = channels(count, n, end - begin);
    const T *m = at(mean, begin), *v = at(variance, begin);
    if (!mean) {
      T* found = moments.data() + begin;
      kernels.channel_moments(found, found + n, x + begin, c);
      m = found, v = found + n;
    }
    kernels.channel_normalize(y + begin, x + begin, m, v, epsilon, at(affine.gamma, begin), at(affine.beta, begin), c);
  });
}

template <class T>
void batch_norm_backward(const Kernels<T>& kernels, const NormGradients<T>& d, const T* x, const T* dy, size_t count,
                         size_t n, const T* mean, const T* variance, T epsilon, const T* gamma) {
  if (count == 0) {
    std::fill_n(d.gamma, n, T(0));
    std::fill_n(d.beta, n, T(0));
    return;
  }
  Buffer<T> moments(mean ? 0 : 2 * n);
  split(n, kPanel<T>, 3 * count * n, [&](size_t begin, size_t end) {
    const Channels c = channels(count, n, end - begin);
    const T *m = at(mean, begin), *v = at(variance, begin), *scale = at(gamma, begin);
    if (!mean) {
      T* found = moments.data() + begin;
      kernels.channel_moments(found, found + n, x + begin, c);
      m = found, v = found + n;
    }
    // With moments that are given, dx is dy gamma over the deviation: a normalisation of dy around 0.
    kernels.channel_backward(mean ? nullptr : d.x + begin, d.beta + begin, d.gamma + begin, x + begin, dy + begin, m, v,
                             epsilon, scale, c);
    if (mean) kernels.channel_normalize(d.x + begin, dy + begin, nullptr, v, epsilon, scale, nullptr, c);
  });
}

template void vector_norm_forward(const VectorNormKernels<float>&, float*, const float*, size_t, size_t, float,
                                  const Affine<float>&);
template void vector_norm_forward(const VectorNormKernels<double>&, double*, const double*, size_t, size_t, double,
                                  const Affine<double>&);
template void vector_norm_backward(const Kernels<float>&, const VectorNormKernels<float>&, const NormGradients<float>&,
                                   const float*, const float*, size_t, size_t, float, const float*);
template void vector_norm_backward(const Kernels<double>&, const VectorNormKernels<double>&, const NormGradients<double>&,
                                   const double*, const double*, size_t, size_t, double, const double*);
template void batch_norm_forward(const Kernels<float>&, float*, const float*, size_t, size_t, const float*, const float*,
                                 float, const Affine<float>&);
template void batch_norm_forward(const Kernels<double>&, double*, const double*, size_t, size_t, const double*,
                                 const double*, double, const Affine<double>&);
template void batch_norm_backward(const Kernels<float>&, const NormGradients<float>&, const float*, const float*, size_t,
                                  size_t, const float*, const float*, float, const float*);
template void batch_norm_backward(const Kernels<double>&, const NormGradients<double>&, const double*, const double*,
                                  size_t, size_t, const double*, const double*, double, const double*);

}  // namespace nncore
