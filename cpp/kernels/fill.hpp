// Fills a kernel table from the templates; each isa/*.cpp includes its vectors and block sizes, then this.
#pragma once
#include "kernel_table.hpp"
#include "math.hpp"
#include "activations.hpp"
#include "rows.hpp"
#include "parts.hpp"
#include "losses.hpp"
#include "rules.hpp"
#include "random.hpp"
#include "slopes.hpp"
#include "matrix.hpp"
#include "single.hpp"
#include "channels.hpp"
#include "vectors.hpp"
#include "noise.hpp"
#include "gemm.hpp"

namespace nncore {
namespace {

template <class V>
void fill_kernels(Kernels<typename V::T>& k) {
  k.gemm = gemm<V>;
  k.gemm_scratch = gemm_scratch<V>();
  k.gemm_depth = Blocks::kDepthBytes / sizeof(typename V::T);
  k.dropout_mask = dropout_mask<V>;
  k.apply_mask = apply_mask<V>;
  fill_matrix<V>(k);
  fill_single<V>(k);
  fill_channels<V>(k);
  fill_vectors<V>(k);
  fill_noise<V>(k);
  fill_activations<V>(k);
  fill_row_ops<V>(k);
  fill_part_ops<V>(k);
  fill_slopes<V>(k);
  fill_losses<V>(k);
  fill_rules<V>(k);
}

void fill_table(KernelTable& table, const char* isa) {
  table.isa = isa;
  table.philox = philox;
  fill_kernels<F32>(table.f32);
  fill_kernels<F64>(table.f64);
}

}  // namespace
}  // namespace nncore
