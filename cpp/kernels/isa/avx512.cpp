// The kernels for AVX-512 (F, DQ, BW, VL).
#include "vec_avx512.hpp"

namespace nncore {
namespace {

struct Blocks {
  // Most rows of a tile that is 1, 2, 4, 8 panels wide: as many accumulators as the registers hold.
  static constexpr int kRows[4] = {14, 14, 6, 3};
  static constexpr size_t kBlockRows = 168;    // rows of A kept in the second-level cache
  static constexpr size_t kDepthBytes = 2048;  // length of a row of A kept there
};

}  // namespace
}  // namespace nncore

#include "../fill.hpp"

namespace nncore {

void fill_avx512(KernelTable& table) { fill_table(table, "avx512"); }

}  // namespace nncore
