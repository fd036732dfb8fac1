// Bindings of the activations along an axis and of those with a slope for each element; see ops.cpp.
#include "bindings/bindings.hpp"
#include "core/axes.hpp"
#include "core/cpu.hpp"

namespace nncore {

namespace py = pybind11;

namespace {

template <class T>
const Kernels<T>& kernels() {
  return kernels_of<T>(active_kernels());
}

// The array around `axis`, which counts from 0.
AxisSizes sizes_around(const py::array& x, py::ssize_t axis) {
  if (axis < 0 || axis >= x.ndim()) throw std::invalid_argument("axis: out of range");
  AxisSizes sizes{1, static_cast<size_t>(x.shape(axis)), 1};
  for (py::ssize_t i = 0; i < x.ndim(); ++i)
    if (i != axis) (i < axis ? sizes.outer : sizes.inner) *= static_cast<size_t>(x.shape(i));
  return sizes;
}

void columns_forward_of(const std::string& name, const py::array& x, const py::array& out, py::ssize_t axis) {
  expect_size(out, x.size(), "out");
  const AxisSizes sizes = sizes_around(x, axis);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T* from = contiguous<T>(x, "x");
    T* to = contiguous<T>(out, "out", true);
    const WithoutPython release;
    columns_forward(kernels<T>(), name, to, from, sizes);
  });
}

void columns_backward_of(const std::string& name, const py::array& y, const py::array& dy, const py::array& out,
                         py::ssize_t axis) {
  for (const py::array* array : {&dy, &out}) expect_size(*array, y.size(), "dy, out");
  const AxisSizes sizes = sizes_around(y, axis);
  with_type(y, [&](auto zero) {
    using T = decltype(zero);
    const T *ys = contiguous<T>(y, "y"), *dys = contiguous<T>(dy, "dy");
    T* to = contiguous<T>(out, "out", true);
    const WithoutPython release;
    columns_backward(kernels<T>(), name, to, ys, dys, sizes);
  });
}

AxisSizes part_sizes(const py::array& x, const py::array& y, py::ssize_t parts, py::ssize_t axis) {
  const AxisSizes sizes = sizes_around(x, axis);
  if (parts < 1 || x.shape(axis) % parts != 0) throw std::invalid_argument("parts: expected a divisor of the axis");
  expect_size(y, x.size() / parts, "y");
  return sizes;
}

void parts_forward_of(const std::string& name, const py::array& x, const py::array& out, py::ssize_t parts,
                      py::ssize_t axis) {
  const AxisSizes sizes = part_sizes(x, out, parts, axis);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T* from = contiguous<T>(x, "x");
    T* to = contiguous<T>(out, "out", true);
    const WithoutPython release;
    parts_forward(kernels<T>(), name, to, from, static_cast<size_t>(parts), sizes);
  });
}

void parts_backward_of(const std::string& name, const py::array& x, const py::array& y, const py::array& dy,
                       const py::array& out, py::ssize_t parts, py::ssize_t axis) {
  const AxisSizes sizes = part_sizes(x, y, parts, axis);
  expect_size(dy, y.size(), "dy");
  expect_size(out, x.size(), "out");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T *xs = contiguous<T>(x, "x"), *ys = contiguous<T>(y, "y"), *dys = contiguous<T>(dy, "dy");
    T* to = contiguous<T>(out, "out", true);
    const WithoutPython release;
    parts_backward(kernels<T>(), name, to, xs, ys, dys, static_cast<size_t>(parts), sizes);
  });
}

// Rows of as many elements as there are slopes, or one row for one slope.
void rows_of_slopes(const py::array& x, const py::array& alpha, size_t& rows, size_t& n) {
  const py::ssize_t slopes = alpha.size();
  if (slopes < 1 || x.size() % slopes != 0)
    throw std::invalid_argument("alpha: expected one slope, or one for each channel");
  n = static_cast<size_t>(slopes == 1 ? x.size() : slopes);
  rows = n == 0 ? 0 : static_cast<size_t>(x.size()) / n;
}

void prelu_of(const py::array& x, const py::array& alpha, const py::array& out) {
  expect_size(out, x.size(), "out");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    size_t rows = 0, n = 0;
    rows_of_slopes(x, alpha, rows, n);
    const T *xs = contiguous<T>(x, "x"), *slopes = contiguous<T>(alpha, "alpha");
    T* to = contiguous<T>(out, "out", true);
    const bool shared = alpha.size() == 1;
    const WithoutPython release;
    prelu(kernels<T>(), to, xs, slopes, shared, rows, n);
  });
}

void prelu_backward_of(const py::array& x, const py::array& alpha, const py::array& dy, const py::array& dx,
                       const py::array& dalpha) {
  for (const py::array* array : {&dy, &dx}) expect_size(*array, x.size(), "dy, dx");
  expect_size(dalpha, alpha.size(), "dalpha");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    size_t rows = 0, n = 0;
    rows_of_slopes(x, alpha, rows, n);
    const T *xs = contiguous<T>(x, "x"), *slopes = contiguous<T>(alpha, "alpha"), *dys = contiguous<T>(dy, "dy");
    T *to = contiguous<T>(dx, "dx", true), *to_slopes = contiguous<T>(dalpha, "dalpha", true);
    const bool shared = alpha.size() == 1;
    const WithoutPython release;
    prelu_backward(kernels<T>(), to, to_slopes, xs, dys, slopes, shared, rows, n);
  });
}

void rrelu_of(const py::array& source, const py::array& x, const py::array& out, size_t rows, double lower, double upper,
              uint64_t seed, uint32_t node, uint32_t step) {
  for (const py::array* array : {&x, &out}) expect_size(*array, source.size(), "x, out");
  with_type(source, [&](auto zero) {
    using T = decltype(zero);
    const T *from = contiguous<T>(source, "source"), *xs = contiguous<T>(x, "x");
    T* to = contiguous<T>(out, "out", true);
    const size_t n = rows == 0 ? 0 : static_cast<size_t>(x.size()) / rows;
    const WithoutPython release;
    rrelu(kernels<T>(), to, from, xs, rows, n, lower, upper, seed, node, step);
  });
}

}  // namespace

void register_axes(py::module_& module) {
  module.def("columns_forward", &columns_forward_of, py::arg("name"), py::arg("x"), py::arg("out"), py::arg("axis"));
  module.def("columns_backward", &columns_backward_of, py::arg("name"), py::arg("y"), py::arg("dy"), py::arg("out"),
             py::arg("axis"));
  module.def("parts_forward", &parts_forward_of, py::arg("name"), py::arg("x"), py::arg("out"), py::arg("parts"),
             py::arg("axis"));
  module.def("parts_backward", &parts_backward_of, py::arg("name"), py::arg("x"), py::arg("y"), py::arg("dy"),
             py::arg("out"), py::arg("parts"), py::arg("axis"));
  module.def("prelu", &prelu_of, py::arg("x"), py::arg("alpha"), py::arg("out"));
  module.def("prelu_backward", &prelu_backward_of, py::arg("x"), py::arg("alpha"), py::arg("dy"), py::arg("dx"),
             py::arg("dalpha"));
  module.def("rrelu", &rrelu_of, py::arg("source"), py::arg("x"), py::arg("out"), py::arg("rows"), py::arg("lower"),
             py::arg("upper"), py::arg("seed"), py::arg("node"), py::arg("step"));
}

}  // namespace nncore
