// Weight gradients of batches so large that one chain of additions in single precision would lose digits.
#pragma once
#include <algorithm>
#include <cstddef>

#include "core/memory.hpp"

namespace nncore {

// Terms from which on a sum is cut into parts, and the terms of a part.
constexpr size_t kLongSum = 8192, kTermsOfPart = 512;

// The blocks of a result C [m, panels] that the stack has double precision for: f(m0, m, p0, panels).
constexpr size_t kLongRows = 112, kLongPanels = 8;
template <class F>
void for_long_blocks(size_t m, size_t panels, const F& f) {
  for (size_t p = 0; p < panels; p += kLongPanels)
    for (size_t r = 0; r < m; r += kLongRows) f(r, std::min(kLongRows, m - r), p, std::min(kLongPanels, panels - p));
}

// C (+)= the sum of `parts` parts, which are added up in double precision; part(i) puts part i into C. C is that of `g`, a
// block at most.
template <class T, class Part>
void add_parts(const Gemm<T>& g, size_t parts, bool accumulate, const Part& part) {
  constexpr size_t w = kPanel<T>;
  double totals[kLongPanels][kLongRows][w] = {};
  const auto each = [&](const auto& f) {
    for (size_t p = 0; p < g.panels; ++p)
      for (size_t r = 0; r < g.m; ++r) {
        T* c = g.c + static_cast<ptrdiff_t>(r) * g.c_row + static_cast<ptrdiff_t>(p) * g.c_panel;
        for (size_t j = 0; j < w; ++j) f(totals[p][r][j], c[j]);
      }
  };
  const auto add = [](double& total, const T& c) { total += static_cast<double>(c); };
  if (accumulate) each(add);
  for (size_t i = 0; i < parts; ++i) {
    part(i);
    each(add);
  }
  each([](const double& total, T& c) { c = static_cast<T>(total); });
}

// The product `g`, its sums cut into parts where they are long.
template <class T>
void multiply_long(const Kernels<T>& kernels, const Gemm<T>& g) {
  if (sizeof(T) == sizeof(double) || g.k <= kLongSum) {
    kernels.gemm(g);
    return;
  }
  for_long_blocks(g.m, g.panels, [&](size_t m0, size_t m, size_t p0, size_t panels) {
    Gemm<T> block = g;
    block.m = m;
    block.panels = panels;
    block.c += static_cast<ptrdiff_t>(m0) * g.c_row + static_cast<ptrdiff_t>(p0) * g.c_panel;
    block.accumulate = false;
    add_parts(block, (g.k + kTermsOfPart - 1) / kTermsOfPart, g.accumulate, [&](size_t i) {
      const auto k0 = static_cast<ptrdiff_t>(i * kTermsOfPart);
      block.k = std::min(kTermsOfPart, g.k - i * kTermsOfPart);
      block.a = g.a + static_cast<ptrdiff_t>(m0) * g.a_row + k0 * g.a_k;
      block.b = g.b + static_cast<ptrdiff_t>(p0) * g.b_panel + k0 * g.b_k;
      kernels.gemm(block);
    });
  });
}

}  // namespace nncore
