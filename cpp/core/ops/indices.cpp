// embedding and one_hot: ops whose input elements are indices of rows of a table.
#include <cmath>
#include <stdexcept>
#include <string>

#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
[[noreturn]] void refuse(const char* op, T value, size_t count) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  throw std::invalid_argument(std::string("input of '") + op + "': expected whole numbers in [0, " +
                              std::to_string(count - 1) + "], got " + text);
}

// `value` as an index below `count`; what is none is reported, and taken for 0.
template <class T>
size_t index_of(const char* op, T value, size_t count, size_t row, const Pass& pass) {
  if (value >= 0 && value < static_cast<T>(count) && value == std::floor(value)) return static_cast<size_t>(value);
  try {
    refuse(op, value, count);
  } catch (...) {  // also that there was no memory for the message
    pass.faults->report(row, std::current_exception());
  }
  return 0;
}

template <class T>
void clear_rows(const Matrix<T>& to, Rows rows) {
  for (size_t r = rows.begin; r < rows.end; ++r) std::memset(to.row(r), 0, to.width * sizeof(T));
}

// y[i] = row x[i] of the table [input_dim, output_dim]
template <class T>
class Embedding final : public Op<T> {
 public:
  Embedding(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels),
        count_(static_cast<size_t>(node.attrs[0])),
        length_(static_cast<size_t>(node.attrs[1])),
        positions_(node.widths[0]) {}

  bool backward_reads_x() const override { return true; }

  void forward(const Operands<T>& o, Rows rows, const Pass& pass) const override {
    constexpr size_t w = kPanel<T>;
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t p = 0; p < positions_; ++p) {
        const size_t row = index_of("embedding", o.x[0].row(r)[p], count_, r, pass);
        T* y = o.y.row(r) + p * length_;
        for (size_t j = 0; j < length_; j += w)
          std::memcpy(y + j, o.parameters[0].value + (j / w * count_ + row) * w, width_at(j) * sizeof(T));
      }
  }
  // Indices have no gradient.
  void backward(const Operands<T>& o, Rows rows) const override {
    if (o.dx[0].data) clear_rows(o.dx[0], rows);
  }
  // Each row of the table gets the sum of dy over its uses, in the order of the samples.
  void parameter_gradient(const Operands<T>& o, size_t rows, size_t, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    constexpr size_t w = kPanel<T>;
    const auto target = [&](size_t panel, size_t row) { return gradient + (panel * count_ + row) * w; };
    for (size_t panel = tile.panel_begin; panel < tile.panel_end && !accumulate; ++panel)
      std::memset(target(panel, tile.row_begin), 0, (tile.row_end - tile.row_begin) * w * sizeof(T));
    for (size_t r = 0; r < rows; ++r)
      for (size_t p = 0; p < positions_; ++p) {
        const auto row = static_cast<size_t>(o.x[0].row(r)[p]);
        if (row < tile.row_begin || row >= tile.row_end) continue;
        for (size_t panel = tile.panel_begin; panel < tile.panel_end; ++panel) {
          T* sum = target(panel, row);
          kernels_.add(sum, sum, o.dy.row(r) + p * length_ + panel * w, width_at(panel * w));
        }
      }
  }

 private:
  size_t width_at(size_t column) const { return length_ - column < kPanel<T> ? length_ - column : kPanel<T>; }

  const Kernels<T>& kernels_;
  size_t count_, length_, positions_;
};

// y[i] = 1 at place x[i] of `depth`, 0 elsewhere
template <class T>
class OneHot final : public Op<T> {
 public:
  explicit OneHot(const NodeInfo& node) : depth_(static_cast<size_t>(node.attrs[0])), positions_(node.widths[0]) {}

  void forward(const Operands<T>& o, Rows rows, const Pass& pass) const override {
    clear_rows(o.y, rows);
    for (size_t r = rows.begin; r < rows.end; ++r)
      for (size_t p = 0; p < positions_; ++p)
        o.y.row(r)[p * depth_ + index_of("one_hot", o.x[0].row(r)[p], depth_, r, pass)] = 1;
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (o.dx[0].data) clear_rows(o.dx[0], rows);
  }

 private:
  size_t depth_, positions_;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_embedding(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<Embedding<T>>(kernels, node);
}
template <class T>
std::unique_ptr<Op<T>> make_one_hot(const Kernels<T>&, const NodeInfo& node) {
  return std::make_unique<OneHot<T>>(node);
}
template std::unique_ptr<Op<float>> make_embedding(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_embedding(const Kernels<double>&, const NodeInfo&);
template std::unique_ptr<Op<float>> make_one_hot(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_one_hot(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
