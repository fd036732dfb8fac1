// Bindings of the kernels as functions on arrays; nncore/ops.py checks and converts before it calls them.
#include <algorithm>
#include <utility>

#include "bindings/bindings.hpp"
#include "bindings/plain.hpp"
#include "core/cpu.hpp"
#include "core/functions.hpp"

namespace nncore {

namespace py = pybind11;

namespace {

template <class T>
const Kernels<T>& kernels() {
  return kernels_of<T>(active_kernels());
}

// The functions that return an object return their result, or None and do nothing where an argument is not `plain`.

py::object activation_forward_of(const std::string& name, const py::object& x, const py::object& out,
                                 const std::vector<double>& attrs) {
  const auto in = plain(x);
  if (!in) return py::none();
  const auto result = plain_target(out, *in, {&*in});
  if (!result) return py::none();
  with_type(*in, [&](auto zero) {
    using T = decltype(zero);
    const Activation<T>& f = find_activation(kernels<T>(), name);
    const T* from = elements<T>(*in);
    T* to = elements<T>(*result);
    const auto n = static_cast<size_t>(in->size());
    const WithoutPython release;
    activation_forward(kernels<T>(), f, to, from, n, attrs);
  });
  return *result;
}

py::object activation_backward_of(const std::string& name, const py::object& x, const py::object& y, const py::object& dy,
                                  const py::object& out, const std::vector<double>& attrs) {
  if (!plain_alike({x, y, dy})) return py::none();
  const py::array first = known(x), second = known(y), third = known(dy);
  const auto result = plain_target(out, first, {&first, &second, &third});
  if (!result) return py::none();
  with_type(first, [&](auto zero) {
    using T = decltype(zero);
    const Activation<T>& f = find_activation(kernels<T>(), name);
    const T *xs = elements<T>(first), *ys = elements<T>(second), *dys = elements<T>(third);
    T* to = elements<T>(*result);
    const auto n = static_cast<size_t>(first.size());
    const WithoutPython release;
    activation_backward(kernels<T>(), f, to, xs, ys, dys, n, attrs);
  });
  return *result;
}

// Rows and row length of an array seen as rows of its last axis.
void rows_of(const py::array& x, size_t& rows, size_t& n) {
  n = static_cast<size_t>(x.shape(x.ndim() - 1));
  rows = n == 0 ? 0 : static_cast<size_t>(x.size()) / n;
}

py::object rows_forward_of(const std::string& name, const py::object& x, const py::object& out) {
  const auto in = plain(x);
  if (!in || in->ndim() == 0) return py::none();
  const auto result = plain_target(out, *in, {&*in});
  if (!result) return py::none();
  with_type(*in, [&](auto zero) {
    using T = decltype(zero);
    size_t rows = 0, n = 0;
    rows_of(*in, rows, n);
    const T* from = elements<T>(*in);
    T* to = elements<T>(*result);
    const WithoutPython release;
    rows_forward(kernels<T>(), name, to, from, rows, n);
  });
  return *result;
}

py::object rows_backward_of(const std::string& name, const py::object& x, const py::object& y, const py::object& dy,
                            const py::object& out) {
  if (!plain_alike({x, y, dy}) || known(x).ndim() == 0) return py::none();
  const py::array first = known(y), second = known(dy);
  const auto result = plain_target(out, first, {&first, &second});
  if (!result) return py::none();
  with_type(first, [&](auto zero) {
    using T = decltype(zero);
    size_t rows = 0, n = 0;
    rows_of(first, rows, n);
    const T *ys = elements<T>(first), *dys = elements<T>(second);
    T* to = elements<T>(*result);
    const WithoutPython release;
    rows_backward(kernels<T>(), name, to, ys, dys, rows, n);
  });
  return *result;
}

// f(kernels, out, x, n) for arrays of `rows` rows, n elements each.
template <class F>
void by_rows(const py::array& x, const py::array& out, size_t rows, const F& f) {
  expect_size(out, x.size(), "out");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T* from = contiguous<T>(x, "x");
    T* to = contiguous<T>(out, "out", true);
    const size_t n = rows == 0 ? 0 : static_cast<size_t>(x.size()) / rows;
    const WithoutPython release;
    f(kernels<T>(), to, from, n);
  });
}

