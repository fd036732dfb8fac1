// Vectors of float and double on AVX-512 (F, DQ, BW, VL).
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
  using Mask = __mmask16;
  static constexpr int kLanes = 16;
  __m512 v;

  static __mmask16 first(size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static F32 load(const T* p) { return {_mm512_loadu_ps(p)}; }
  static F32 load(const T* p, size_t n, T fill = 0) { return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first(n), p)}; }
  void store(T* p) const { _mm512_storeu_ps(p, v); }
  void stream(T* p) const { _mm512_stream_ps(p, v); }  // past the caches; p aligned
  void store(T* p, size_t n) const { _mm512_mask_storeu_ps(p, first(n), v); }
  static F32 set1(T a) { return {_mm512_set1_ps(a)}; }

  friend F32 operator+(F32 a, F32 b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend F32 operator/(F32 a, F32 b) { return {_mm512_div_ps(a.v, b.v)}; }
  friend Mask operator<(F32 a, F32 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
  friend Mask operator<=(F32 a, F32 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ); }
};

inline F32 fma(F32 a, F32 b, F32 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F32 fnma(F32 a, F32 b, F32 c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline F32 sqrt(F32 a) { return {_mm512_sqrt_ps(a.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32 round(F32 a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline F32 select(__mmask16 m, F32 a, F32 b) { return {_mm512_mask_blend_ps(m, b.v, a.v)}; }
inline F32 abs(F32 a) { return {_mm512_abs_ps(a.v)}; }
inline F32 copysign(F32 a, F32 s) { return {_mm512_or_ps(_mm512_abs_ps(a.v), _mm512_and_ps(s.v, _mm512_set1_ps(-0.0f)))}; }
// a with the low 12 bits of its significand cleared: its square is exact.
inline F32 truncate(F32 a) {
  return {_mm512_and_ps(a.v, _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(0xfffff000u))))};
}
// 2^n for a whole n within the exponent range of normal numbers.
inline F32 exp2i(F32 n) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23))};
}
// 2^(n - bias) of a number whose low bits hold the whole number n, as math.hpp leaves them.
inline F32 low_bits_as_exponent(F32 a) { return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23))}; }
// The exponent of a positive normal number, as a float.
inline F32 exponent(F32 a) {
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(_mm512_castps_si512(a.v), 23), _mm512_set1_epi32(127)))};
}
// Transposes 16 rows of 16.
inline void transpose_block(F32 (&r)[16]) {
  __m512 t[16], u[16];
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_ps(r[2 * i].v, r[2 * i + 1].v);
    t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i].v, r[2 * i + 1].v);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + 2 + j]);
      u[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      u[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  // u[4i + j] holds, in 128-bit lane l, column 4l + j of the rows 4i .. 4i + 3.
  for (int j = 0; j < 4; ++j) {
    const __m512 even = _mm512_shuffle_f32x4(u[j], u[4 + j], 0x88), odd = _mm512_shuffle_f32x4(u[j], u[4 + j], 0xdd);
    const __m512 even2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0x88),
                 odd2 = _mm512_shuffle_f32x4(u[8 + j], u[12 + j], 0xdd);
    r[j].v = _mm512_shuffle_f32x4(even, even2, 0x88);
    r[4 + j].v = _mm512_shuffle_f32x4(odd, odd2, 0x88);
    r[8 + j].v = _mm512_shuffle_f32x4(even, even2, 0xdd);
    r[12 + j].v = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
  }
}

struct F64 {
  using T = double;
  using Mask = __mmask8;
  static constexpr int kLanes = 8;
  __m512d v;

  static __mmask8 first(size_t n) { return static_cast<__mmask8>((1u << n) - 1u); }
  static F64 load(const T* p) { return {_mm512_loadu_pd(p)}; }
  static F64 load(const T* p, size_t n, T fill = 0) { return {_mm512_mask_loadu_pd(_mm512_set1_pd(fill), first(n), p)}; }
  void store(T* p) const { _mm512_storeu_pd(p, v); }
  void stream(T* p) const { _mm512_stream_pd(p, v); }
  void store(T* p, size_t n) const { _mm512_mask_storeu_pd(p, first(n), v); }
  static F64 set1(T a) { return {_mm512_set1_pd(a)}; }

  friend F64 operator+(F64 a, F64 b) { return {_mm512_add_pd(a.v, b.v)}; }
  friend F64 operator-(F64 a, F64 b) { return {_mm512_sub_pd(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {_mm512_mul_pd(a.v, b.v)}; }
  friend F64 operator/(F64 a, F64 b) { return {_mm512_div_pd(a.v, b.v)}; }
  friend Mask operator<(F64 a, F64 b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ); }
  friend Mask operator<=(F64 a, F64 b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ); }
};

