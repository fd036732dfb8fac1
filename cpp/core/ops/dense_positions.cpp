// dense over several positions: y = x W + b for each vector along the last axis, with x [rows, positions, K], W [K, N], b
// [N], y [rows, positions, N].
//
// The vectors of a sample lie one behind the other, wherever in a cache line that is, while a matrix product writes, and
// reads of its second operand, whole panels. So results go through a small block on the stack, and the gradient of y is
// copied into panels.
#include <algorithm>

#include "core/long_sums.hpp"
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class DensePositions final : public Op<T> {
 public:
  DensePositions(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels),
        units_(static_cast<size_t>(node.attrs[0])),
        inputs_(node.last_axis),
        positions_(node.widths[0] / node.last_axis),
        padded_(panels_of<T>(units_) * kPanel<T>) {}

  bool backward_reads_x() const override { return true; }
  bool reads_transposed(size_t slot) const override { return slot == 0; }
  size_t work_width() const override { return positions_ * padded_; }  // dy in panels, zeros beyond N
  double cost() const override { return static_cast<double>(positions_ * units_) * static_cast<double>(inputs_); }

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    const T* bias = o.parameters.size() > 1 ? o.parameters[1].value : nullptr;
    multiply(o.x[0], inputs_, o.parameters[0].value, bias, o.y, units_, rows);
  }

  // dx = dy W^T
  void backward(const Operands<T>& o, Rows rows) const override {
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t p = 0; p < positions_; ++p) {
        T* to = o.work.row(r) + p * padded_;
        std::memcpy(to, o.dy.row(r) + p * units_, units_ * sizeof(T));
        std::fill(to + units_, to + padded_, T(0));
      }
    if (o.dx[0].data) multiply(o.dy, units_, o.parameters[0].transposed, nullptr, o.dx[0], inputs_, rows);
  }

  // dW = x^T dy; db = sum of dy over rows and positions
  void parameter_gradient(const Operands<T>& o, size_t rows, size_t slot, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    constexpr size_t w = kPanel<T>;
    const bool bias = slot == 1;
    const size_t first = tile.panel_begin * w, height = bias ? 1 : inputs_;
    Gemm<T> g{};
    g.m = tile.row_end - tile.row_begin;
    g.panels = tile.panel_end - tile.panel_begin;
    g.k = positions_;
    g.a_row = 1;
    g.a_k = static_cast<ptrdiff_t>(inputs_);
    g.b_k = static_cast<ptrdiff_t>(padded_);
    g.b_panel = static_cast<ptrdiff_t>(w);
    g.c = gradient + (tile.panel_begin * height + tile.row_begin) * w;
    g.c_row = static_cast<ptrdiff_t>(w);
    g.c_panel = static_cast<ptrdiff_t>(height * w);
    g.scratch = gemm_scratch(kernels_);
    // The block of the tile that begins with row m0 and panel p0 gets the sum over some samples.
    const auto add_samples = [&](Gemm<T> block, size_t m0, size_t p0, Rows samples, bool onto) {
      for (size_t r = samples.begin; r < samples.end; ++r) {
        block.b = o.work.row(r) + first + p0 * w;
        block.accumulate = onto || r > samples.begin;
        if (bias) {
          kernels_.column_sums(block.c, block.b, positions_, block.panels * w, padded_, block.accumulate);
        } else {
          block.a = o.x[0].row(r) + tile.row_begin + m0;
          kernels_.gemm(block);
        }
      }
    };
    if (sizeof(T) == sizeof(double) || rows * positions_ <= kLongSum) {
      add_samples(g, 0, 0, {0, rows}, accumulate);
      return;
    }
    const size_t most = std::max<size_t>(kTermsOfPart / positions_, 1);
    for_long_blocks(g.m, g.panels, [&](size_t m0, size_t m, size_t p0, size_t panels) {
      Gemm<T> block = g;
      block.m = m;
      block.panels = panels;
      block.c += static_cast<ptrdiff_t>(m0) * g.c_row + static_cast<ptrdiff_t>(p0) * g.c_panel;
      add_parts(block, (rows + most - 1) / most, accumulate,
                [&](size_t i) { add_samples(block, m0, p0, {i * most, std::min((i + 1) * most, rows)}, false); });
    });
  }

 private:
  static constexpr size_t kHeight = 64, kPanels = 8;  // of a block of results

  // to [rows, positions, n] = from [rows, positions, k] * panels + bias, for some rows
  void multiply(const Matrix<T>& from, size_t k, const T* panels, const T* bias, const Matrix<T>& to, size_t n,
                Rows rows) const {
    constexpr size_t w = kPanel<T>;
    alignas(64) T block[kHeight * kPanels * w];
    // Rows without a gap between them are one long sequence of vectors.
    const bool dense = from.ld == positions_ * k;
    const size_t runs = dense ? 1 : rows.count(), length = dense ? rows.count() * positions_ : positions_;
    Gemm<T> g{};
    g.k = k;
    g.a_row = static_cast<ptrdiff_t>(k);
    g.a_k = 1;
    g.b_k = static_cast<ptrdiff_t>(w);
    g.b_panel = static_cast<ptrdiff_t>(k * w);
    g.c = block;
    g.c_row = static_cast<ptrdiff_t>(w);
    g.c_panel = static_cast<ptrdiff_t>(kHeight * w);
    g.scratch = gemm_scratch(kernels_);
    for (size_t run = 0; run < runs; ++run)
      for (size_t begin = 0; begin < length; begin += kHeight)
        for (size_t panel = 0; panel < panels_of<T>(n); panel += kPanels) {
          g.m = std::min(kHeight, length - begin);
          g.panels = std::min(kPanels, panels_of<T>(n) - panel);
          g.a = from.row(rows.begin + run) + begin * k;
          g.b = panels + panel * k * w;
          g.bias = bias ? bias + panel * w : nullptr;
          kernels_.gemm(g);
          for (size_t i = 0; i < g.m; ++i) {
            const size_t vector = begin + i;
            T* y = to.row(rows.begin + run + vector / positions_) + vector % positions_ * n;
            for (size_t p = 0, at = panel * w; p < g.panels; ++p, at += w)
              std::memcpy(y + at, block + (p * kHeight + i) * w, std::min(w, n - at) * sizeof(T));
          }
        }
  }

  const Kernels<T>& kernels_;
  size_t units_, inputs_, positions_, padded_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_dense_positions(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<DensePositions<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_dense_positions(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_dense_positions(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
