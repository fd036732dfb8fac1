// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011) and the dropout masks drawn from them.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// Blocks of counters go through the rounds side by side, so that the compiler can keep them in vectors.
constexpr size_t kPhiloxBlocks = 16;

inline void philox_rounds(uint32_t (&x)[4][kPhiloxBlocks], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    for (size_t b = 0; b < kPhiloxBlocks; ++b) {
      const uint64_t p0 = 0xD2511F53ull * x[0][b];
      const uint64_t p1 = 0xCD9E8D57ull * x[2][b];
      const uint32_t y0 = static_cast<uint32_t>(p1 >> 32) ^ x[1][b] ^ key0;
      const uint32_t y2 = static_cast<uint32_t>(p0 >> 32) ^ x[3][b] ^ key1;
      x[1][b] = static_cast<uint32_t>(p1);
      x[3][b] = static_cast<uint32_t>(p0);
      x[0][b] = y0;
      x[2][b] = y2;
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

inline void philox(uint32_t* words, const uint32_t* counters, const uint32_t* keys, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    uint32_t x[4][kPhiloxBlocks] = {};
    for (size_t j = 0; j < 4; ++j) x[j][0] = counters[4 * i + j];
    philox_rounds(x, keys[2 * i], keys[2 * i + 1]);
    for (size_t j = 0; j < 4; ++j) words[4 * i + j] = x[j][0];
  }
}

// f(j, word) for each element j of a row, with the random word that belongs to it.
template <class F>
void for_each_word(size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node, const F& f) {
  for (size_t j = 0; j < n; j += 4 * kPhiloxBlocks) {
    uint32_t x[4][kPhiloxBlocks];
    for (size_t b = 0; b < kPhiloxBlocks; ++b) {
      x[0][b] = static_cast<uint32_t>(j / 4 + b);
      x[1][b] = row;
      x[2][b] = step;
      x[3][b] = node;
    }
    philox_rounds(x, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
    const size_t end = n - j < 4 * kPhiloxBlocks ? n - j : 4 * kPhiloxBlocks;
    for (size_t i = 0; i < end; ++i) f(j + i, x[i % 4][i / 4]);
  }
}

template <class V>
void dropout_mask(typename V::T* mask, size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node,
                  uint32_t threshold, typename V::T scale) {
  for_each_word(n, seed, row, step, node, [&](size_t j, uint32_t word) { mask[j] = word >= threshold ? scale : 0; });
}

template <class V>
void apply_mask(typename V::T* y, const typename V::T* x, const typename V::T* mask, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) {
    const V m = load_lanes<V>(mask + j, lanes);
    return select(m <= V::set1(0), V::set1(0), load_lanes<V>(x + j, lanes) * m);
  });
}

}  // namespace
}  // namespace nncore
