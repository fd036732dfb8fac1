// Vectors of float and double on AVX2 with FMA.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace nncore {
namespace {

// To be called after stream().
inline void end_streaming() { _mm_sfence(); }

struct F32 {
  using T = float;
  struct Mask {
    __m256 m;
  };
  static constexpr int kLanes = 8;
  __m256 v;

  static __m256i first(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static F32 load(const T* p) { return {_mm256_loadu_ps(p)}; }
  static F32 load(const T* p, size_t n, T fill = 0) {
    const __m256i m = first(n);
    return {_mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m))};
  }
  void store(T* p) const { _mm256_storeu_ps(p, v); }
  void stream(T* p) const { _mm256_stream_ps(p, v); }  // past the caches; p aligned
  // Some processors take tens of cycles for a masked store.
  void store(T* p, size_t n) const {
    __m128 part = _mm256_castps256_ps128(v);
    if (n & 4) {
      _mm_storeu_ps(p, part);
      part = _mm256_extractf128_ps(v, 1);
      p += 4;
    }
    if (n & 2) {
      _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
      part = _mm_movehl_ps(part, part);
      p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
  }
  static F32 set1(T a) { return {_mm256_set1_ps(a)}; }

  friend F32 operator+(F32 a, F32 b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend F32 operator/(F32 a, F32 b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend Mask operator<(F32 a, F32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(F32 a, F32 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
};

inline F32 fma(F32 a, F32 b, F32 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline F32 fnma(F32 a, F32 b, F32 c) { return {_mm256_fnmadd_ps(a.v, b.v, c.v)}; }
inline F32 sqrt(F32 a) { return {_mm256_sqrt_ps(a.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm256_max_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline F32 round(F32 a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline F32 select(F32::Mask m, F32 a, F32 b) { return {_mm256_blendv_ps(b.v, a.v, m.m)}; }
inline F32 abs(F32 a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline F32 copysign(F32 a, F32 s) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.v), _mm256_and_ps(sign, s.v))};
}
// a with the low 12 bits of its significand cleared: its square is exact.
inline F32 truncate(F32 a) {
  return {_mm256_and_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xfffff000u))))};
}
// 2^n for a whole n within the exponent range of normal numbers.
inline F32 exp2i(F32 n) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23))};
}
// 2^(n - bias) of a number whose low bits hold the whole number n, as math.hpp leaves them.
inline F32 low_bits_as_exponent(F32 a) { return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a.v), 23))}; }
// The exponent of a positive normal number, as a float.
inline F32 exponent(F32 a) {
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(_mm256_castps_si256(a.v), 23), _mm256_set1_epi32(127)))};
}
// Transposes 8 rows of 8.
inline void transpose_block(F32 (&r)[8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      const __m256d a = _mm256_castps_pd(t[i + j]), b = _mm256_castps_pd(t[i + 2 + j]);
      u[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
      u[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
    }
  // u[4i + j] holds, in 128-bit lane l, column 4l + j of the rows 4i .. 4i + 3.
  for (int j = 0; j < 4; ++j) {
    r[j].v = _mm256_permute2f128_ps(u[j], u[4 + j], 0x20);
    r[4 + j].v = _mm256_permute2f128_ps(u[j], u[4 + j], 0x31);
  }
}

struct F64 {
  using T = double;
  struct Mask {
    __m256d m;
  };
  static constexpr int kLanes = 4;
  __m256d v;

  static __m256i first(size_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(n)), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static F64 load(const T* p) { return {_mm256_loadu_pd(p)}; }
  static F64 load(const T* p, size_t n, T fill = 0) {
    const __m256i m = first(n);
    return {_mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, m), _mm256_castsi256_pd(m))};
  }
  void store(T* p) const { _mm256_storeu_pd(p, v); }
  void stream(T* p) const { _mm256_stream_pd(p, v); }
  void store(T* p, size_t n) const {
    __m128d part = _mm256_castpd256_pd128(v);
    if (n & 2) {
      _mm_storeu_pd(p, part);
      part = _mm256_extractf128_pd(v, 1);
      p += 2;
    }
    if (n & 1) _mm_store_sd(p, part);
  }
  static F64 set1(T a) { return {_mm256_set1_pd(a)}; }

  friend F64 operator+(F64 a, F64 b) { return {_mm256_add_pd(a.v, b.v)}; }
  friend F64 operator-(F64 a, F64 b) { return {_mm256_sub_pd(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {_mm256_mul_pd(a.v, b.v)}; }
  friend F64 operator/(F64 a, F64 b) { return {_mm256_div_pd(a.v, b.v)}; }
  friend Mask operator<(F64 a, F64 b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(F64 a, F64 b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ)}; }
};

inline F64 fma(F64 a, F64 b, F64 c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
inline F64 fnma(F64 a, F64 b, F64 c) { return {_mm256_fnmadd_pd(a.v, b.v, c.v)}; }
inline F64 sqrt(F64 a) { return {_mm256_sqrt_pd(a.v)}; }
inline F64 max(F64 a, F64 b) { return {_mm256_max_pd(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {_mm256_min_pd(a.v, b.v)}; }
inline F64 round(F64 a) { return {_mm256_round_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline F64 select(F64::Mask m, F64 a, F64 b) { return {_mm256_blendv_pd(b.v, a.v, m.m)}; }
inline F64 abs(F64 a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }
inline F64 copysign(F64 a, F64 s) {
  const __m256d sign = _mm256_set1_pd(-0.0);
  return {_mm256_or_pd(_mm256_andnot_pd(sign, a.v), _mm256_and_pd(sign, s.v))};
}
inline F64 truncate(F64 a) {
  return {_mm256_and_pd(a.v, _mm256_castsi256_pd(_mm256_set1_epi64x(static_cast<long long>(0xfffffffff8000000ull))))};
}
// Adding 1.5 * 2^52 leaves a small whole number in the low bits, which AVX2 has no instruction to convert.
inline F64 exp2i(F64 n) {
  const __m256d magic = _mm256_set1_pd(6755399441055744.0 + 1023.0);
  return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(_mm256_add_pd(n.v, magic)), 52))};
}
inline F64 low_bits_as_exponent(F64 a) { return {_mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(a.v), 52))}; }
inline F64 exponent(F64 a) {
  const __m256i bits = _mm256_or_si256(_mm256_srli_epi64(_mm256_castpd_si256(a.v), 52),
                                       _mm256_castpd_si256(_mm256_set1_pd(4503599627370496.0)));
  return {_mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(4503599627370496.0 + 1023.0))};
}
inline void transpose_block(F64 (&r)[4]) {
  __m256d t[4];
  for (int i = 0; i < 4; i += 2) {
    t[i] = _mm256_unpacklo_pd(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_pd(r[i].v, r[i + 1].v);
  }
  for (int j = 0; j < 2; ++j) {
    r[j].v = _mm256_permute2f128_pd(t[j], t[2 + j], 0x20);
    r[2 + j].v = _mm256_permute2f128_pd(t[j], t[2 + j], 0x31);
  }
}

// Both halves of a in double precision.
inline void widen(F32 a, F64& low, F64& high) {
  low = {_mm256_cvtps_pd(_mm256_castps256_ps128(a.v))};
  high = {_mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1))};
}

