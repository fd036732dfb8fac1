// Binding of the engine.
#include "bindings/engine.hpp"

#include "bindings/step.hpp"

namespace nncore {

void register_engine(py::module_& module) {
  py::register_exception_translator([](std::exception_ptr pointer) {
    // pybind11 makes other errors of a list or a tuple that Python has no memory for.
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError)) return;
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const DivergenceError& error) {
      py::set_error(PyExc_FloatingPointError, error.what());
    }
  });
  py::class_<PyEngine>(module, "Engine")
      .def(py::init<const PyEngine::Nodes&, const PyEngine::Parameters&, const std::vector<int>&, const std::vector<int>&,
                    const std::string&, uint64_t, const PyEngine::Functions&>(),
           py::arg("nodes"), py::arg("parameters"), py::arg("inputs"), py::arg("outputs"), py::arg("dtype"),
           py::arg("seed"), py::arg("functions") = PyEngine::Functions())
      .def("__enter__", &PyEngine::hold)
      .def("__exit__", [](PyEngine& engine, const py::args&) { engine.release(); })
      .def("get_parameter", &PyEngine::get_parameter, py::arg("index"))
      .def("assign", &PyEngine::assign, py::arg("parameters"), py::arg("states"))
      .def("get_gradient", &PyEngine::get_gradient, py::arg("index"))
      .def("get_state", &PyEngine::get_state, py::arg("rule"), py::arg("state"), py::arg("index"))
      .def("penalty", &PyEngine::penalty)
      .def("forward", &PyEngine::forward, py::arg("inputs"), py::arg("training"))
      .def("backward", &PyEngine::backward, py::arg("gradients"))
      .def("update", &PyEngine::update, py::arg("rule"), py::arg("rates"))
      .def("predict", &PyEngine::predict, py::arg("inputs"), py::arg("batch_size"))
      .def("predict_plain", &PyEngine::predict_plain, py::arg("x"), py::arg("batch_size"))
      .def("run", &PyEngine::run, py::arg("inputs"), py::arg("target"), py::arg("indices"), py::arg("sample_weight"),
           py::arg("order"), py::arg("start"), py::arg("batch_size"), py::arg("loss"), py::arg("ignored"),
           py::arg("metrics"), py::arg("rule"), py::arg("rates"), py::arg("deadline"), py::arg("sums"))
      .def_property_readonly("pending_rows", &PyEngine::pending_rows)
      .def_property_readonly("seed", &PyEngine::seed)
      .def_property("draws", &PyEngine::draws, &PyEngine::set_draws)
      .def_property("iterations", &PyEngine::iterations, &PyEngine::set_iterations)
      .def_property("accumulated", &PyEngine::accumulated, &PyEngine::set_accumulated)
      .def_property("divide_penalty", &PyEngine::divide_penalty, &PyEngine::set_divide_penalty);
  py::class_<PyStep>(module, "Step")
      .def(py::init<py::object, const PyEngine::LossChoice&, const std::vector<std::string>&, const RuleArgument&, bool,
                    double, double, std::vector<py::ssize_t>>(),
           py::arg("engine"), py::arg("loss"), py::arg("metrics"), py::arg("rule"), py::arg("indices"), py::arg("low"),
           py::arg("high"), py::arg("target_shape"))
      .def("__call__", &PyStep::operator(), py::arg("x"), py::arg("y"), py::arg("rates"));
}

}  // namespace nncore
