// python: a function of the user's on whole batches; one thread calls it.
#include "core/ops/factories.hpp"
#include "core/threads.hpp"

namespace nncore {
namespace {

template <class T>
class Function final : public Op<T> {
 public:
  explicit Function(const NodeInfo& node) : function_(node.function) {}

  bool backward_reads_x() const override { return true; }
  bool backward_reads_y() const override { return true; }
  Mixing mixing(bool) const override { return Mixing::kBatch; }
  void forward(const Operands<T>&, Rows, const Pass&) const override {}
  void backward(const Operands<T>&, Rows) const override {}

  void forward_batch(const Operands<T>& o, size_t rows, Columns, const Pass& pass) const override {
    ready_ = false;
    const KeepSubnormals keep;
    function_->forward(rows, inputs(o), parameters(o), view(o.y), pass.training);
  }

  // A node whose inputs have other consumers may get several calls for one batch, each for some of the gradients: the first
  // computes all.
  void backward_batch(const Operands<T>& o, size_t rows, Columns) const override {
    if (!ready_) {
      std::vector<RowsView> gradients;
      d_inputs_.resize(o.x.size());
      for (size_t i = 0; i < o.x.size(); ++i) gradients.push_back(room(d_inputs_[i], rows, o.x[i].width));
      d_parameters_.resize(o.parameters.size());
      for (size_t i = 0; i < o.parameters.size(); ++i)
        gradients.push_back(room(d_parameters_[i], 1, o.parameters[i].rows * o.parameters[i].columns));
      const KeepSubnormals keep;
      function_->backward(rows, inputs(o), parameters(o), view(o.y), view(o.dy), gradients);
      ready_ = true;
    }
    for (size_t i = 0; i < o.dx.size(); ++i) {
      const size_t width = o.x[i].width;
      for (size_t r = 0; o.dx[i].data && r < rows; ++r)
        std::memcpy(o.dx[i].row(r), d_inputs_[i].data() + r * width, width * sizeof(T));
    }
  }

  void parameter_gradient(const Operands<T>& o, size_t, size_t slot, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    constexpr size_t w = kPanel<T>;
    const size_t rows = o.parameters[slot].rows, columns = o.parameters[slot].columns;
    for (size_t panel = tile.panel_begin; panel < tile.panel_end; ++panel)
      for (size_t r = tile.row_begin; r < tile.row_end; ++r) {
        const T* from = d_parameters_[slot].data() + r * columns + panel * w;
        T* to = gradient + (panel * rows + r) * w;
        for (size_t j = 0; j < w; ++j) {
          const T value = panel * w + j < columns ? from[j] : T(0);
          to[j] = accumulate ? to[j] + value : value;
        }
      }
  }

 private:
  static RowsView view(const Matrix<T>& m) { return {m.data, m.width, m.ld}; }
  static std::vector<RowsView> inputs(const Operands<T>& o) {
    std::vector<RowsView> views;
    for (const Matrix<T>& x : o.x) views.push_back(view(x));
    return views;
  }
  // The parameters' values as row-major arrays.
  std::vector<RowsView> parameters(const Operands<T>& o) const {
    std::vector<RowsView> views;
    values_.resize(o.parameters.size());
    for (size_t i = 0; i < o.parameters.size(); ++i) {
      const Parameter<T>& p = o.parameters[i];
      views.push_back(room(values_[i], 1, p.rows * p.columns));
      unpack(values_[i].data(), p.value, p.rows, p.columns);
    }
    return views;
  }
  // `buffer` as `rows` rows of `width` elements.
  static RowsView room(Buffer<T>& buffer, size_t rows, size_t width) {
    if (buffer.size() < rows * width) buffer = Buffer<T>(rows * width);
    return {buffer.data(), width, width};
  }

  const std::shared_ptr<BatchFunction> function_;
  mutable std::vector<Buffer<T>> values_, d_inputs_, d_parameters_;
  mutable bool ready_ = false;  // whether the gradients are those of the last forward
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_function(const Kernels<T>&, const NodeInfo& node) {
  return std::make_unique<Function<T>>(node);
}
template std::unique_ptr<Op<float>> make_function(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_function(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
