// Choice of the kernels by CPU features, in one ordered list.
#include "core/cpu.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <stdexcept>

namespace nncore {
namespace {

struct Implementation {
  const char* name;
  bool (*supported)();
  void (*fill)(KernelTable&);
};

bool always() { return true; }

#if defined(__x86_64__)
// The compiler's run-time check covers both CPUID and the registers that the operating system saves.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

// Best first.
constexpr Implementation kImplementations[] = {
#if defined(__x86_64__)
    {"avx512", has_avx512, fill_avx512},
    {"avx2", has_avx2, fill_avx2},
#endif
    {"baseline", always, fill_baseline},
};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const KernelTable& table_of(const std::string& name, const std::string& asked_by) {
  for (const auto& implementation : kImplementations) {
    if (name != implementation.name || !implementation.supported()) continue;
    // One table for each name, filled once and never freed: engines keep pointing at it.
    static KernelTable tables[std::size(kImplementations)];
    static std::once_flag filled[std::size(kImplementations)];
    const auto index = &implementation - kImplementations;
    std::call_once(filled[index], [&] { implementation.fill(tables[index]); });
    return tables[index];
  }
  throw std::invalid_argument(asked_by + ": expected one of " + join(supported_isas()) + " (supported on this CPU), got '" +
                              name + "'");
}

const KernelTable* initial_table() {
  const char* forced = std::getenv("NNCORE_ISA");
  if (forced && *forced) return &table_of(forced, "environment variable NNCORE_ISA");
  return &table_of(supported_isas().front(), "nncore");
}

std::atomic<const KernelTable*>& active() {
  static std::atomic<const KernelTable*> table{initial_table()};
  return table;
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const auto& implementation : kImplementations) names.emplace_back(implementation.name);
  return names;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const auto& implementation : kImplementations)
    if (implementation.supported()) names.emplace_back(implementation.name);
  return names;
}

const KernelTable& active_kernels() { return *active().load(); }

void select_isa(const std::string& name) { active().store(&table_of(name, "isa")); }

std::vector<std::string> cpu_features() {
  std::vector<std::string> names;
#if defined(__x86_64__)
#define NNCORE_FEATURE(name) \
  if (__builtin_cpu_supports(name)) names.emplace_back(name)
  NNCORE_FEATURE("sse2");
  NNCORE_FEATURE("avx");
  NNCORE_FEATURE("avx2");
  NNCORE_FEATURE("fma");
  NNCORE_FEATURE("avx512f");
  NNCORE_FEATURE("avx512dq");
  NNCORE_FEATURE("avx512bw");
  NNCORE_FEATURE("avx512vl");
#undef NNCORE_FEATURE
#elif defined(__aarch64__)
  names.emplace_back("neon");
#endif
  return names;
}

}  // namespace nncore
