// Loops that do nothing but multiply-adds or memory traffic: what one thread of this CPU can reach. Compiled once for each
// instruction set, for the benchmark suite only; no part of the kernels.
#include "../probe.hpp"

#if defined(__AVX512F__)
#include "vec_avx512.hpp"
#elif defined(__AVX2__)
#include "vec_avx2.hpp"
#elif defined(__aarch64__)
#include "vec_neon.hpp"
#else
#include "vec_sse2.hpp"
#endif

namespace nncore {
namespace {

constexpr int kChains = 10;  // independent multiply-adds: more than latency times ports, fewer than 16 registers

float multiply_adds(size_t rounds) {
  const F32 factor = F32::set1(0.999f), summand = F32::set1(0.001f);
  F32 chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = F32::set1(static_cast<float>(i));
  for (size_t r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], factor, summand);
  F32 sum = chain[0];
  for (int i = 1; i < kChains; ++i) sum = sum + chain[i];
  float lanes[F32::kLanes];
  sum.store(lanes);
  return lanes[0];
}

float read(const float* a, size_t n) {
  constexpr size_t kSums = 8, kStep = kSums * F32::kLanes;
  F32 sums[kSums];
  for (F32& sum : sums) sum = F32::set1(0);
  for (size_t i = 0; i + kStep <= n; i += kStep)
    for (size_t j = 0; j < kSums; ++j) sums[j] = sums[j] + F32::load(a + i + j * F32::kLanes);
  F32 sum = sums[0];
  for (size_t j = 1; j < kSums; ++j) sum = sum + sums[j];
  float lanes[F32::kLanes];
  sum.store(lanes);
  return lanes[0];
}

// a = b + 0.5 c, n a multiple of the lanes.
void triad(float* a, const float* b, const float* c, size_t n) {
  const F32 half = F32::set1(0.5f);
  for (size_t i = 0; i < n; i += F32::kLanes) fma(F32::load(c + i), half, F32::load(b + i)).store(a + i);
}

// The same with stores that pass the caches by, where the instruction set has them; `a` is aligned to a cache line.
void triad_streaming(float* a, const float* b, const float* c, size_t n) {
  const F32 half = F32::set1(0.5f);
  for (size_t i = 0; i < n; i += F32::kLanes) {
    const F32 y = fma(F32::load(c + i), half, F32::load(b + i));
#if defined(__AVX512F__)
    _mm512_stream_ps(a + i, y.v);
#elif defined(__AVX2__)
    _mm256_stream_ps(a + i, y.v);
#elif defined(__SSE2__)
    _mm_stream_ps(a + i, y.v);
#else
    y.store(a + i);
#endif
  }
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace

void NNCORE_FILL_PROBE(Probe& probe) { probe = {2.0 * kChains * F32::kLanes, multiply_adds, read, triad, triad_streaming}; }

}  // namespace nncore
