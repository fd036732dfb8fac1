// Bindings of the normalisations; see ops.cpp. Arrays [n] that may be missing come as None.
#include <optional>

#include "bindings/bindings.hpp"
#include "core/cpu.hpp"
#include "core/norms.hpp"

namespace nncore {

namespace py = pybind11;

namespace {

using Vector = std::optional<py::array>;

template <class T>
const Kernels<T>& kernels() {
  return kernels_of<T>(active_kernels());
}

py::ssize_t channels_of(const py::array& x) {
  if (x.ndim() == 0 || x.shape(x.ndim() - 1) == 0) throw std::invalid_argument("x: expected at least one channel");
  return x.shape(x.ndim() - 1);
}

template <class T>
const T* given(const Vector& array, py::ssize_t n, const char* name) {
  if (!array) return nullptr;
  expect_size(*array, n, name);
  return contiguous<T>(*array, name);
}

template <class T>
const VectorNormKernels<T>& vector_norm(const std::string& name) {
  if (name == "layer_norm") return kernels<T>().layer_norm;
  if (name == "rms_norm") return kernels<T>().rms_norm;
  throw std::invalid_argument("name: expected 'layer_norm' or 'rms_norm', got '" + name + "'");
}

void vector_norm_forward_of(const std::string& name, const py::array& x, const py::array& out, const Vector& gamma,
                            const Vector& beta, double epsilon) {
  const py::ssize_t n = channels_of(x);
  expect_size(out, x.size(), "out");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const VectorNormKernels<T>& own = vector_norm<T>(name);
    const T* from = contiguous<T>(x, "x");
    T* to = contiguous<T>(out, "out", true);
    const Affine<T> affine{given<T>(gamma, n, "gamma"), given<T>(beta, n, "beta")};
    const auto count = static_cast<size_t>(x.size() / n);
    const WithoutPython release;
    vector_norm_forward(own, to, from, count, static_cast<size_t>(n), static_cast<T>(epsilon), affine);
  });
}

// The arrays that a backward writes.
template <class T>
NormGradients<T> gradients(const py::array& x, const py::array& dx, const py::array& dgamma, const py::array& dbeta,
                           py::ssize_t n) {
  expect_size(dx, x.size(), "dx");
  expect_size(dgamma, n, "dgamma");
  expect_size(dbeta, n, "dbeta");
  return {contiguous<T>(dx, "dx", true), contiguous<T>(dgamma, "dgamma", true), contiguous<T>(dbeta, "dbeta", true)};
}

void vector_norm_backward_of(const std::string& name, const py::array& x, const py::array& dy, const py::array& dx,
                             const py::array& dgamma, const py::array& dbeta, const Vector& gamma, double epsilon) {
  const py::ssize_t n = channels_of(x);
  expect_size(dy, x.size(), "dy");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const VectorNormKernels<T>& own = vector_norm<T>(name);
    const T *xs = contiguous<T>(x, "x"), *dys = contiguous<T>(dy, "dy"), *scale = given<T>(gamma, n, "gamma");
    const NormGradients<T> d = gradients<T>(x, dx, dgamma, dbeta, n);
    const auto count = static_cast<size_t>(x.size() / n);
    const WithoutPython release;
    vector_norm_backward(kernels<T>(), own, d, xs, dys, count, static_cast<size_t>(n), static_cast<T>(epsilon), scale);
  });
}

void batch_norm_forward_of(const py::array& x, const py::array& out, const Vector& gamma, const Vector& beta,
                           const Vector& mean, const Vector& variance, double epsilon) {
  const py::ssize_t n = channels_of(x);
  expect_size(out, x.size(), "out");
  if (mean.has_value() != variance.has_value()) throw std::invalid_argument("variance: expected it beside a mean");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T *from = contiguous<T>(x, "x"), *m = given<T>(mean, n, "mean"), *v = given<T>(variance, n, "variance");
    T* to = contiguous<T>(out, "out", true);
    const Affine<T> affine{given<T>(gamma, n, "gamma"), given<T>(beta, n, "beta")};
    const auto count = static_cast<size_t>(x.size() / n);
    const WithoutPython release;
    batch_norm_forward(kernels<T>(), to, from, count, static_cast<size_t>(n), m, v, static_cast<T>(epsilon), affine);
  });
}

void batch_norm_backward_of(const py::array& x, const py::array& dy, const py::array& dx, const py::array& dgamma,
                            const py::array& dbeta, const Vector& gamma, const Vector& mean, const Vector& variance,
                            double epsilon) {
  const py::ssize_t n = channels_of(x);
  expect_size(dy, x.size(), "dy");
  if (mean.has_value() != variance.has_value()) throw std::invalid_argument("variance: expected it beside a mean");
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    const T *xs = contiguous<T>(x, "x"), *dys = contiguous<T>(dy, "dy"), *scale = given<T>(gamma, n, "gamma");
    const T *m = given<T>(mean, n, "mean"), *v = given<T>(variance, n, "variance");
    const NormGradients<T> d = gradients<T>(x, dx, dgamma, dbeta, n);
    const auto count = static_cast<size_t>(x.size() / n);
    const WithoutPython release;
    batch_norm_backward(kernels<T>(), d, xs, dys, count, static_cast<size_t>(n), m, v, static_cast<T>(epsilon), scale);
  });
}

}  // namespace

void register_norms(py::module_& module) {
  module.def("vector_norm_forward", &vector_norm_forward_of, py::arg("name"), py::arg("x"), py::arg("out"),
             py::arg("gamma"), py::arg("beta"), py::arg("epsilon"));
  module.def("vector_norm_backward", &vector_norm_backward_of, py::arg("name"), py::arg("x"), py::arg("dy"), py::arg("dx"),
             py::arg("dgamma"), py::arg("dbeta"), py::arg("gamma"), py::arg("epsilon"));
  module.def("batch_norm_forward", &batch_norm_forward_of, py::arg("x"), py::arg("out"), py::arg("gamma"), py::arg("beta"),
             py::arg("mean"), py::arg("variance"), py::arg("epsilon"));
  module.def("batch_norm_backward", &batch_norm_backward_of, py::arg("x"), py::arg("dy"), py::arg("dx"), py::arg("dgamma"),
             py::arg("dbeta"), py::arg("gamma"), py::arg("mean"), py::arg("variance"), py::arg("epsilon"));
}

}  // namespace nncore
