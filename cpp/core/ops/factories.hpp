// The factories that registry.cpp lists; one for each file beside it.
#pragma once
#include "core/op.hpp"

namespace nncore {

// A sample of `shape` seen as [outer, length, inner] around `axis`, which counts the batch axis, from the end if negative.
struct AxisView {
  AxisView(const std::vector<int64_t>& shape, double axis) {
    const auto rank = static_cast<ptrdiff_t>(shape.size()), given = static_cast<ptrdiff_t>(axis);
    const ptrdiff_t middle = given > 0 ? given - 1 : given + rank;
    for (ptrdiff_t i = 0; i < rank; ++i)
      (i < middle ? outer : i > middle ? inner : length) *= static_cast<size_t>(shape[static_cast<size_t>(i)]);
  }
  size_t outer = 1, length = 1, inner = 1;
};

template <class T>
std::unique_ptr<Op<T>> make_dense(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_dense_positions(const Kernels<T>& kernels, const NodeInfo& node);
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
std::unique_ptr<Op<T>> make_prelu(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_rrelu(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_function(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_flatten(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_batch_norm(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_layer_norm(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_rms_norm(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_gaussian_noise(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_alpha_dropout(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_embedding(const Kernels<T>& kernels, const NodeInfo& node);
template <class T>
std::unique_ptr<Op<T>> make_one_hot(const Kernels<T>& kernels, const NodeInfo& node);
// Elementwise and row-wise functions of one input: `which` is the position in the kernel table.
template <class T>
std::unique_ptr<Op<T>> make_activation(const Kernels<T>& kernels, const NodeInfo& node, int which);
template <class T>
std::unique_ptr<Op<T>> make_part_op(const Kernels<T>& kernels, const NodeInfo& node, int which);
template <class T>
std::unique_ptr<Op<T>> make_row_op(const Kernels<T>& kernels, const NodeInfo& node, int which);

}  // namespace nncore