void dropout_of(const py::array& x, const py::array& out, size_t rows, double rate, uint64_t seed, uint32_t node,
                uint32_t step) {
  by_rows(x, out, rows, [&](const auto& kernels, auto* to, const auto* from, size_t n) {
    dropout(kernels, to, from, rows, n, rate, seed, node, step);
  });
}

void alpha_dropout_of(const py::array& x, const py::array& out, size_t rows, double rate, uint64_t seed, uint32_t node,
                      uint32_t step, bool backward) {
  by_rows(x, out, rows, [&](const auto& kernels, auto* to, const auto* from, size_t n) {
    alpha_dropout(kernels, to, from, rows, n, rate, seed, node, step, backward);
  });
}

void gaussian_noise_of(const py::array& x, const py::array& out, size_t rows, double stddev, uint64_t seed, uint32_t node,
                       uint32_t step) {
  by_rows(x, out, rows, [&](const auto& kernels, auto* to, const auto* from, size_t n) {
    gaussian_noise(kernels, to, from, rows, n, stddev, seed, node, step);
  });
}

void add_of(const py::array& a, const py::array& b, const py::array& out) {
  for (const py::array* array : {&b, &out}) expect_size(*array, a.size(), "b, out");
  with_type(a, [&](auto zero) {
    using T = decltype(zero);
    const T *as = contiguous<T>(a, "a"), *bs = contiguous<T>(b, "b");
    T* to = contiguous<T>(out, "out", true);
    const auto n = static_cast<size_t>(a.size());
    const WithoutPython release;
    add(kernels<T>(), to, as, bs, n);
  });
}

// Pointers to arrays of the size of `out`.
template <class T>
std::vector<const T*> arrays_like(const py::array& out, const std::vector<py::array>& xs) {
  std::vector<const T*> from;
  for (const py::array& x : xs) {
    expect_size(x, out.size(), "xs");
    from.push_back(contiguous<T>(x, "xs"));
  }
  if (from.empty()) throw std::invalid_argument("xs: expected at least one array");
  return from;
}

void product_of(const std::vector<py::array>& xs, const py::array& out) {
  with_type(out, [&](auto zero) {
    using T = decltype(zero);
    const std::vector<const T*> from = arrays_like<T>(out, xs);
    T* to = contiguous<T>(out, "out", true);
    const auto n = static_cast<size_t>(out.size());
    const WithoutPython release;
    product(kernels<T>(), to, from.data(), from.size(), n);
  });
}

// out = the arrays one after the other, for each of `rows` equal parts of all of them.
void concatenate_of(const std::vector<py::array>& xs, const py::array& out, size_t rows) {
  with_type(out, [&](auto zero) {
    using T = decltype(zero);
    std::vector<const T*> from;
    std::vector<size_t> widths;
    py::ssize_t total = 0;
    for (const py::array& x : xs) {
      from.push_back(contiguous<T>(x, "xs"));
      widths.push_back(rows == 0 ? 0 : static_cast<size_t>(x.size()) / rows);
      total += x.size();
    }
    expect_size(out, total, "out");
    T* to = contiguous<T>(out, "out", true);
    const WithoutPython release;
    concatenate(to, from, widths, rows);
  });
}

void sum_over_of(const std::vector<py::array>& xs, double divisor, const py::array& out) {
  with_type(out, [&](auto zero) {
    using T = decltype(zero);
    const std::vector<const T*> from = arrays_like<T>(out, xs);
    T* to = contiguous<T>(out, "out", true);
    const auto n = static_cast<size_t>(out.size());
    const WithoutPython release;
    sum_over(kernels<T>(), to, from.data(), from.size(), static_cast<T>(divisor), n);
  });
}

