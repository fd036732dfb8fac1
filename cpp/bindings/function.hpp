// A user's Python function on whole batches, as the core calls it.
#pragma once
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "bindings/bindings.hpp"
#include "core/graph.hpp"

namespace nncore {

// Calls a nncore.engines.functions.FunctionCall with arrays that belong to Python.
class PyFunction final : public BatchFunction {
 public:
  using Shapes = std::vector<std::vector<int64_t>>;
  PyFunction(pybind11::object call, pybind11::dtype dtype, Shapes inputs, Shapes parameters, std::vector<int64_t> result)
      : call_(std::move(call)),
        dtype_(std::move(dtype)),
        inputs_(std::move(inputs)),
        parameters_(std::move(parameters)),
        result_(std::move(result)) {}
  ~PyFunction() override {
    const pybind11::gil_scoped_acquire acquire;
    call_ = {};
    dtype_ = {};
  }

  void forward(size_t rows, const std::vector<RowsView>& inputs, const std::vector<RowsView>& parameters, const RowsView& y,
               bool training) const override {
    with_python([&] {
      copy_back(y, rows, call("forward", copies(rows, inputs, inputs_), copies(1, parameters, parameters_), training));
    });
  }
  void backward(size_t rows, const std::vector<RowsView>& inputs, const std::vector<RowsView>& parameters,
                const RowsView& y, const RowsView& dy, const std::vector<RowsView>& gradients) const override {
    with_python([&] {
      const pybind11::list results = call("backward", copies(rows, inputs, inputs_), copies(1, parameters, parameters_),
                                          copy(rows, y, &rows, result_), copy(rows, dy, &rows, result_));
      for (size_t i = 0; i < gradients.size(); ++i) copy_back(gradients[i], i < inputs.size() ? rows : 1, results[i]);
    });
  }

 private:
  template <class F>
  static void with_python(const F& f) {
    std::optional<pybind11::gil_scoped_acquire> acquire;
    outlast_python([&] { acquire.emplace(); });
    f();
  }
  // The result of a method. While it runs nothing of C++ is on the way that would be unwound without Python's lock.
  template <class... Arguments>
  pybind11::object call(const char* method, Arguments&&... arguments) const {
    const pybind11::object bound = call_.attr(method);
    const pybind11::tuple all = pybind11::make_tuple(std::forward<Arguments>(arguments)...);
    PyObject* result = nullptr;
    outlast_python([&] { result = PyObject_CallObject(bound.ptr(), all.ptr()); });
    if (!result) throw pybind11::error_already_set();
    return pybind11::reinterpret_steal<pybind11::object>(result);
  }
  // Rows as an array of `shape`, with an axis of the batch before it where `batch` says how long.
  pybind11::array copy(size_t rows, const RowsView& from, const size_t* batch, const std::vector<int64_t>& shape) const {
    std::vector<pybind11::ssize_t> extents(shape.begin(), shape.end());
    if (batch) extents.insert(extents.begin(), static_cast<pybind11::ssize_t>(*batch));
    pybind11::array array(dtype_, extents);
    const size_t size = static_cast<size_t>(dtype_.itemsize());
    for (size_t r = 0; r < rows; ++r)
      std::memcpy(static_cast<char*>(array.mutable_data()) + r * from.width * size,
                  static_cast<const char*>(from.data) + r * from.ld * size, from.width * size);
    return array;
  }
  pybind11::list copies(size_t rows, const std::vector<RowsView>& from, const Shapes& shapes) const {
    pybind11::list arrays;
    for (size_t i = 0; i < from.size(); ++i)
      arrays.append(copy(rows, from[i], &shapes == &inputs_ ? &rows : nullptr, shapes[i]));
    return arrays;
  }
  void copy_back(const RowsView& to, size_t rows, const pybind11::array& array) const {
    const size_t size = static_cast<size_t>(dtype_.itemsize());
    for (size_t r = 0; r < rows; ++r)
      std::memcpy(static_cast<char*>(to.data) + r * to.ld * size,
                  static_cast<const char*>(array.data()) + r * to.width * size, to.width * size);
  }

  pybind11::object call_;
  pybind11::dtype dtype_;
  Shapes inputs_, parameters_;
  std::vector<int64_t> result_;
};

}  // namespace nncore
