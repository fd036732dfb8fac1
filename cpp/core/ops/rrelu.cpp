// rrelu: y = a x where x <= 0, else x; a is drawn for each element while training, and the mean slope otherwise.
#include "core/functions.hpp"
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class RRelu final : public Op<T> {
 public:
  RRelu(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels),
        mean_(find_activation(kernels, "leaky_relu")),
        lower_(node.attrs[0]),
        upper_(node.attrs[1]),
        node_(node.index),
        width_(node.widths[0]) {}

  bool in_place() const override { return true; }
  size_t work_width() const override { return width_; }  // the slopes

  void forward(const Operands<T>& o, Rows rows, const Pass& pass) const override {
    if (!pass.training) {
      const double slope = (lower_ + upper_) / 2;
      mean_.forward(o.y.row(rows.begin), o.x[0].row(rows.begin), rows.count() * o.y.ld, &slope);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r) {
      kernels_.rrelu_slopes(o.work.row(r), o.x[0].row(r), width_, pass.seed, static_cast<uint32_t>(r), pass.draw, node_,
                            lower_, upper_);
      kernels_.apply_mask(o.y.row(r), o.x[0].row(r), o.work.row(r), width_);
    }
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    for (size_t r = rows.begin; r < rows.end; ++r) kernels_.apply_mask(o.dx[0].row(r), o.dy.row(r), o.work.row(r), width_);
  }

 private:
  const Kernels<T>& kernels_;
  const Activation<T>& mean_;
  double lower_, upper_;
  uint32_t node_;
  size_t width_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_rrelu(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<RRelu<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_rrelu(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_rrelu(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