void column_sums_of(const py::array& x, const py::array& out) {
  expect_size(out, x.shape(1), "out");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T* from = contiguous<T>(x, "x");
    T* to = contiguous<T>(out, "out", true);
    const auto rows = static_cast<size_t>(x.shape(0)), n = static_cast<size_t>(x.shape(1));
    const WithoutPython release;
    column_sums(kernels<T>(), to, from, rows, n);
  });
}

template <class T>
Strided<T> strided(const py::array& m, const char* name) {
  if (m.ndim() != 2 || !has_type<std::remove_const_t<T>>(m))
    throw std::invalid_argument(std::string(name) + ": expected a matrix of one dtype");
  const auto size = static_cast<ptrdiff_t>(sizeof(T));
  if (m.strides(0) % size != 0 || m.strides(1) % size != 0)
    throw std::invalid_argument(std::string(name) + ": unaligned strides");
  return {static_cast<T*>(const_cast<void*>(m.data())), static_cast<size_t>(m.shape(0)), static_cast<size_t>(m.shape(1)),
          static_cast<ptrdiff_t>(m.strides(0)) / size, static_cast<ptrdiff_t>(m.strides(1)) / size};
}

// The matrix that `x` is, with any strides that can be walked element by element.
std::optional<py::array> plain_matrix(py::handle x) {
  std::optional<py::array> array = native_array(x);
  if (!array || array->ndim() != 2 || !(array->flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_)) return {};
  if (array->strides(0) % array->itemsize() != 0 || array->strides(1) % array->itemsize() != 0) return {};
  return array;
}

// The product a b, in `out` if that is not None; any of them may be a transposed view or have gaps.
py::object matmul_of(const py::object& a, const py::object& b, const py::object& out) {
  const auto left = plain_matrix(a), right = plain_matrix(b);
  if (!left || !right || !same_type(*left, *right) || left->shape(1) != right->shape(0)) return py::none();
  std::optional<py::array> result;
  if (out.is_none()) {
    result = py::array(left->dtype(), {left->shape(0), right->shape(1)});
  } else {
    result = plain_matrix(out);
    if (!result || !same_type(*result, *left) || !result->writeable()) return py::none();
    if (result->shape(0) != left->shape(0) || result->shape(1) != right->shape(1)) return py::none();
    if (const Extent to(*result); to.meets(Extent(*left)) || to.meets(Extent(*right))) return py::none();
  }
  with_type(*left, [&](auto zero) {
    using T = decltype(zero);
    const Strided<const T> from = strided<const T>(*left, "a"), by = strided<const T>(*right, "b");
    const Strided<T> to = strided<T>(*result, "out");
    const WithoutPython release;
    matmul(kernels<T>(), from, by, to);
  });
  return *result;
}

void dense_of(const py::array& x, const py::array& w, const std::optional<py::array>& bias, const py::array& out,
              const std::string& activation, const std::vector<double>& attrs) {
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const Strided<const T> left = strided<const T>(x, "x"), right = strided<const T>(w, "w");
    T* to = contiguous<T>(out, "out", true);
    if (out.ndim() != 2 || left.columns != right.rows || static_cast<size_t>(out.shape(0)) != left.rows ||
        static_cast<size_t>(out.shape(1)) != right.columns)
      throw std::invalid_argument("x, w, out: shapes do not fit");
    const Strided<T> result{to, left.rows, right.columns, static_cast<ptrdiff_t>(right.columns), 1};
    if (bias) expect_size(*bias, out.shape(1), "bias");
    const T* shift = bias ? contiguous<T>(*bias, "bias") : nullptr;
    const WithoutPython release;
    dense(kernels<T>(), left, right, shift, result, activation, attrs);
  });
}

void philox_of(const py::array& counters, const py::array& keys, const py::array& words) {
  const py::ssize_t n = counters.size() / 4;
  expect_size(keys, 2 * n, "keys");
  expect_size(words, 4 * n, "words");
  active_kernels().philox(contiguous<uint32_t>(words, "words", true), contiguous<uint32_t>(counters, "counters"),
                          contiguous<uint32_t>(keys, "keys"), static_cast<size_t>(n));
}