inline F64 fma(F64 a, F64 b, F64 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
inline F64 fnma(F64 a, F64 b, F64 c) { return {_mm512_fnmadd_pd(a.v, b.v, c.v)}; }
inline F64 sqrt(F64 a) { return {_mm512_sqrt_pd(a.v)}; }
inline F64 max(F64 a, F64 b) { return {_mm512_max_pd(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {_mm512_min_pd(a.v, b.v)}; }
inline F64 round(F64 a) { return {_mm512_roundscale_pd(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline F64 select(__mmask8 m, F64 a, F64 b) { return {_mm512_mask_blend_pd(m, b.v, a.v)}; }
inline F64 abs(F64 a) { return {_mm512_abs_pd(a.v)}; }
inline F64 copysign(F64 a, F64 s) { return {_mm512_or_pd(_mm512_abs_pd(a.v), _mm512_and_pd(s.v, _mm512_set1_pd(-0.0)))}; }
inline F64 truncate(F64 a) {
  return {_mm512_and_pd(a.v, _mm512_castsi512_pd(_mm512_set1_epi64(static_cast<long long>(0xfffffffff8000000ull))))};
}
inline F64 exp2i(F64 n) {
  return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_add_epi64(_mm512_cvtpd_epi64(n.v), _mm512_set1_epi64(1023)), 52))};
}
inline F64 low_bits_as_exponent(F64 a) { return {_mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(a.v), 52))}; }
inline F64 exponent(F64 a) {
  return {_mm512_cvtepi64_pd(_mm512_sub_epi64(_mm512_srli_epi64(_mm512_castpd_si512(a.v), 52), _mm512_set1_epi64(1023)))};
}
inline void transpose_block(F64 (&r)[8]) {
  __m512d t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_pd(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_pd(r[i].v, r[i + 1].v);
  }
  for (int j = 0; j < 2; ++j) {
    const __m512d even = _mm512_shuffle_f64x2(t[j], t[2 + j], 0x88), odd = _mm512_shuffle_f64x2(t[j], t[2 + j], 0xdd);
    const __m512d even2 = _mm512_shuffle_f64x2(t[4 + j], t[6 + j], 0x88),
                  odd2 = _mm512_shuffle_f64x2(t[4 + j], t[6 + j], 0xdd);
    r[j].v = _mm512_shuffle_f64x2(even, even2, 0x88);
    r[2 + j].v = _mm512_shuffle_f64x2(odd, odd2, 0x88);
    r[4 + j].v = _mm512_shuffle_f64x2(even, even2, 0xdd);
    r[6 + j].v = _mm512_shuffle_f64x2(odd, odd2, 0xdd);
  }
}

// Both halves of a in double precision.
inline void widen(F32 a, F64& low, F64& high) {
  low = {_mm512_cvtps_pd(_mm512_castps512_ps256(a.v))};
  high = {_mm512_cvtps_pd(_mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1)))};
}

// Eight 64-bit lanes that hold numbers of 32 bits, for random.hpp; above those there may be anything.
struct Words {
  static constexpr int kLanes = 8;
  __m512i v;

  static Words set1(uint32_t a) { return {_mm512_set1_epi64(a)}; }
  static Words count_from(uint32_t a) {
    return {_mm512_add_epi64(_mm512_set1_epi64(a), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7))};
  }
  friend Words operator^(Words a, Words b) { return {_mm512_xor_si512(a.v, b.v)}; }
};

inline Words product(Words a, Words b) { return {_mm512_mul_epu32(a.v, b.v)}; }  // of 32 by 32 bits, all 64 of it
inline Words high_half(Words a) { return {_mm512_srli_epi64(a.v, 32)}; }
// words[4 i + j] = x_j of lane i.
inline void store_words(uint32_t* words, Words x0, Words x1, Words x2, Words x3) {
  const __m512i a = _mm512_mask_blend_epi32(0xaaaa, x0.v, _mm512_slli_epi64(x1.v, 32));
  const __m512i b = _mm512_mask_blend_epi32(0xaaaa, x2.v, _mm512_slli_epi64(x3.v, 32));
  const __m512i even = _mm512_unpacklo_epi64(a, b), odd = _mm512_unpackhi_epi64(a, b);
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  _mm512_storeu_si512(words, _mm512_permutex2var_epi64(even, first, odd));
  _mm512_storeu_si512(words + 16, _mm512_permutex2var_epi64(even, second, odd));
}

}  // namespace
}  // namespace nncore
