// Which kernels this process runs: the best that CPU and operating system support, or the one named by NNCORE_ISA.
#pragma once
#include <string>
#include <vector>

#include "kernels/kernel_table.hpp"

namespace nncore {

// Names from best to plainest: all that this build contains; those that this machine can run.
std::vector<std::string> compiled_isas();
std::vector<std::string> supported_isas();

// The table in use. Throws std::invalid_argument at first use if NNCORE_ISA names no supported instruction set.
const KernelTable& active_kernels();

// Switches the table for what is created from now on; std::invalid_argument as above.
void select_isa(const std::string& name);

// Names of the CPU features that matter here and that this machine has.
std::vector<std::string> cpu_features();

}  // namespace nncore
