// Ops that make one value of several, beside add: multiply, average, concatenate.
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

// y = x[0] * x[1] * ..., in this order
template <class T>
class Multiply final : public Op<T> {
 public:
  Multiply(const Kernels<T>& kernels, const NodeInfo& node) : kernels_(kernels), count_(node.widths.size()) {}

  bool backward_reads_x() const override { return true; }
  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    const T* pair[2] = {o.x[0].row(rows.begin), nullptr};
    multiply(o.y, pair, o, 1, count_, rows);
  }
  // dx[i] = dy times the others, in this order
  void backward(const Operands<T>& o, Rows rows) const override {
    for (size_t i = 0; i < count_; ++i) {
      if (!o.dx[i].data) continue;
      const T* pair[2] = {o.dy.row(rows.begin), nullptr};
      multiply(o.dx[i], pair, o, 0, i, rows);
    }
  }

 private:
  // to = pair[0] times x[first], x[first + 1], ... but not x[without]
  void multiply(const Matrix<T>& to, const T** pair, const Operands<T>& o, size_t first, size_t without, Rows rows) const {
    for (size_t i = first; i < count_; ++i) {
      if (i == without) continue;
      pair[1] = o.x[i].row(rows.begin);
      kernels_.product(to.row(rows.begin), pair, 2, rows.count() * to.ld);
      pair[0] = to.row(rows.begin);
    }
  }

  const Kernels<T>& kernels_;
  size_t count_;
};

// y = (x[0] + x[1] + ...) / count, in this order
template <class T>
class Average final : public Op<T> {
 public:
  Average(const Kernels<T>& kernels, const NodeInfo& node) : kernels_(kernels), count_(node.widths.size()) {}

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    T* y = o.y.row(rows.begin);
    const T* pair[2] = {o.x[0].row(rows.begin), nullptr};
    for (size_t i = 1; i < count_; ++i) {
      pair[1] = o.x[i].row(rows.begin);
      kernels_.sum_over(y, pair, 2, i + 1 == count_ ? static_cast<T>(count_) : T(1), rows.count() * o.y.ld);
      pair[0] = y;
    }
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    const T* dy = o.dy.row(rows.begin);
    for (const Matrix<T>& dx : o.dx)
      if (dx.data) kernels_.sum_over(dx.row(rows.begin), &dy, 1, static_cast<T>(count_), rows.count() * dx.ld);
  }

 private:
  const Kernels<T>& kernels_;
  size_t count_;
};

// y = the inputs one after the other along an axis: of each sample, runs[i] elements of input i in turn.
template <class T>
class Concatenate final : public Op<T> {
 public:
  explicit Concatenate(const NodeInfo& node) {
    const auto rank = static_cast<int64_t>(node.shapes[0].size()), axis = static_cast<int64_t>(node.attrs[0]);
    const auto at = static_cast<size_t>(axis > 0 ? axis - 1 : axis + rank);  // of a sample; `axis` counts the batch axis
    for (const auto& shape : node.shapes) {
      runs_.push_back(1);
      for (size_t d = at; d < shape.size(); ++d) runs_.back() *= static_cast<size_t>(shape[d]);
      run_ += runs_.back();
    }
    turns_ = node.widths[0] / runs_[0];
  }

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    for_runs(o.x, o.y, rows, [](T* part, T* whole, size_t n) { std::memcpy(whole, part, n * sizeof(T)); });
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    for_runs(o.dx, o.dy, rows, [](T* part, T* whole, size_t n) { std::memcpy(part, whole, n * sizeof(T)); });
  }

 private:
  // f(run of an input, its place in the result, its length), but for inputs without data
  template <class F>
  void for_runs(const std::vector<Matrix<T>>& parts, const Matrix<T>& whole, Rows rows, const F& f) const {
    size_t offset = 0;
    for (size_t i = 0; i < parts.size(); offset += runs_[i++]) {
      if (!parts[i].data) continue;
      for (size_t r = rows.begin; r < rows.end; ++r)
        for (size_t t = 0; t < turns_; ++t) f(parts[i].row(r) + t * runs_[i], whole.row(r) + t * run_ + offset, runs_[i]);
    }
  }

  std::vector<size_t> runs_;
  size_t run_ = 0, turns_ = 1;
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_multiply(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<Multiply<T>>(kernels, node);
}
template <class T>
std::unique_ptr<Op<T>> make_average(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<Average<T>>(kernels, node);
}
template <class T>
std::unique_ptr<Op<T>> make_concatenate(const Kernels<T>&, const NodeInfo& node) {
  return std::make_unique<Concatenate<T>>(node);
}
template std::unique_ptr<Op<float>> make_multiply(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_multiply(const Kernels<double>&, const NodeInfo&);
template std::unique_ptr<Op<float>> make_average(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_average(const Kernels<double>&, const NodeInfo&);
template std::unique_ptr<Op<float>> make_concatenate(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_concatenate(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
