// Activations on whole arrays that elementwise kernels do not cover, spread over threads; see functions.hpp.
#pragma once
#include <cstddef>
#include <string>

#include "kernels/kernel_table.hpp"

namespace nncore {

// An array seen as [outer, length, inner] around one of its axes.
struct AxisSizes {
  size_t outer, length, inner;
};

// Softmax and its kin along the middle axis.
template <class T>
void columns_forward(const Kernels<T>& kernels, const std::string& name, T* y, const T* x, const AxisSizes& sizes);
template <class T>
void columns_backward(const Kernels<T>& kernels, const std::string& name, T* dx, const T* y, const T* dy,
                      const AxisSizes& sizes);

// Glu and maxout: `sizes` are those of x, whose axis is cut into `parts`.
template <class T>
void parts_forward(const Kernels<T>& kernels, const std::string& name, T* y, const T* x, size_t parts,
                   const AxisSizes& sizes);
template <class T>
void parts_backward(const Kernels<T>& kernels, const std::string& name, T* dx, const T* x, const T* y, const T* dy,
                    size_t parts, const AxisSizes& sizes);

// Rows of n elements with n slopes, or one for all.
template <class T>
void prelu(const Kernels<T>& kernels, T* y, const T* x, const T* alpha, bool shared, size_t rows, size_t n);
template <class T>
void prelu_backward(const Kernels<T>& kernels, T* dx, T* dalpha, const T* x, const T* dy, const T* alpha, bool shared,
                    size_t rows, size_t n);

// y = source * slope, with the slopes that training draws for x; rows as the engine draws for them.
template <class T>
void rrelu(const Kernels<T>& kernels, T* y, const T* source, const T* x, size_t rows, size_t n, double lower, double upper,
           uint64_t seed, uint32_t node, uint32_t step);

}  // namespace nncore
