// The factories that registry.cpp lists; one for each file beside it.
#pragma once
#include "core/op.hpp"

namespace nncore {

template <class T>
std::unique_ptr<Op<T>> make_dense(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_dropout(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_add(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_multiply(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_average(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_concatenate(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_flatten(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_batch_norm(const Kernels<T>& kernels, const NodeInfo& node);
// Elementwise and row-wise functions of one input: `which` is the position in the kernel table.
template <class T>
std::unique_ptr<Op<T>> make_activation(const Kernels<T>& kernels, const NodeInfo& node, int which);
template <class T>
std::unique_ptr<Op<T>> make_row_op(const Kernels<T>& kernels, const NodeInfo& node, int which);

}  // namespace nncore
