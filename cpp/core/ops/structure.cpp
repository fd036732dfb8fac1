// Ops that only move or add data: add, flatten.
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
void copy_rows(const Matrix<T>& to, const Matrix<T>& from, Rows rows) {
  if (to.data == from.data) return;
  for (size_t r = rows.begin; r < rows.end; ++r) std::memcpy(to.row(r), from.row(r), to.width * sizeof(T));
}

// y = x[0] + x[1] + ..., in this order
template <class T>
class Add final : public Op<T> {
 public:
  explicit Add(const Kernels<T>& kernels) : kernels_(kernels) {}

  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    const size_t n = rows.count() * o.y.ld;
    T* y = o.y.row(rows.begin);
    kernels_.add(y, o.x[0].row(rows.begin), o.x[1].row(rows.begin), n);
    for (size_t i = 2; i < o.x.size(); ++i) kernels_.add(y, y, o.x[i].row(rows.begin), n);
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    for (const Matrix<T>& dx : o.dx)
      if (dx.data) copy_rows(dx, o.dy, rows);
  }

 private:
  const Kernels<T>& kernels_;
};

// y = x: only the shape changes, and memory does not know shapes
template <class T>
class Flatten final : public Op<T> {
 public:
  bool in_place() const override { return true; }
  void forward(const Operands<T>& o, Rows rows, const Pass&) const override { copy_rows(o.y, o.x[0], rows); }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (o.dx[0].data) copy_rows(o.dx[0], o.dy, rows);
  }
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_add(const Kernels<T>& kernels, const NodeInfo&) {
  return std::make_unique<Add<T>>(kernels);
}
template <class T>
std::unique_ptr<Op<T>> make_flatten(const Kernels<T>&, const NodeInfo&) {
  return std::make_unique<Flatten<T>>();
}
template std::unique_ptr<Op<float>> make_add(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_add(const Kernels<double>&, const NodeInfo&);
template std::unique_ptr<Op<float>> make_flatten(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_flatten(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
