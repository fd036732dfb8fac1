// What the binding files share: the register functions, and checks of arrays that come from Python.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#if defined(__GLIBC__)
#include <cxxabi.h>
#endif

namespace nncore {

void register_runtime(pybind11::module_& module);
void register_ops(pybind11::module_& module);
void register_axes(pybind11::module_& module);
void register_norms(pybind11::module_& module);
void register_engine(pybind11::module_& module);

// Runs f, which may wait for Python's lock. Python before 3.14 ends a daemon thread that does so while the interpreter
// shuts down by pthread_exit, and where C++ must not throw, its unwinding ends the process. Such a thread sleeps here
// instead, as in later Pythons, until the process is gone.
template <class F>
void outlast_python(const F& f) {
#if defined(__GLIBC__)
  try {
    f();
  } catch (const abi::__forced_unwind&) {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
#else
  f();
#endif
}

// Python's lock is released while this lives.
class WithoutPython {
 public:
  WithoutPython() : thread_(PyEval_SaveThread()) {}
  ~WithoutPython() {
    outlast_python([&] { PyEval_RestoreThread(thread_); });
  }
  WithoutPython(const WithoutPython&) = delete;
  WithoutPython& operator=(const WithoutPython&) = delete;

 private:
  PyThreadState* thread_;
};

// A NumPy array and no subclass: what is masked in a masked array would count.
inline bool is_array(pybind11::handle x) {
  return Py_TYPE(x.ptr()) == reinterpret_cast<PyTypeObject*>(pybind11::detail::npy_api::get().PyArray_Type_);
}

template <class T>
bool has_type(const pybind11::array& array) {
  // Nearly always the one descriptor that NumPy has for the type; comparing others takes longer.
  const pybind11::dtype own = array.dtype(), wanted = pybind11::dtype::of<T>();
  return own.is(wanted) || own.equal(wanted);
}

// A C-contiguous array of T, without a copy; anything else is refused. The Python layer has converted already.
template <class T>
T* contiguous(const pybind11::array& array, const char* name, bool writeable = false) {
  if (!has_type<T>(array)) throw std::invalid_argument(std::string(name) + ": wrong dtype");
  if (!(array.flags() & pybind11::array::c_style)) throw std::invalid_argument(std::string(name) + ": expected C order");
  if (writeable && !array.writeable()) throw std::invalid_argument(std::string(name) + ": expected a writeable array");
  return static_cast<T*>(const_cast<void*>(array.data()));
}

// f(T{}) with T the array's type, float or double.
template <class F>
auto with_type(const pybind11::array& array, const F& f) {
  return has_type<double>(array) ? f(double{}) : f(float{});
}

inline void expect_size(const pybind11::array& array, pybind11::ssize_t size, const char* name) {
  if (array.size() != size)
    throw std::invalid_argument(std::string(name) + ": expected " + std::to_string(size) + " elements, got " +
                                std::to_string(array.size()));
}

}  // namespace nncore