// Class indices as the kernels take them, -1 where they are `ignored`, and whether any is; nothing where another is not in
// [0, classes).
std::optional<std::pair<py::array_t<int32_t>, bool>> class_indices_of(const py::array& target, int64_t classes,
                                                                      std::optional<int64_t> ignored) {
  const auto* given = contiguous<int64_t>(target, "target");
  py::array_t<int32_t> found(target.size());
  int32_t* indices = found.mutable_data();
  const py::ssize_t n = target.size();
  const auto count = static_cast<uint64_t>(classes);
  const bool ignores_class = ignored && static_cast<uint64_t>(*ignored) < count;
  bool fit = true, some = false;
  for (py::ssize_t i = 0; i < n; ++i) {
    indices[i] = static_cast<int32_t>(given[i]);
    fit &= static_cast<uint64_t>(given[i]) < count;
  }
  if (fit && !ignores_class) return std::pair{std::move(found), false};  // nearly always
  for (py::ssize_t i = 0; i < n; ++i) {
    if (ignored && given[i] == *ignored) {
      indices[i] = -1;
      some = true;
    } else if (static_cast<uint64_t>(given[i]) >= count) {
      return {};
    }
  }
  return std::pair{std::move(found), some};
}

// Sum of the losses of rows [rows, n], unless only a gradient is asked for; fills the arrays that are given. See LossArgs.
double loss_of(const std::string& name, const py::array& pred, const py::array& target, bool indices,
               const std::vector<double>& attrs, const std::vector<std::optional<py::array>>& arrays,
               const std::optional<py::array>& row_scale, const std::optional<py::array>& row_loss,
               const std::optional<py::array>& values, const std::optional<py::array>& gradient, double scale) {
  if (pred.ndim() != 2) throw std::invalid_argument("input: expected a matrix");
  if (row_loss) expect_size(*row_loss, pred.shape(0), "row_loss");
  if (row_scale) expect_size(*row_scale, pred.shape(0), "row_scale");
  if (gradient) expect_size(*gradient, pred.size(), "gradient");
  if (arrays.size() > kMaxLossArrays) throw std::invalid_argument("arrays: too many");
  return with_type(pred, [&](auto zero) {
    using T = decltype(zero);
    const Loss<T>& f = find_loss(kernels<T>(), name);
    LossArgs<T> args{};
    args.rows = static_cast<size_t>(pred.shape(0));
    args.n = static_cast<size_t>(pred.shape(1));
    const size_t parts = part_count(f, args.n), width = f.parts == LossParts::kHalf ? parts : args.n;
    if (values) expect_size(*values, static_cast<py::ssize_t>(args.rows * parts), "values");
    expect_size(target, static_cast<py::ssize_t>(indices ? args.rows : args.rows * width), "target");
    for (size_t i = 0; i < arrays.size(); ++i) {
      if (!arrays[i]) continue;
      expect_size(*arrays[i], pred.shape(1), "arrays");
      args.arrays[i] = contiguous<T>(*arrays[i], "arrays");
    }
    args.attrs = attrs.data();
    args.row_scale = row_scale ? contiguous<T>(*row_scale, "row_scale") : nullptr;
    args.pred = contiguous<T>(pred, "input");
    args.target = indices ? nullptr : contiguous<T>(target, "target");
    args.index = indices ? contiguous<int32_t>(target, "target") : nullptr;
    args.ld_pred = args.ld_dpred = args.n;
    args.ld_target = width;
    args.row_loss = row_loss ? contiguous<double>(*row_loss, "row_loss", true) : nullptr;
    args.values = values ? contiguous<T>(*values, "values", true) : nullptr;
    args.dpred = gradient ? contiguous<T>(*gradient, "gradient", true) : nullptr;
    args.scale = static_cast<T>(scale);
    const auto classes = static_cast<int32_t>(std::min<size_t>(args.n, INT32_MAX));
    bool fit = true;
    for (size_t r = 0; indices && r < args.rows; ++r) fit &= (args.index[r] >= -1) & (args.index[r] < classes);
    if (!fit) throw std::invalid_argument("target: class index out of range");
    const WithoutPython release;
    return loss(kernels<T>(), name, args);
  });
}

