// The matrix product: register tiles, and the loops over cache blocks around them; included after matrix.hpp.
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

// A [m, k] copied into strips as high as the tiles: strip t is [k][height], at t * pitch. The copies are in whole vectors
// and may write into the slack that a pitch leaves after its strip.
template <class V>
void pack_strips(typename V::T* packed, size_t pitch, const typename V::T* a, ptrdiff_t a_row, ptrdiff_t a_k, size_t m,
                 size_t k, size_t most) {
  using T = typename V::T;
  constexpr size_t kLanes = V::kLanes;
  if (a_row == 1) {
    constexpr size_t kStep = 32;  // steps in k at a time: their pages stay in the translation buffer from strip to strip
    for (size_t i0 = 0; i0 < k; i0 += kStep) {
      const size_t i1 = k - i0 < kStep ? k : i0 + kStep;
      T* strip = packed;
      equal_tiles(m, most, [&](size_t first, size_t height) {
        const T* from = a + static_cast<ptrdiff_t>(i0) * a_k + first;
        T* to = strip + i0 * height;
        for (size_t i = i0; i < i1; ++i, from += a_k, to += height) {
          __builtin_prefetch(from + static_cast<ptrdiff_t>(kStep) * a_k);
          size_t j = 0;
          for (; j < height && first + j + kLanes <= m; j += kLanes) V::load(from + j).store(to + j);
          for (; j < height; ++j) to[j] = from[j];
        }
        strip += pitch;
      });
    }
    return;
  }
  equal_tiles(m, most, [&](size_t first, size_t height) {
    const T* from = a + static_cast<ptrdiff_t>(first) * a_row;
    size_t i = 0;
    if (a_k == 1 && height > 2) {
      // Squares are transposed, which pays for more than two rows. Where the strip is narrower, what a store writes beyond
      // a step the next step overwrites.
      constexpr size_t kBlocks = (kMaxRows + kLanes - 1) / kLanes;
      for (; i + kLanes <= k; i += kLanes) {
        V rows[kBlocks][kLanes];
        for (size_t b = 0; b * kLanes < height; ++b) {
          for (size_t r = 0; r < kLanes; ++r) {
            const size_t row = b * kLanes + r < height ? b * kLanes + r : height - 1;
            rows[b][r] = V::load(from + static_cast<ptrdiff_t>(row) * a_row + i);
          }
          transpose_block(rows[b]);
        }
        for (size_t j = 0; j < kLanes; ++j)
          for (size_t b = 0; b * kLanes < height; ++b) rows[b][j].store(packed + (i + j) * height + b * kLanes);
      }
    }
    for (; i < k; ++i)
      for (size_t r = 0; r < height; ++r)
        packed[i * height + r] = from[static_cast<ptrdiff_t>(r) * a_row + static_cast<ptrdiff_t>(i) * a_k];
    packed += pitch;
  });
}

// Panels of B that are copied at a time: whole tiles of any width, and no more than the second-level cache has room for.
constexpr size_t kGroup = 256 * 1024 / (Blocks::kDepthBytes * 16);

// Most elements that gemm copies: a block of A and a group of panels of B.
template <class V>
constexpr size_t gemm_scratch() {
  constexpr size_t depth = Blocks::kDepthBytes / sizeof(typename V::T), slack = 2 * V::kLanes;
  return Blocks::kBlockRows * (depth + slack) + kGroup * depth * kPanel<typename V::T>;
}

