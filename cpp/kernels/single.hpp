// Products of a single row, where a matrix is read or written once and packing it would cost more than the product;
// included after rows.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// y [n] = x [k] B, where rows of B [k, n] are contiguous and `ld` apart. Each element is one chain of multiply-adds in
// ascending k, as in gemm.
template <class V>
void row_by_rows(typename V::T* y, const typename V::T* x, ptrdiff_t x_step, const typename V::T* b, ptrdiff_t ld, size_t k,
                 size_t n) {
  using T = typename V::T;
  constexpr size_t kRows = 8, kColumns = 16384 / sizeof(T);  // rows at a time; columns whose sums stay in the first cache
  for (size_t j0 = 0; j0 < n; j0 += kColumns) {
    const size_t columns = n - j0 < kColumns ? n - j0 : kColumns;
    row_map<V>(y + j0, columns, [](size_t, size_t) { return V::set1(0); });
    for (size_t i = 0; i < k; i += kRows) {
      const size_t rows = k - i < kRows ? k - i : kRows;
      const T* first = b + static_cast<ptrdiff_t>(i) * ld + static_cast<ptrdiff_t>(j0);
      V factors[kRows];
      for (size_t r = 0; r < rows; ++r) factors[r] = V::set1(x[static_cast<ptrdiff_t>(i + r) * x_step]);
      row_map<V>(y + j0, columns, [&](size_t j, size_t lanes) {
        V sum = load_lanes<V>(y + j0 + j, lanes);
        if (rows == kRows) {
#pragma GCC unroll 8
          for (size_t r = 0; r < kRows; ++r)
            sum = fma(factors[r], load_lanes<V>(first + static_cast<ptrdiff_t>(r) * ld + j, lanes), sum);
        } else {
          for (size_t r = 0; r < rows; ++r)
            sum = fma(factors[r], load_lanes<V>(first + static_cast<ptrdiff_t>(r) * ld + j, lanes), sum);
        }
        return sum;
      });
    }
  }
}

// The same where columns of B are contiguous, and x is: each element is the sum of kChains vectors of chains. One chain as
// in gemm would have to transpose B on its way, which takes twice as long as reading it.
template <class V, int kColumns>
void dot_products(typename V::T* y, const typename V::T* x, const typename V::T* b, ptrdiff_t ld, size_t k) {
  constexpr size_t kChains = 4, kStep = kChains * V::kLanes;
  V sums[kColumns][kChains];
  for (auto& column : sums)
    for (V& sum : column) sum = V::set1(0);
  size_t i = 0;
  for (; i + kStep <= k; i += kStep)
#pragma GCC unroll 4
    for (size_t c = 0; c < kChains; ++c) {
      const V factor = V::load(x + i + c * V::kLanes);
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) sums[j][c] = fma(factor, V::load(b + j * ld + i + c * V::kLanes), sums[j][c]);
    }
  for (; i < k; i += V::kLanes) {
    const size_t lanes = k - i < V::kLanes ? k - i : V::kLanes;
    for (int j = 0; j < kColumns; ++j)
      sums[j][0] = fma(load_lanes<V>(x + i, lanes), load_lanes<V>(b + j * ld + i, lanes), sums[j][0]);
  }
  for (int j = 0; j < kColumns; ++j) y[j] = sum_lanes((sums[j][0] + sums[j][1]) + (sums[j][2] + sums[j][3]));
}

template <class V>
void row_by_columns(typename V::T* y, const typename V::T* x, const typename V::T* b, ptrdiff_t ld, size_t k, size_t n) {
  size_t j = 0;
  for (; j + 2 <= n; j += 2) dot_products<V, 2>(y + j, x, b + static_cast<ptrdiff_t>(j) * ld, ld, k);
  if (j < n) dot_products<V, 1>(y + j, x, b + static_cast<ptrdiff_t>(j) * ld, ld, k);
}

// c [m, n] = a^T b for rows a [m] and b [n]; rows of c are `ld` apart.
template <class V>
void outer_product(typename V::T* c, ptrdiff_t ld, const typename V::T* a, ptrdiff_t a_step, const typename V::T* b,
                   size_t m, size_t n) {
  for (size_t r = 0; r < m; ++r) {
    const V factor = V::set1(a[static_cast<ptrdiff_t>(r) * a_step]);
    row_map<V>(c + static_cast<ptrdiff_t>(r) * ld, n,
               [&](size_t j, size_t lanes) { return fma(factor, load_lanes<V>(b + j, lanes), V::set1(0)); });
  }
}

template <class V>
void fill_single(Kernels<typename V::T>& k) {
  k.row_by_rows = row_by_rows<V>;
  k.row_by_columns = row_by_columns<V>;
  k.outer_product = outer_product<V>;
}

}  // namespace
}  // namespace nncore
