// dropout: while training, drops elements at random and scales the kept ones by 1 / (1 - rate); otherwise y = x.
#include "core/dropout.hpp"
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class Dropout final : public Op<T> {
 public:
  Dropout(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels), setting_(node.attrs[0]), node_(node.index), width_(node.widths[0]) {}

  bool in_place() const override { return true; }
  size_t work_width() const override { return width_; }

  void forward(const Operands<T>& o, Rows rows, const Pass& pass) const override {
    for (size_t r = rows.begin; r < rows.end; ++r) {
      if (!pass.training) {
        if (o.y.data != o.x[0].data) std::memcpy(o.y.row(r), o.x[0].row(r), width_ * sizeof(T));
        continue;
      }
      kernels_.dropout_mask(o.work.row(r), width_, pass.seed, static_cast<uint32_t>(r), pass.draw, node_,
                            setting_.threshold, setting_.scale);
      kernels_.apply_mask(o.y.row(r), o.x[0].row(r), o.work.row(r), width_);
    }
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    for (size_t r = rows.begin; r < rows.end; ++r) kernels_.apply_mask(o.dx[0].row(r), o.dy.row(r), o.work.row(r), width_);
  }

 private:
  const Kernels<T>& kernels_;
  DropoutSetting<T> setting_;
  uint32_t node_;
  size_t width_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_dropout(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<Dropout<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_dropout(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_dropout(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
