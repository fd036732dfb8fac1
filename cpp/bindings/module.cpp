// The compiled module nncore._core: a table of contents.
#include "bindings/bindings.hpp"
#include "core/cpu.hpp"
#include "core/threads.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  module.doc() = "The native core of nncore.";
  try {
    nncore::active_kernels();
    nncore::thread_setting();  // looks at the environment now, whatever others set later
  } catch (const std::invalid_argument& error) {
    throw pybind11::import_error(error.what());
  }
  if (pybind11::module_::import("nncore.threads").attr("forked").cast<bool>()) nncore::note_fork();
  nncore::register_runtime(module);
  nncore::register_ops(module);
  nncore::register_axes(module);
  nncore::register_norms(module);
  nncore::register_engine(module);
}
