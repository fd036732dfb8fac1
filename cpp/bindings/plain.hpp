// Arguments that a kernel takes as they are, the usual case. Found out here, because the same questions cost microseconds
// in Python, as much as a small array's work. For anything else the functions of nncore/ops.py convert first.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "bindings/bindings.hpp"

namespace nncore {

// The array that `x` is, if it is a NumPy array, no subclass, of float or double as this machine has them.
inline std::optional<pybind11::array> native_array(pybind11::handle x) {
  if (!is_array(x)) return {};
  auto array = pybind11::reinterpret_borrow<pybind11::array>(x);
  if (!has_type<float>(array) && !has_type<double>(array)) return {};
  return array;
}

// The same for an array in C order.
inline std::optional<pybind11::array> plain(pybind11::handle x) {
  std::optional<pybind11::array> array = native_array(x);
  if (array && !(array->flags() & pybind11::array::c_style)) return {};
  return array;
}

inline bool same_type(const pybind11::array& a, const pybind11::array& b) { return a.itemsize() == b.itemsize(); }

inline bool same_shape(const pybind11::array& a, const pybind11::array& b) {
  return a.ndim() == b.ndim() && std::equal(a.shape(), a.shape() + a.ndim(), b.shape());
}

// An object that is known to be an array. (A default py::array is a new array, not an empty handle.)
inline pybind11::array known(pybind11::handle x) { return pybind11::reinterpret_borrow<pybind11::array>(x); }

// Whether all are plain arrays of one type and shape.
inline bool plain_alike(std::initializer_list<pybind11::handle> objects) {
  const std::optional<pybind11::array> first = plain(*objects.begin());
  return first && std::all_of(objects.begin() + 1, objects.end(), [&](pybind11::handle object) {
           const std::optional<pybind11::array> array = plain(object);
           return array && same_type(*array, *first) && same_shape(*array, *first);
         });
}

template <class T>
T* elements(const pybind11::array& array) {
  return static_cast<T*>(const_cast<void*>(array.data()));
}

// The first byte of an array and the one after its last, whatever its strides.
struct Extent {
  uintptr_t begin, end;
  explicit Extent(const pybind11::array& array) : begin(reinterpret_cast<uintptr_t>(array.data())), end(begin) {
    if (array.size() == 0) return;
    for (pybind11::ssize_t i = 0; i < array.ndim(); ++i) {
      const pybind11::ssize_t span = (array.shape(i) - 1) * array.strides(i);
      (span < 0 ? begin : end) += static_cast<uintptr_t>(span);
    }
    end += static_cast<uintptr_t>(array.itemsize());
  }
  bool meets(const Extent& other) const { return begin < other.end && other.begin < end; }
};

// Where a result like `like` may be written: `out`, or a new array where that is None. Nothing where `out` is no such
// array, is read-only, or shares memory with one of the inputs without being it: a kernel would then read what it has
// written.
inline std::optional<pybind11::array> plain_target(pybind11::handle out, const pybind11::array& like,
                                                   std::initializer_list<const pybind11::array*> inputs) {
  if (out.is_none())
    return pybind11::array(like.dtype(), std::vector<pybind11::ssize_t>(like.shape(), like.shape() + like.ndim()));
  std::optional<pybind11::array> array = plain(out);
  if (!array || !same_type(*array, like) || !same_shape(*array, like) || !array->writeable()) return {};
  for (const pybind11::array* input : inputs)
    if (input->data() != array->data() && Extent(*input).meets(Extent(*array))) return {};
  return array;
}

}  // namespace nncore
