// The measuring loops of one instruction set, for the benchmark suite.
#pragma once
#include <stddef.h>

namespace nncore {

struct Probe {
  double flops;  // of one round of multiply_adds
  float (*multiply_adds)(size_t rounds);
  float (*read)(const float* a, size_t n);
  void (*triad)(float* a, const float* b, const float* c, size_t n);  // a = b + 0.5 c
  void (*triad_streaming)(float* a, const float* b, const float* c, size_t n);
};

void fill_probe_baseline(Probe& probe);
void fill_probe_avx2(Probe& probe);
void fill_probe_avx512(Probe& probe);

}  // namespace nncore
