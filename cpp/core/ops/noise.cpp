// gaussian_noise and alpha_dropout: random while training, y = x otherwise.
#include "core/dropout.hpp"
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
void copy_rows(const Matrix<T>& to, const Matrix<T>& from, Rows rows) {
  if (to.data == from.data) return;
  for (size_t r = rows.begin; r < rows.end; ++r) std::memcpy(to.row(r), from.row(r), to.width * sizeof(T));
}

// y = x + stddev times a standard normal number
template <class T>
class GaussianNoise final : public Op<T> {
 public:
  GaussianNoise(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels), deviation_(static_cast<T>(node.attrs[0])), node_(node.index) {}

  void forward(const Operands<T>& o, Rows rows, const Pass& pass) const override {
    if (!pass.training) {
      copy_rows(o.y, o.x[0], rows);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r) {
      kernels_.normals(o.y.row(r), o.y.width, pass.seed, static_cast<uint32_t>(r), pass.draw, node_);
      kernels_.add_scaled(o.y.row(r), o.x[0].row(r), o.y.row(r), deviation_, o.y.width);
    }
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (o.dx[0].data) copy_rows(o.dx[0], o.dy, rows);
  }

 private:
  const Kernels<T>& kernels_;
  T deviation_;
  uint32_t node_;
};

// Dropped elements become selu's negative limit; then y = a x + b restores mean 0 and variance 1.
template <class T>
class AlphaDropout final : public Op<T> {
 public:
  AlphaDropout(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels), setting_(node.attrs[0]), node_(node.index), width_(node.widths[0]) {}

  bool in_place() const override { return true; }
  size_t work_width() const override { return width_; }

  void forward(const Operands<T>& o, Rows rows, const Pass& pass) const override {
    if (!pass.training) {
      copy_rows(o.y, o.x[0], rows);
      return;
    }
    for (size_t r = rows.begin; r < rows.end; ++r) {
      kernels_.dropout_mask(o.work.row(r), width_, pass.seed, static_cast<uint32_t>(r), pass.draw, node_,
                            setting_.threshold, setting_.scale);
      kernels_.apply_alpha_mask(o.y.row(r), o.x[0].row(r), o.work.row(r), setting_.shift, setting_.dropped, width_);
    }
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    for (size_t r = rows.begin; r < rows.end; ++r) kernels_.apply_mask(o.dx[0].row(r), o.dy.row(r), o.work.row(r), width_);
  }

 private:
  const Kernels<T>& kernels_;
  AlphaDropoutSetting<T> setting_;
  uint32_t node_;
  size_t width_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_gaussian_noise(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<GaussianNoise<T>>(kernels, node);
}
template <class T>
std::unique_ptr<Op<T>> make_alpha_dropout(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<AlphaDropout<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_gaussian_noise(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_gaussian_noise(const Kernels<double>&, const NodeInfo&);
template std::unique_ptr<Op<float>> make_alpha_dropout(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_alpha_dropout(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
