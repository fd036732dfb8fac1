// Kernels as functions on whole arrays, spread over threads: what nncore.ops is made of.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace nncore {

// A matrix view with any strides, in elements.
template <class T>
struct Strided {
  T* data;
  size_t rows, columns;
  ptrdiff_t row, column;
};

template <class T>
const Activation<T>& find_activation(const Kernels<T>& kernels, const std::string& name);

// y = f(x) and dx = f'(x) dy over n elements.
template <class T>
void activation_forward(const Kernels<T>& kernels, const Activation<T>& f, T* y, const T* x, size_t n,
                        const std::vector<double>& attrs);
template <class T>
void activation_backward(const Kernels<T>& kernels, const Activation<T>& f, T* dx, const T* x, const T* y, const T* dy,
                         size_t n, const std::vector<double>& attrs);

// Softmax and its kin over contiguous rows of n elements.
template <class T>
void rows_forward(const Kernels<T>& kernels, const std::string& name, T* y, const T* x, size_t rows, size_t n);
template <class T>
void rows_backward(const Kernels<T>& kernels, const std::string& name, T* dx, const T* y, const T* dy, size_t rows,
                   size_t n);

// y = dropout(x): masks as the engine draws them.
template <class T>
void dropout(const Kernels<T>& kernels, T* y, const T* x, size_t rows, size_t n, double rate, uint64_t seed, uint32_t node,
             uint32_t step);

// The same for alpha dropout, or, `backward`, dx = y from dy = x; and for noise.
template <class T>
void alpha_dropout(const Kernels<T>& kernels, T* y, const T* x, size_t rows, size_t n, double rate, uint64_t seed,
                   uint32_t node, uint32_t step, bool backward);
template <class T>
void gaussian_noise(const Kernels<T>& kernels, T* y, const T* x, size_t rows, size_t n, double deviation, uint64_t seed,
                    uint32_t node, uint32_t step);

template <class T>
void add(const Kernels<T>& kernels, T* y, const T* a, const T* b, size_t n);

// Of `count` arrays of n elements: their product, and their sum over `divisor`; see Kernels.
template <class T>
void product(const Kernels<T>& kernels, T* y, const T* const* x, size_t count, size_t n);
template <class T>
void sum_over(const Kernels<T>& kernels, T* y, const T* const* x, size_t count, T divisor, size_t n);

// y = for each of `rows` rows the arrays' rows, widths[i] elements each, one after the other.
template <class T>
void concatenate(T* y, const std::vector<const T*>& x, const std::vector<size_t>& widths, size_t rows);

template <class T>
void column_sums(const Kernels<T>& kernels, T* sums, const T* x, size_t rows, size_t n);

template <class T>
const Loss<T>& find_loss(const Kernels<T>& kernels, const std::string& name);

// Losses of rows; see LossArgs. Returns their sum, whose order does not depend on the threads; 0 where only a gradient is
// asked for.
template <class T>
double loss(const Kernels<T>& kernels, const std::string& name, LossArgs<T> args);

// One update of n contiguous parameters; `t` counts from 1.
template <class T>
void rule_step(const Kernels<T>& kernels, const std::string& name, T* p, const T* g, T* const* states, size_t n,
               const std::vector<double>& hyper, double t);

// c = a b; c may not overlap a or b.
template <class T>
void matmul(const Kernels<T>& kernels, const Strided<const T>& a, const Strided<const T>& b, const Strided<T>& c);

// y = f(x w + bias), y row-major; f is an elementwise activation or a row op by its name in the kernel table.
template <class T>
void dense(const Kernels<T>& kernels, const Strided<const T>& x, const Strided<const T>& w, const T* bias,
           const Strided<T>& y, const std::string& activation, const std::vector<double>& attrs);

}  // namespace nncore
