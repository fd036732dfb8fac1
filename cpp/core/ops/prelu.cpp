// prelu: y = alpha x where x <= 0, else x, with alpha [1] or one for each place on the last axis.
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class PRelu final : public Op<T> {
 public:
  PRelu(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels), shared_(node.attrs[0] != 0), width_(node.widths[0]), axis_(shared_ ? width_ : node.last_axis) {}

  bool backward_reads_x() const override { return true; }

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t i = 0; i < width_; i += axis_)
        kernels_.prelu(o.y.row(r) + i, o.x[0].row(r) + i, o.parameters[0].value, shared_, axis_);
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t i = 0; i < width_; i += axis_)
        kernels_.prelu_backward(o.dx[0].row(r) + i, o.x[0].row(r) + i, o.dy.row(r) + i, o.parameters[0].value, shared_,
                                axis_);
  }

  // dalpha = sum of x dy where x <= 0
  void parameter_gradient(const Operands<T>& o, size_t rows, size_t, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    if (shared_) {
      double sum = accumulate ? static_cast<double>(gradient[0]) : 0;
      for (size_t r = 0; r < rows; ++r) sum += kernels_.prelu_slope(o.x[0].row(r), o.dy.row(r), width_);
      gradient[0] = static_cast<T>(sum);
      return;
    }
    const size_t first = tile.panel_begin * kPanel<T>, end = tile.panel_end * kPanel<T>;
    const size_t n = (end < axis_ ? end : axis_) - first;
    if (width_ == axis_) {
      kernels_.prelu_slopes(gradient + first, o.x[0].data + first, o.dy.data + first, rows, n, o.dy.ld, accumulate);
      return;
    }
    for (size_t r = 0; r < rows; ++r)
      kernels_.prelu_slopes(gradient + first, o.x[0].row(r) + first, o.dy.row(r) + first, width_ / axis_, n, axis_,
                            accumulate || r > 0);
  }

 private:
  const Kernels<T>& kernels_;
  bool shared_;
  size_t width_, axis_;  // elements of a sample, and of the run of it that has as many slopes
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_prelu(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<PRelu<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_prelu(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_prelu(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
