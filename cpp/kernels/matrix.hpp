// Moving matrices between layouts, and the small passes around the matrix product; included after rows.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// target [w, w] = source [w, w] transposed, w = kPanel; target contiguous.
template <class V>
inline void transpose_square(typename V::T* target, const typename V::T* source, ptrdiff_t source_row) {
  constexpr int w = static_cast<int>(kPanel<typename V::T>), n = V::kLanes;
  for (int i = 0; i < w; i += n)
    for (int j = 0; j < w; j += n) {
      V rows[n];
      for (int r = 0; r < n; ++r) rows[r] = V::load(source + (i + r) * source_row + j);
      transpose_block(rows);
      for (int r = 0; r < n; ++r) rows[r].store(target + (j + r) * w + i);
    }
}

// Whole panels of B [k, panels] copied one behind the other, all of them step by step in k: where they lie side by side,
// each step reads one run of memory.
template <class V>
void pack_panels(typename V::T* packed, const typename V::T* b, ptrdiff_t b_k, ptrdiff_t b_panel, size_t k, size_t panels) {
  constexpr size_t w = kPanel<typename V::T>;
  constexpr ptrdiff_t kAhead = 16;
  for (size_t i = 0; i < k; ++i)
    for (size_t q = 0; q < panels; ++q) {
      const typename V::T* from = b + static_cast<ptrdiff_t>(i) * b_k + static_cast<ptrdiff_t>(q) * b_panel;
      __builtin_prefetch(from + kAhead * b_k);
      for (size_t j = 0; j < w; j += V::kLanes) V::load(from + j).store(packed + (q * k + i) * w + j);
    }
}

template <class V>
void pack(typename V::T* panels, const typename V::T* b, size_t k, size_t n, ptrdiff_t row, ptrdiff_t col) {
  using T = typename V::T;
  constexpr size_t w = kPanel<T>;
  size_t first = 0;
  if (col == 1) {
    first = n / w * w;
    pack_panels<V>(panels, b, row, static_cast<ptrdiff_t>(w), k, n / w);
    panels += first * k;
  }
  for (; first < n; first += w) {
    const size_t width = n - first < w ? n - first : w;
    size_t i = 0;
    if (row == 1 && width == w)
      for (; i + w <= k; i += w, panels += w * w)
        transpose_square<V>(panels, b + i + static_cast<ptrdiff_t>(first) * col, col);
    for (; i < k; ++i, panels += w) {
      const T* s = b + static_cast<ptrdiff_t>(i) * row + static_cast<ptrdiff_t>(first) * col;
      for (size_t j = 0; j < width; ++j) panels[j] = s[static_cast<ptrdiff_t>(j) * col];
      for (size_t j = width; j < w; ++j) panels[j] = 0;
    }
  }
}

template <class V>
void transpose(typename V::T* transposed, const typename V::T* panels, size_t k, size_t n, size_t k0, size_t k1, size_t p0,
               size_t p1) {
  using T = typename V::T;
  constexpr size_t w = kPanel<T>;
  for (size_t p = p0; p < p1; ++p) {
    const size_t width = n - p * w < w ? n - p * w : w;
    for (size_t i = k0; i < k1; i += w) {
      const size_t height = k1 - i < w ? k1 - i : w;
      const T* source = panels + (p * k + i) * w;
      T* target = transposed + ((i / w) * n + p * w) * w;
      if (width == w && height == w) {
        transpose_square<V>(target, source, static_cast<ptrdiff_t>(w));
        continue;
      }
      for (size_t c = 0; c < width; ++c)
        for (size_t r = 0; r < height; ++r) target[c * w + r] = source[r * w + c];
    }
  }
}

template <class V>
void column_sums(typename V::T* sums, const typename V::T* x, size_t rows, size_t n, size_t ld, bool accumulate) {
  row_map<V>(sums, n, [&](size_t j, size_t lanes) {
    const V start = accumulate ? load_lanes<V>(sums + j, lanes) : V::set1(0);
    return sum_over_rows(rows, start, [&](size_t r) { return load_lanes<V>(x + r * ld + j, lanes); });
  });
}

template <class V>
void add(typename V::T* y, const typename V::T* a, const typename V::T* b, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) { return load_lanes<V>(a + j, lanes) + load_lanes<V>(b + j, lanes); });
}

template <class V>
void product(typename V::T* y, const typename V::T* const* x, size_t count, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) {
    V v = load_lanes<V>(x[0] + j, lanes);
    for (size_t i = 1; i < count; ++i) v = v * load_lanes<V>(x[i] + j, lanes);
    return v;
  });
}

template <class V>
void sum_over(typename V::T* y, const typename V::T* const* x, size_t count, typename V::T divisor, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) {
    V v = load_lanes<V>(x[0] + j, lanes);
    for (size_t i = 1; i < count; ++i) v = v + load_lanes<V>(x[i] + j, lanes);
    return v / V::set1(divisor);
  });
}

template <class V>
void zero_padding(typename V::T* x, size_t rows, size_t n, size_t ld) {
  constexpr size_t w = kPanel<typename V::T>;
  for (size_t r = 0; r < rows; ++r)
    for (size_t j = n; j < ld && j % w != 0; ++j) x[r * ld + j] = 0;
}

template <class V, class S>
void convert(typename V::T* y, const void* x, size_t n) {
  const S* source = static_cast<const S*>(x);
  for (size_t j = 0; j < n; ++j) y[j] = static_cast<typename V::T>(source[j]);
}

template <class V, class... S>
void fill_converters(Kernels<typename V::T>& k) {
  void (*const all[])(typename V::T*, const void*, size_t) = {convert<V, S>...};
  static_assert(sizeof...(S) == static_cast<size_t>(Source::kCount), "one converter for each Source, in its order");
  for (size_t i = 0; i < sizeof...(S); ++i) k.convert[i] = all[i];
}

template <class V>
void fill_matrix(Kernels<typename V::T>& k) {
  k.pack = pack<V>;
  k.transpose = transpose<V>;
  k.column_sums = column_sums<V>;
  k.add = add<V>;
  k.product = product<V>;
  k.sum_over = sum_over<V>;
  k.zero_padding = zero_padding<V>;
  fill_converters<V, float, double, uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(k);
}

}  // namespace
}  // namespace nncore
