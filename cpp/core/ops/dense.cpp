// dense: y = x W + b, with x [rows, K], W [K, N], b [N], y [rows, N]; dense_positions.cpp has samples of more axes.
#include "core/long_sums.hpp"
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class Dense final : public Op<T> {
 public:
  Dense(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels), units_(static_cast<size_t>(node.attrs[0])), inputs_(node.widths[0]) {}

  bool backward_reads_x() const override { return true; }
  bool reads_transposed(size_t slot) const override { return slot == 0; }
  double cost() const override { return static_cast<double>(units_) * static_cast<double>(inputs_); }

  size_t columns() const override { return units_; }
  bool takes_columns() const override { return true; }

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    multiply(o.x[0], o.parameters[0].value, bias(o), o.y, rows, {0, units_});
  }
  void forward_batch(const Operands<T>& o, size_t rows, Columns columns, const Pass&) const override {
    multiply(o.x[0], o.parameters[0].value, bias(o), o.y, {0, rows}, columns);
  }

  // dx = dy W^T
  void backward(const Operands<T>& o, Rows rows) const override {
    kernels_.zero_padding(o.dy.row(rows.begin), rows.count(), units_, o.dy.ld);
    if (o.dx[0].data) multiply(o.dy, o.parameters[0].transposed, nullptr, o.dx[0], rows, {0, inputs_});
  }

  // dW = x^T dy; db = sum of the rows of dy
  void parameter_gradient(const Operands<T>& o, size_t rows, size_t slot, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    constexpr size_t w = kPanel<T>;
    const size_t first = tile.panel_begin * w;
    if (slot == 1) {
      const size_t last = tile.panel_end * w < units_ ? tile.panel_end * w : units_;
      kernels_.column_sums(gradient + first, o.dy.data + first, rows, last - first, o.dy.ld, accumulate);
      return;
    }
    const size_t k = o.parameters[0].rows;
    Gemm<T> g{};
    g.m = tile.row_end - tile.row_begin;
    g.panels = tile.panel_end - tile.panel_begin;
    g.k = rows;
    g.a = o.x[0].data + tile.row_begin;
    g.a_row = 1;
    g.a_k = static_cast<ptrdiff_t>(o.x[0].ld);
    g.b = o.dy.data + first;
    g.b_k = static_cast<ptrdiff_t>(o.dy.ld);
    g.b_panel = static_cast<ptrdiff_t>(w);
    g.c = gradient + (tile.panel_begin * k + tile.row_begin) * w;
    g.c_row = static_cast<ptrdiff_t>(w);
    g.c_panel = static_cast<ptrdiff_t>(k * w);
    g.accumulate = accumulate;
    g.scratch = gemm_scratch(kernels_);
    multiply_long(kernels_, g);
  }

 private:
  static const T* bias(const Operands<T>& o) { return o.parameters.size() > 1 ? o.parameters[1].value : nullptr; }

  // to = from * panels + bias, for some rows and columns, the latter whole panels.
  void multiply(const Matrix<T>& from, const T* panels, const T* bias, const Matrix<T>& to, Rows rows,
                Columns columns) const {
    constexpr size_t w = kPanel<T>;
    Gemm<T> g{};
    g.m = rows.count();
    g.panels = panels_of<T>(columns.count());
    g.k = from.width;
    g.a = from.row(rows.begin);
    g.a_row = static_cast<ptrdiff_t>(from.ld);
    g.a_k = 1;
    g.b = panels + columns.begin * from.width;
    g.b_k = static_cast<ptrdiff_t>(w);
    g.b_panel = static_cast<ptrdiff_t>(from.width * w);
    g.c = to.row(rows.begin) + columns.begin;
    g.c_row = static_cast<ptrdiff_t>(to.ld);
    g.c_panel = static_cast<ptrdiff_t>(w);
    g.bias = bias ? bias + columns.begin : nullptr;
    g.scratch = gemm_scratch(kernels_);
    kernels_.gemm(g);
  }

  const Kernels<T>& kernels_;
  size_t units_, inputs_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_dense(const Kernels<T>& kernels, const NodeInfo& node) {
  if (node.widths[0] != node.last_axis) return make_dense_positions(kernels, node);
  return std::make_unique<Dense<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_dense(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_dense(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
