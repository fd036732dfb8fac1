// The kernels for AVX2 with FMA.
#include "vec_avx2.hpp"

namespace nncore {
namespace {

struct Blocks {
  // Most rows of a tile that is 1, 2, 4, 8 panels wide: as many accumulators as the registers hold.
  static constexpr int kRows[4] = {6, 3, 1, 0};
  static constexpr size_t kBlockRows = 144;    // rows of A kept in the second-level cache
  static constexpr size_t kDepthBytes = 1024;  // length of a row of A kept there
};

}  // namespace
}  // namespace nncore

#include "../fill.hpp"

namespace nncore {

void fill_avx2(KernelTable& table) { fill_table(table, "avx2"); }

}  // namespace nncore