// One step on p, g and the states; false, and nothing done, unless all are C-contiguous arrays of the dtype and the shape
// of p, and those that are written may be.
bool rule_step_of(const std::string& name, const py::tuple& arrays, const std::vector<double>& hyper, double iteration) {
  const size_t count = arrays.size();
  if (count < 2 || count > 2 + kMaxStates) throw std::invalid_argument("arrays: expected p, g and the states");
  const std::optional<py::array> p = plain(arrays[0]);
  if (!p) return false;
  for (const py::handle object : arrays)
    if (!plain_alike({*p, object})) return false;
  for (size_t i = 0; i < count; ++i)
    if (i != 1 && !known(arrays[i]).writeable()) return false;
  with_type(*p, [&](auto zero) {
    using T = decltype(zero);
    T* raw[2 + kMaxStates] = {};
    for (size_t i = 0; i < count; ++i) raw[i] = elements<T>(known(arrays[i]));
    const auto n = static_cast<size_t>(p->size());
    const WithoutPython release;
    rule_step(kernels<T>(), name, raw[0], raw[1], raw + 2, n, hyper, iteration);
  });
  return true;
}

}  // namespace

void register_ops(py::module_& module) {
  module.def("activation_forward", &activation_forward_of, py::arg("name"), py::arg("x"), py::arg("out"), py::arg("attrs"));
  module.def("activation_backward", &activation_backward_of, py::arg("name"), py::arg("x"), py::arg("y"), py::arg("dy"),
             py::arg("out"), py::arg("attrs"));
  module.def("rows_forward", &rows_forward_of, py::arg("name"), py::arg("x"), py::arg("out"));
  module.def("rows_backward", &rows_backward_of, py::arg("name"), py::arg("x"), py::arg("y"), py::arg("dy"),
             py::arg("out"));
  module.def("dropout", &dropout_of, py::arg("x"), py::arg("out"), py::arg("rows"), py::arg("rate"), py::arg("seed"),
             py::arg("node"), py::arg("step"));
  module.def("alpha_dropout", &alpha_dropout_of, py::arg("x"), py::arg("out"), py::arg("rows"), py::arg("rate"),
             py::arg("seed"), py::arg("node"), py::arg("step"), py::arg("backward"));
  module.def("gaussian_noise", &gaussian_noise_of, py::arg("x"), py::arg("out"), py::arg("rows"), py::arg("stddev"),
             py::arg("seed"), py::arg("node"), py::arg("step"));
  module.def("add", &add_of, py::arg("a"), py::arg("b"), py::arg("out"));
  module.def("product", &product_of, py::arg("xs"), py::arg("out"));
  module.def("concatenate", &concatenate_of, py::arg("xs"), py::arg("out"), py::arg("rows"));
  module.def("sum_over", &sum_over_of, py::arg("xs"), py::arg("divisor"), py::arg("out"));
  module.def("column_sums", &column_sums_of, py::arg("x"), py::arg("out"));
  module.def("matmul", &matmul_of, py::arg("a"), py::arg("b"), py::arg("out"));
  module.def("dense", &dense_of, py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("out"), py::arg("activation"),
             py::arg("attrs"));
  module.def("philox4x32", &philox_of, py::arg("counters"), py::arg("keys"), py::arg("words"));
  module.def("class_indices", &class_indices_of, py::arg("target"), py::arg("classes"), py::arg("ignored"));
  module.def("loss", &loss_of, py::arg("name"), py::arg("pred"), py::arg("target"), py::arg("indices"), py::arg("attrs"),
             py::arg("arrays"), py::arg("row_scale"), py::arg("row_loss"), py::arg("values"), py::arg("gradient"),
             py::arg("scale"));
  module.def("rule_step", &rule_step_of, py::arg("name"), py::arg("arrays"), py::arg("hyper"), py::arg("iteration"));
}

}  // namespace nncore
