// Normalisation as functions on whole arrays, spread over threads: x [count, n], vectors of n channels one behind the
// other.
#pragma once
#include <cstddef>

#include "kernels/kernel_table.hpp"

namespace nncore {

// What a normalisation multiplies by and adds: n numbers each, or null for ones and for zeros.
template <class T>
struct Affine {
  const T *gamma, *beta;
};

// Where the gradients go: of x [count, n], and of gamma and beta [n].
template <class T>
struct NormGradients {
  T *x, *gamma, *beta;
};

// Each vector by its own moments: layer_norm or rms_norm of the kernel table.
template <class T>
void vector_norm_forward(const VectorNormKernels<T>& own, T* y, const T* x, size_t count, size_t n, T epsilon,
                         const Affine<T>& affine);
template <class T>
void vector_norm_backward(const Kernels<T>& kernels, const VectorNormKernels<T>& own, const NormGradients<T>& d, const T* x,
                          const T* dy, size_t count, size_t n, T epsilon, const T* gamma);

// Each channel by `mean` and `variance` [n]; where they are null, by its moments over all vectors.
template <class T>
void batch_norm_forward(const Kernels<T>& kernels, T* y, const T* x, size_t count, size_t n, const T* mean,
                        const T* variance, T epsilon, const Affine<T>& affine);
template <class T>
void batch_norm_backward(const Kernels<T>& kernels, const NormGradients<T>& d, const T* x, const T* dy, size_t count,
                         size_t n, const T* mean, const T* variance, T epsilon, const T* gamma);

}  // namespace nncore
