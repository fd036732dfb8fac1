// Dispatch: the ordered list of instruction sets, switching by name, and the environment variable.
#include "core/cpu.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "support.hpp"

TEST_SUITE_BEGIN("core/cpu");

namespace nncore {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// What select_isa(name) says, or nothing.
std::string complaint(const std::string& name) {
  try {
    select_isa(name);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("supported instruction sets are compiled ones, in their order, down to the baseline") {
  const std::vector<std::string> compiled = compiled_isas(), supported = supported_isas();
  CHECK(supported.back() == "baseline");
  size_t at = 0;
  for (const std::string& name : compiled)
    if (at < supported.size() && supported[at] == name) ++at;
  CHECK(at == supported.size());
}

TEST_CASE("select_isa takes every supported name; tables are complete and stay where they are") {
  const std::string before = active_kernels().isa;
  for (const std::string& name : supported_isas()) {
    CAPTURE(name);
    select_isa(name);
    const KernelTable& table = active_kernels();
    CHECK(table.isa == name);
    CHECK((table.philox != nullptr));
    CHECK((table.f32.gemm != nullptr));
    CHECK((table.f64.gemm != nullptr));
    CHECK(table.f32.activation_count == table.f64.activation_count);
    select_isa("baseline");
    select_isa(name);
    CHECK(&active_kernels() == &table);
  }
  select_isa(before);
}

TEST_CASE("select_isa rejects nonsense with the list of choices, and changes nothing") {
  const std::string before = active_kernels().isa;
  std::vector<std::string> bad = {"", "AVX2", "neon2", "baseline "};
  for (const std::string& name : compiled_isas())
    if (!contains(supported_isas(), name)) bad.push_back(name);
  for (const std::string& name : bad) {
    const std::string said = complaint(name);
    CAPTURE(said);
    CHECK(said.find("isa: expected one of ") == 0);
    CHECK(said.find("got '" + name + "'") != std::string::npos);
    for (const std::string& choice : supported_isas()) CHECK(said.find(choice) != std::string::npos);
  }
  CHECK(active_kernels().isa == before);
}

// Skipped unless asked for: ctest runs it in processes of its own, with NNCORE_ISA set.
TEST_CASE("environment variable NNCORE_ISA decides, or is refused" * doctest::skip()) {
  const char* text = std::getenv("NNCORE_ISA");
  const std::string forced = text ? text : "";
  if (forced.empty() || contains(supported_isas(), forced)) {
    CHECK(active_kernels().isa == (forced.empty() ? supported_isas().front() : forced));
    return;
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::string said;
    try {
      active_kernels();
    } catch (const std::invalid_argument& error) {
      said = error.what();
    }
    CAPTURE(said);
    CHECK(said.find("environment variable NNCORE_ISA: expected one of " + supported_isas().front()) == 0);
    CHECK(said.find("got '" + forced + "'") != std::string::npos);
  }
}

}  // namespace
}  // namespace nncore