// Four 64-bit lanes that hold numbers of 32 bits, for random.hpp; above those there may be anything.
struct Words {
  static constexpr int kLanes = 4;
  __m256i v;

  static Words set1(uint32_t a) { return {_mm256_set1_epi64x(a)}; }
  static Words count_from(uint32_t a) { return {_mm256_add_epi64(_mm256_set1_epi64x(a), _mm256_setr_epi64x(0, 1, 2, 3))}; }
  friend Words operator^(Words a, Words b) { return {_mm256_xor_si256(a.v, b.v)}; }
};

inline Words product(Words a, Words b) { return {_mm256_mul_epu32(a.v, b.v)}; }  // of 32 by 32 bits, all 64 of it
inline Words high_half(Words a) { return {_mm256_srli_epi64(a.v, 32)}; }
// words[4 i + j] = x_j of lane i.
inline void store_words(uint32_t* words, Words x0, Words x1, Words x2, Words x3) {
  const __m256i a = _mm256_blend_epi32(x0.v, _mm256_slli_epi64(x1.v, 32), 0xaa);
  const __m256i b = _mm256_blend_epi32(x2.v, _mm256_slli_epi64(x3.v, 32), 0xaa);
  const __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(words), _mm256_permute2x128_si256(even, odd, 0x20));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 8), _mm256_permute2x128_si256(even, odd, 0x31));
}

}  // namespace
}  // namespace nncore
