// The kernels for what every CPU of the target has: SSE2 on x86-64, NEON on AArch64.
#if defined(__aarch64__)
#include "vec_neon.hpp"
#else
#include "vec_sse2.hpp"
#endif

namespace nncore {
namespace {

struct Blocks {
  // Most rows of a tile that is 1, 2, 4, 8 panels wide: as many accumulators as the registers hold.
#if defined(__aarch64__)
  static constexpr int kRows[4] = {6, 3, 1, 0};
#else
  static constexpr int kRows[4] = {2, 1, 0, 0};
#endif
  static constexpr size_t kBlockRows = 96;     // rows of A kept in the second-level cache
  static constexpr size_t kDepthBytes = 1024;  // length of a row of A kept there
};

}  // namespace
}  // namespace nncore

#include "../fill.hpp"

namespace nncore {

void fill_baseline(KernelTable& table) { fill_table(table, "baseline"); }

}  // namespace nncore
