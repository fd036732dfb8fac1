// The matrix product: register tiles, and the loops over cache blocks around them; included after a vec_*.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// C[MR, NP panels] (+)= A B (+ bias). UnitRows: rows of A are adjacent (a_row == 1), as in the weight gradient x^T dy.
template <class V, int MR, int NP, bool UnitRows>
void gemm_tile(const Gemm<typename V::T>& g, size_t k, const typename V::T* a, const typename V::T* b, typename V::T* c,
               const typename V::T* bias, bool accumulate) {
  using T = typename V::T;
  constexpr int kPerPanel = static_cast<int>(kPanel<T>) / V::kLanes;
  constexpr int kVectors = NP * kPerPanel;
  // Three rows share a base pointer: x86 addresses base + index * {1, 2} for free, and registers are scarce.
  constexpr int kBases = (MR + 2) / 3;
  const ptrdiff_t a_row = g.a_row, a_k = g.a_k, b_k = g.b_k, b_panel = g.b_panel, c_row = g.c_row, c_panel = g.c_panel;

  V acc[MR][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j)
      acc[i][j] =
          accumulate ? V::load(c + i * c_row + (j / kPerPanel) * c_panel + (j % kPerPanel) * V::kLanes) : V::set1(0);

  const T* base[kBases];
#pragma GCC unroll 8
  for (int q = 0; q < kBases; ++q) base[q] = a + 3 * q * a_row;

  for (; k > 0; --k) {
    V bv[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; ++j) bv[j] = V::load(b + (j / kPerPanel) * b_panel + (j % kPerPanel) * V::kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const V av = V::set1(UnitRows ? a[i] : base[i / 3][(i % 3) * a_row]);
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    b += b_k;
    if (UnitRows) {
      a += a_k;
    } else {
#pragma GCC unroll 8
      for (int q = 0; q < kBases; ++q) base[q] += a_k;
    }
  }

#pragma GCC unroll 16
  for (int j = 0; j < kVectors; ++j) {
    const V shift = bias ? V::load(bias + j * V::kLanes) : V::set1(0);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const V sum = bias ? acc[i][j] + shift : acc[i][j];
      sum.store(c + i * c_row + (j / kPerPanel) * c_panel + (j % kPerPanel) * V::kLanes);
    }
  }
}

template <class V>
using GemmTile = void (*)(const Gemm<typename V::T>&, size_t, const typename V::T*, const typename V::T*, typename V::T*,
                          const typename V::T*, bool);

// Tiles by width 1, 2, 4, 8 panels (index log2), rows and kind of A. V::Blocks::kRows gives the most rows of each width.
constexpr int kWidths = 4, kMaxRows = 14;

template <class V>
struct GemmTiles {
  GemmTile<V> at[kWidths][kMaxRows][2];
};

template <class V, int Width, int MR>
constexpr void set_gemm_tiles(GemmTiles<V>& tiles) {
  if constexpr (MR > 0) {
    tiles.at[Width][MR - 1][0] = gemm_tile<V, MR, 1 << Width, false>;
    tiles.at[Width][MR - 1][1] = gemm_tile<V, MR, 1 << Width, true>;
    set_gemm_tiles<V, Width, MR - 1>(tiles);
  }
}

template <class V>
constexpr GemmTiles<V> make_gemm_tiles() {
  GemmTiles<V> tiles = {};
  set_gemm_tiles<V, 0, Blocks::kRows[0]>(tiles);
  set_gemm_tiles<V, 1, Blocks::kRows[1]>(tiles);
  set_gemm_tiles<V, 2, Blocks::kRows[2]>(tiles);
  set_gemm_tiles<V, 3, Blocks::kRows[3]>(tiles);
  return tiles;
}

// The widest tile that takes m rows at once; for more rows than any takes, the widest of the tallest tiles.
inline int gemm_width(size_t m) {
  int best = 0;
  for (int w = 1; w < kWidths; ++w)
    if (static_cast<size_t>(Blocks::kRows[w]) >= m || Blocks::kRows[w] == Blocks::kRows[0]) best = w;
  return best;
}

// Rows [0, m) in tiles of at most `most` rows whose heights differ by one at most: f(first, height).
template <class F>
inline void equal_tiles(size_t m, size_t most, F f) {
  const size_t count = (m + most - 1) / most;
  size_t first = 0;
  for (size_t t = 0; t < count; ++t) {
    const size_t height = m / count + (t < m % count ? 1 : 0);
    f(first, height);
    first += height;
  }
}

template <class V>
void gemm(const Gemm<typename V::T>& g) {
  using T = typename V::T;
  static constexpr GemmTiles<V> kTiles = make_gemm_tiles<V>();
  constexpr size_t kDepth = Blocks::kDepthBytes / sizeof(T);
  const bool unit = g.a_row == 1;
  size_t k0 = 0;
  do {
    const size_t k = g.k - k0 < kDepth ? g.k - k0 : kDepth;
    const bool first = k0 == 0, last = k0 + k == g.k;
    equal_tiles(g.m, Blocks::kBlockRows, [&](size_t m0, size_t m) {
      const int widest = gemm_width(m);
      for (size_t p = 0; p < g.panels;) {
        int width = widest;
        while ((size_t{1} << width) > g.panels - p) --width;
        const T* b = g.b + static_cast<ptrdiff_t>(k0) * g.b_k + static_cast<ptrdiff_t>(p) * g.b_panel;
        equal_tiles(m, static_cast<size_t>(Blocks::kRows[width]), [&](size_t i, size_t rows) {
          const auto row = static_cast<ptrdiff_t>(m0 + i);
          kTiles.at[width][rows - 1][unit](g, k, g.a + row * g.a_row + static_cast<ptrdiff_t>(k0) * g.a_k, b,
                                           g.c + row * g.c_row + static_cast<ptrdiff_t>(p) * g.c_panel,
                                           last && g.bias ? g.bias + p * kPanel<T> : nullptr, g.accumulate || !first);
        });
        p += size_t{1} << width;
      }
    });
    k0 += k;
  } while (k0 < g.k);
}

}  // namespace
}  // namespace nncore
