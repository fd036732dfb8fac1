// Activations of the kernel table as ops: elementwise ones over whole blocks, softmax and its kin row by row.
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
  RowWise(const RowOp<T>& kernel, const NodeInfo& node)
      : kernel_(kernel), axis_(node.last_axis), repeats_(node.widths[0] / node.last_axis) {}

  bool backward_reads_y() const override { return true; }
  bool in_place() const override { return true; }

  // A sample of more than one axis holds several rows of the last axis.
  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    if (repeats_ == 1) {
      kernel_.forward(o.y.row(rows.begin), o.x[0].row(rows.begin), rows.count(), axis_, o.y.ld);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r) kernel_.forward(o.y.row(r), o.x[0].row(r), repeats_, axis_, axis_);
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    if (repeats_ == 1) {
      kernel_.backward(o.dx[0].row(rows.begin), o.y.row(rows.begin), o.dy.row(rows.begin), rows.count(), axis_, o.y.ld);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r)
      kernel_.backward(o.dx[0].row(r), o.y.row(r), o.dy.row(r), repeats_, axis_, axis_);
  }

 private:
  const RowOp<T>& kernel_;
  size_t axis_, repeats_;
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
template std::unique_ptr<Op<float>> make_activation(const Kernels<float>&, const NodeInfo&, int);
template std::unique_ptr<Op<double>> make_activation(const Kernels<double>&, const NodeInfo&, int);
template std::unique_ptr<Op<float>> make_row_op(const Kernels<float>&, const NodeInfo&, int);
template std::unique_ptr<Op<double>> make_row_op(const Kernels<double>&, const NodeInfo&, int);

}  // namespace nncore
