// Bindings of what describes and steers the process: instruction sets, threads, the tables of the core.
#include "bindings/bindings.hpp"
#include "core/cpu.hpp"
#include "core/engine.hpp"
#include "core/op.hpp"
#include "core/threads.hpp"

namespace nncore {

namespace py = pybind11;

void register_runtime(py::module_& module) {
  module.attr("__version__") = NNCORE_VERSION;
  module.def("isa", [] { return active_kernels().isa; });
  module.def("select_isa", &select_isa, py::arg("name"));
  module.def("compiled_isas", &compiled_isas);
  module.def("supported_isas", &supported_isas);
  module.def("cpu_features", &cpu_features);
  module.def("note_fork", &note_fork);
  module.def("get_num_threads", &max_threads);
  module.def("thread_setting", &thread_setting);
  module.def("set_num_threads", &set_max_threads, py::arg("count"));

  module.def("op_names", &op_names);
  module.def("metric_names", &metric_names);
  module.def("loss_names", [] {
    std::vector<std::string> names;
    const Kernels<float>& k = active_kernels().f32;
    for (int i = 0; i < k.loss_count; ++i) names.emplace_back(k.losses[i].name);
    return names;
  });
  module.def("rule_states", [] {
    py::dict states;
    const Kernels<float>& k = active_kernels().f32;
    for (int i = 0; i < k.rule_count; ++i) states[k.rules[i].name] = k.rules[i].states;
    return states;
  });
}

}  // namespace nncore
