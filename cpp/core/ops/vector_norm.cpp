// layer_norm and rms_norm: each vector along the last axis, by its own statistics.
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class VectorNorm final : public Op<T> {
 public:
  VectorNorm(const Kernels<T>& kernels, const VectorNormKernels<T>& own, const NodeInfo& node, bool scale, bool center)
      : kernels_(kernels),
        own_(own),
        epsilon_(static_cast<T>(node.attrs[0])),
        gamma_(scale ? 0 : kNone),
        beta_(center ? (scale ? 1 : 0) : kNone),
        width_(node.last_axis),
        positions_(node.widths[0] / node.last_axis) {}

  bool backward_reads_x() const override { return true; }
  size_t work_width() const override { return 2 * positions_; }  // mean and inverse deviation of each vector
  double cost() const override { return 4 * static_cast<double>(width_ * positions_); }

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    own_.forward(o.y.row(rows.begin), o.work.data ? o.work.row(rows.begin) : nullptr, o.work.ld, o.x[0].row(rows.begin),
                 epsilon_, value(o, gamma_), value(o, beta_), block(o, rows.count(), width_));
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    own_.backward(o.dx[0].row(rows.begin), o.work.row(rows.begin), o.work.ld, o.x[0].row(rows.begin), o.dy.row(rows.begin),
                  value(o, gamma_), block(o, rows.count(), width_));
  }
  void parameter_gradient(const Operands<T>& o, size_t rows, size_t slot, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    const size_t first = tile.panel_begin * kPanel<T>;
    const size_t last = tile.panel_end * kPanel<T> < width_ ? tile.panel_end * kPanel<T> : width_;
    const bool of_gamma = static_cast<int>(slot) == gamma_;
    kernels_.vector_gradient(gradient + first, o.work.data, o.work.ld, of_gamma ? o.x[0].data + first : nullptr,
                             o.dy.data + first, block(o, rows, last - first), accumulate);
  }

 private:
  static constexpr int kNone = -1;

  static const T* value(const Operands<T>& o, int slot) {
    return slot == kNone ? nullptr : o.parameters[static_cast<size_t>(slot)].value;
  }
  Channels block(const Operands<T>& o, size_t rows, size_t n) const { return {rows, o.x[0].ld, positions_, width_, n}; }

  const Kernels<T>& kernels_;
  const VectorNormKernels<T>& own_;
  T epsilon_;
  int gamma_, beta_;  // slots
  size_t width_, positions_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_layer_norm(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<VectorNorm<T>>(kernels, kernels.layer_norm, node, node.attrs[2] != 0, node.attrs[1] != 0);
}
template <class T>
std::unique_ptr<Op<T>> make_rms_norm(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<VectorNorm<T>>(kernels, kernels.rms_norm, node, node.attrs[1] != 0, false);
}
template std::unique_ptr<Op<float>> make_layer_norm(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_layer_norm(const Kernels<double>&, const NodeInfo&);
template std::unique_ptr<Op<float>> make_rms_norm(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_rms_norm(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
