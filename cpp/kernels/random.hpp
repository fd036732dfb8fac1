// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011) and the dropout masks drawn from them.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53u, kMultiplier1 = 0xCD9E8D57u, kKeyStep0 = 0x9E3779B9u, kKeyStep1 = 0xBB67AE85u;

inline void philox(uint32_t* words, const uint32_t* counters, const uint32_t* keys, size_t n) {
  for (size_t i = 0; i < n; ++i, words += 4, counters += 4, keys += 2) {
    uint32_t x0 = counters[0], x1 = counters[1], x2 = counters[2], x3 = counters[3], key0 = keys[0], key1 = keys[1];
    for (int round = 0; round < 10; ++round, key0 += kKeyStep0, key1 += kKeyStep1) {
      const uint64_t p0 = uint64_t{kMultiplier0} * x0, p1 = uint64_t{kMultiplier1} * x2;
      x0 = static_cast<uint32_t>(p1 >> 32) ^ x1 ^ key0;
      x1 = static_cast<uint32_t>(p1);
      x2 = static_cast<uint32_t>(p0 >> 32) ^ x3 ^ key1;
      x3 = static_cast<uint32_t>(p0);
    }
    words[0] = x0, words[1] = x1, words[2] = x2, words[3] = x3;
  }
}

constexpr size_t kWordsOfVector = 4 * Words::kLanes;

// The words of the blocks with counters (first, row, step, node), (first + 1, row, step, node), ... as many as `N` vectors
// hold; several go through the rounds side by side, as each round waits for the one before.
template <int N>
inline void philox_blocks(uint32_t* words, uint32_t first, uint32_t row, uint32_t step, uint32_t node, uint64_t seed) {
  Words x0[N], x1[N], x2[N], x3[N];
  for (int i = 0; i < N; ++i) {
    x0[i] = Words::count_from(first + static_cast<uint32_t>(i * Words::kLanes));
    x1[i] = Words::set1(row);
    x2[i] = Words::set1(step);
    x3[i] = Words::set1(node);
  }
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round, key0 += kKeyStep0, key1 += kKeyStep1)
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      const Words p0 = product(Words::set1(kMultiplier0), x0[i]), p1 = product(Words::set1(kMultiplier1), x2[i]);
      x0[i] = high_half(p1) ^ x1[i] ^ Words::set1(key0);
      x2[i] = high_half(p0) ^ x3[i] ^ Words::set1(key1);
      x1[i] = p1;
      x3[i] = p0;
    }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) store_words(words + static_cast<size_t>(i) * kWordsOfVector, x0[i], x1[i], x2[i], x3[i]);
}

constexpr int kSideBySide = 3;
constexpr size_t kMostWords = kSideBySide * kWordsOfVector;

// f(j, words, count) for the elements [j, j + count) of a row, with the random words that belong to them; count is at most
// kMostWords.
template <class F>
void for_each_words(size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node, const F& f) {
  alignas(64) uint32_t words[kMostWords];
  for (size_t j = 0, made = 0; j < n; j += made) {
    const auto first = static_cast<uint32_t>(j / 4);
    made = n - j > 2 * kWordsOfVector ? kMostWords : kWordsOfVector;
    if (made == kMostWords) {
      philox_blocks<kSideBySide>(words, first, row, step, node, seed);
    } else {
      philox_blocks<1>(words, first, row, step, node, seed);
    }
    f(j, words, n - j < made ? n - j : made);
  }
}

template <class V>
void dropout_mask(typename V::T* mask, size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node,
                  uint32_t threshold, typename V::T scale) {
  for_each_words(n, seed, row, step, node, [=](size_t j, const uint32_t* words, size_t count) {
    // Copies, which no store can change: else the loop would be one of branches, not of vectors.
    const uint32_t least = threshold;
    const typename V::T kept = scale;
    typename V::T* to = mask + j;
    for (size_t i = 0; i < count; ++i) to[i] = words[i] >= least ? kept : 0;
  });
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