template <class V>
void gemm(const Gemm<typename V::T>& g) {
  using T = typename V::T;
  static constexpr GemmTiles<V> kTiles = make_gemm_tiles<V>();
  constexpr size_t kDepth = Blocks::kDepthBytes / sizeof(T), w = kPanel<T>;
  constexpr ptrdiff_t kFar = 1024 / sizeof(T);  // from here on each step is likely to be on another page
  const bool unit = g.a_row == 1;
  // A copy pays when enough columns (of A) or rows (of B) use it.
  const bool copy_a = g.scratch && g.m > 24 && (unit ? g.panels >= 8 && g.a_k >= kFar && g.k >= 64 : g.panels >= 24);
  const bool copy_b = g.scratch && g.m >= 48 && g.b_k >= kFar && g.k >= 64;
  // Once the operands are far beyond the caches' reach, what a tile begins with is fetched while the one before it runs.
  const bool fetch = g.m > 96 && g.panels * g.k * w * sizeof(T) > (size_t{8} << 20);
  T* const a_copy = g.scratch + (copy_b ? kGroup * kDepth * w : 0);
  const size_t group = copy_b ? kGroup : g.panels;
  for (size_t p0 = 0; p0 < g.panels; p0 += group) {
    const size_t p1 = g.panels - p0 < group ? g.panels : p0 + group;
    size_t k0 = 0;
    do {
      const size_t k = g.k - k0 < kDepth ? g.k - k0 : kDepth;
      const bool first = k0 == 0, last = k0 + k == g.k;
      Gemm<T> t = g;  // with the strides of the copies
      const T* b0 = g.b + static_cast<ptrdiff_t>(k0) * g.b_k + static_cast<ptrdiff_t>(p0) * g.b_panel;
      if (copy_b) {
        pack_panels<V>(g.scratch, b0, g.b_k, g.b_panel, k, p1 - p0);
        b0 = g.scratch;
        t.b_k = static_cast<ptrdiff_t>(w);
        t.b_panel = static_cast<ptrdiff_t>(k * w);
      }
      equal_tiles(g.m, Blocks::kBlockRows, [&](size_t m0, size_t m) {
        const int widest = gemm_width(m);
        const auto most = static_cast<size_t>(Blocks::kRows[widest]);
        const T* a = g.a + static_cast<ptrdiff_t>(m0) * g.a_row + static_cast<ptrdiff_t>(k0) * g.a_k;
        const size_t pitch = most * k + V::kLanes;
        if (copy_a) pack_strips<V>(a_copy, pitch, a, g.a_row, g.a_k, m, k, most);
        for (size_t p = p0; p < p1;) {
          int width = widest;
          while ((size_t{1} << width) > p1 - p) --width;
          const T* b = b0 + static_cast<ptrdiff_t>(p - p0) * t.b_panel;
          const T* next = b + t.b_panel * (ptrdiff_t{1} << width);
          const T* strip = a_copy;
          const size_t height = copy_a ? most : static_cast<size_t>(Blocks::kRows[width]),
                       tiles = (m + height - 1) / height;
          equal_tiles(m, height, [&](size_t i, size_t rows) {
            const auto row = static_cast<ptrdiff_t>(m0 + i);
            if (copy_a) t.a_k = static_cast<ptrdiff_t>(rows);
            const T* from = copy_a ? strip : a + static_cast<ptrdiff_t>(i) * g.a_row;
            T* c = g.c + row * g.c_row + static_cast<ptrdiff_t>(p) * g.c_panel;
            if (fetch) {
              for (size_t q = 0; q < size_t{1} << width; ++q)
                for (size_t r = rows; r < 2 * rows; ++r)
                  __builtin_prefetch(c + static_cast<ptrdiff_t>(r) * g.c_row + static_cast<ptrdiff_t>(q) * g.c_panel, 1);
              for (size_t q = 0; q < (k << width) / tiles && !copy_b; ++q, next += w) __builtin_prefetch(next);
            }
            kTiles.at[width][rows - 1][unit || copy_a](t, k, from, b, c, last && g.bias ? g.bias + p * w : nullptr,
                                                       g.accumulate || !first);
            strip += pitch;
          });
          p += size_t{1} << width;
        }
      });
      k0 += k;
    } while (k0 < g.k);
  }
}

}  // namespace
}  // namespace nncore
