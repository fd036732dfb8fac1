// Activations of the kernel table as ops: elementwise ones over whole blocks, softmax and its kin along an axis, and those
// that join parts of an axis.
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class Elementwise final : public Op<T> {
 public:
  Elementwise(const Activation<T>& kernel, const NodeInfo& node) : kernel_(kernel), attrs_(node.attrs) {}

  bool backward_reads_x() const override { return kernel_.backward_reads_x; }
  bool backward_reads_y() const override { return kernel_.backward_reads_y; }
  bool in_place() const override { return true; }

  // Matrices of one width have one leading dimension, so a block of rows, padding and all, is one run of memory.
  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    kernel_.forward(o.y.row(rows.begin), o.x[0].row(rows.begin), rows.count() * o.y.ld, attrs_.data());
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    kernel_.backward(o.dx[0].row(rows.begin), o.x[0].row(rows.begin), o.y.row(rows.begin), o.dy.row(rows.begin),
                     rows.count() * o.y.ld, attrs_.data());
  }

 private:
  const Activation<T>& kernel_;
  std::vector<double> attrs_;
};

template <class T>
class RowWise final : public Op<T> {
 public:
  RowWise(const RowOp<T>& kernel, const NodeInfo& node) : kernel_(kernel), view_(node.shapes[0], node.attrs[0]) {}

  bool backward_reads_y() const override { return true; }
  bool in_place() const override { return true; }

  // A sample holds several rows of the last axis, or columns of another.
  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    const auto [outer, n, inner] = view_;
    if (inner == 1 && outer == 1) {
      kernel_.forward(o.y.row(rows.begin), o.x[0].row(rows.begin), rows.count(), n, o.y.ld);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r) {
      T* y = o.y.row(r);
      const T* x = o.x[0].row(r);
      if (inner == 1) {
        kernel_.forward(y, x, outer, n, n);
      } else {
        for (size_t i = 0; i < outer * n * inner; i += n * inner) kernel_.forward_columns(y + i, x + i, n, inner, inner);
      }
    }
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    const auto [outer, n, inner] = view_;
    if (inner == 1 && outer == 1) {
      kernel_.backward(o.dx[0].row(rows.begin), o.y.row(rows.begin), o.dy.row(rows.begin), rows.count(), n, o.y.ld);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r) {
      T* dx = o.dx[0].row(r);
      const T *y = o.y.row(r), *dy = o.dy.row(r);
      if (inner == 1) {
        kernel_.backward(dx, y, dy, outer, n, n);
      } else {
        for (size_t i = 0; i < outer * n * inner; i += n * inner)
          kernel_.backward_columns(dx + i, y + i, dy + i, n, inner, inner);
      }
    }
  }

 private:
  const RowOp<T>& kernel_;
  AxisView view_;
};

// y is shorter than x: one part of the axis from several.
template <class T>
class PartWise final : public Op<T> {
 public:
  PartWise(const PartOp<T>& kernel, const NodeInfo& node)
      : kernel_(kernel), parts_(kernel.parts > 0 ? kernel.parts : static_cast<size_t>(node.attrs[0])) {
    const AxisView view(node.shapes[0], node.attrs.back());
    outer_ = view.outer;
    n_ = view.length / parts_ * view.inner;
  }

  bool backward_reads_x() const override { return true; }
  bool backward_reads_y() const override { return kernel_.backward_reads_y; }

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t i = 0; i < outer_; ++i)
        kernel_.forward(o.y.row(r) + i * n_, o.x[0].row(r) + i * parts_ * n_, parts_, n_, n_);
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t i = 0; i < outer_; ++i)
        kernel_.backward(o.dx[0].row(r) + i * parts_ * n_, o.x[0].row(r) + i * parts_ * n_, o.y.row(r) + i * n_,
                         o.dy.row(r) + i * n_, parts_, n_, n_);
  }

 private:
  const PartOp<T>& kernel_;
  size_t parts_, outer_, n_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_activation(const Kernels<T>& kernels, const NodeInfo& node, int which) {
  return std::make_unique<Elementwise<T>>(kernels.activations[which], node);
}
template <class T>
std::unique_ptr<Op<T>> make_row_op(const Kernels<T>& kernels, const NodeInfo& node, int which) {
  return std::make_unique<RowWise<T>>(kernels.row_ops[which], node);
}
template <class T>
std::unique_ptr<Op<T>> make_part_op(const Kernels<T>& kernels, const NodeInfo& node, int which) {
  return std::make_unique<PartWise<T>>(kernels.part_ops[which], node);
}
template std::unique_ptr<Op<float>> make_part_op(const Kernels<float>&, const NodeInfo&, int);
template std::unique_ptr<Op<double>> make_part_op(const Kernels<double>&, const NodeInfo&, int);
template std::unique_ptr<Op<float>> make_activation(const Kernels<float>&, const NodeInfo&, int);
template std::unique_ptr<Op<double>> make_activation(const Kernels<double>&, const NodeInfo&, int);
template std::unique_ptr<Op<float>> make_row_op(const Kernels<float>&, const NodeInfo&, int);
template std::unique_ptr<Op<double>> make_row_op(const Kernels<double>&, const NodeInfo&, int);

}  // namespace nncore
