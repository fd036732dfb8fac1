// Vectors of float and double on the x86-64 baseline, SSE2; multiply-add rounds twice there.
#pragma once
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace nncore {
namespace {

// To be called after stream().
inline void end_streaming() { _mm_sfence(); }

struct F32 {
  using T = float;
  struct Mask {
    __m128 m;
  };
  static constexpr int kLanes = 4;
  __m128 v;

  static F32 load(const T* p) { return {_mm_loadu_ps(p)}; }
  static F32 load(const T* p, size_t n, T fill = 0) {
    T a[4] = {fill, fill, fill, fill};
    for (size_t i = 0; i < n; ++i) a[i] = p[i];
    return load(a);
  }
  void store(T* p) const { _mm_storeu_ps(p, v); }
  void stream(T* p) const { _mm_stream_ps(p, v); }  // past the caches; p aligned
  void store(T* p, size_t n) const {
    T a[4];
    store(a);
    for (size_t i = 0; i < n; ++i) p[i] = a[i];
  }
  static F32 set1(T a) { return {_mm_set1_ps(a)}; }

  friend F32 operator+(F32 a, F32 b) { return {_mm_add_ps(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {_mm_sub_ps(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {_mm_mul_ps(a.v, b.v)}; }
  friend F32 operator/(F32 a, F32 b) { return {_mm_div_ps(a.v, b.v)}; }
  friend Mask operator<(F32 a, F32 b) { return {_mm_cmplt_ps(a.v, b.v)}; }
  friend Mask operator<=(F32 a, F32 b) { return {_mm_cmple_ps(a.v, b.v)}; }
};

inline F32 fma(F32 a, F32 b, F32 c) { return a * b + c; }
inline F32 fnma(F32 a, F32 b, F32 c) { return c - a * b; }
inline F32 sqrt(F32 a) { return {_mm_sqrt_ps(a.v)}; }
inline F32 max(F32 a, F32 b) { return {_mm_max_ps(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {_mm_min_ps(a.v, b.v)}; }
inline F32 select(F32::Mask m, F32 a, F32 b) { return {_mm_or_ps(_mm_and_ps(m.m, a.v), _mm_andnot_ps(m.m, b.v))}; }
inline F32 abs(F32 a) { return {_mm_andnot_ps(_mm_set1_ps(-0.0f), a.v)}; }
inline F32 copysign(F32 a, F32 s) {
  const __m128 sign = _mm_set1_ps(-0.0f);
  return {_mm_or_ps(_mm_andnot_ps(sign, a.v), _mm_and_ps(sign, s.v))};
}
// Nearest whole number, for |a| < 2^22.
inline F32 round(F32 a) {
  const F32 magic = F32::set1(12582912.0f);
  return (a + magic) - magic;
}
// a with the low 12 bits of its significand cleared: its square is exact.
inline F32 truncate(F32 a) { return {_mm_and_ps(a.v, _mm_castsi128_ps(_mm_set1_epi32(static_cast<int>(0xfffff000u))))}; }
// 2^n for a whole n within the exponent range of normal numbers.
inline F32 exp2i(F32 n) {
  return {_mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n.v), _mm_set1_epi32(127)), 23))};
}
// 2^(n - bias) of a number whose low bits hold the whole number n, as math.hpp leaves them.
inline F32 low_bits_as_exponent(F32 a) { return {_mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(a.v), 23))}; }
// The exponent of a positive normal number, as a float.
inline F32 exponent(F32 a) {
  return {_mm_cvtepi32_ps(_mm_sub_epi32(_mm_srli_epi32(_mm_castps_si128(a.v), 23), _mm_set1_epi32(127)))};
}
// Transposes 4 rows of 4.
inline void transpose_block(F32 (&r)[4]) { _MM_TRANSPOSE4_PS(r[0].v, r[1].v, r[2].v, r[3].v); }

struct F64 {
  using T = double;
  struct Mask {
    __m128d m;
  };
  static constexpr int kLanes = 2;
  __m128d v;

  static F64 load(const T* p) { return {_mm_loadu_pd(p)}; }
  static F64 load(const T* p, size_t n, T fill = 0) { return {_mm_setr_pd(n ? p[0] : fill, fill)}; }
  void store(T* p) const { _mm_storeu_pd(p, v); }
  void stream(T* p) const { _mm_stream_pd(p, v); }
  void store(T* p, size_t n) const {
    if (n) _mm_store_sd(p, v);
  }
  static F64 set1(T a) { return {_mm_set1_pd(a)}; }

  friend F64 operator+(F64 a, F64 b) { return {_mm_add_pd(a.v, b.v)}; }
  friend F64 operator-(F64 a, F64 b) { return {_mm_sub_pd(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {_mm_mul_pd(a.v, b.v)}; }
  friend F64 operator/(F64 a, F64 b) { return {_mm_div_pd(a.v, b.v)}; }
  friend Mask operator<(F64 a, F64 b) { return {_mm_cmplt_pd(a.v, b.v)}; }
  friend Mask operator<=(F64 a, F64 b) { return {_mm_cmple_pd(a.v, b.v)}; }
};

inline F64 fma(F64 a, F64 b, F64 c) { return a * b + c; }
inline F64 fnma(F64 a, F64 b, F64 c) { return c - a * b; }
inline F64 sqrt(F64 a) { return {_mm_sqrt_pd(a.v)}; }
inline F64 max(F64 a, F64 b) { return {_mm_max_pd(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {_mm_min_pd(a.v, b.v)}; }
inline F64 select(F64::Mask m, F64 a, F64 b) { return {_mm_or_pd(_mm_and_pd(m.m, a.v), _mm_andnot_pd(m.m, b.v))}; }
inline F64 abs(F64 a) { return {_mm_andnot_pd(_mm_set1_pd(-0.0), a.v)}; }
inline F64 copysign(F64 a, F64 s) {
  const __m128d sign = _mm_set1_pd(-0.0);
  return {_mm_or_pd(_mm_andnot_pd(sign, a.v), _mm_and_pd(sign, s.v))};
}
inline F64 round(F64 a) {
  const F64 magic = F64::set1(6755399441055744.0);
  return (a + magic) - magic;
}
inline F64 truncate(F64 a) {
  return {_mm_and_pd(a.v, _mm_castsi128_pd(_mm_set1_epi64x(static_cast<long long>(0xfffffffff8000000ull))))};
}
// Adding 1.5 * 2^52 leaves a small whole number in the low bits, which SSE2 has no instruction to convert.
inline F64 exp2i(F64 n) {
  const __m128d magic = _mm_set1_pd(6755399441055744.0 + 1023.0);
  return {_mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(_mm_add_pd(n.v, magic)), 52))};
}
inline F64 low_bits_as_exponent(F64 a) { return {_mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(a.v), 52))}; }
inline F64 exponent(F64 a) {
  const __m128i bits =
      _mm_or_si128(_mm_srli_epi64(_mm_castpd_si128(a.v), 52), _mm_castpd_si128(_mm_set1_pd(4503599627370496.0)));
  return {_mm_sub_pd(_mm_castsi128_pd(bits), _mm_set1_pd(4503599627370496.0 + 1023.0))};
}
inline void transpose_block(F64 (&r)[2]) {
  const __m128d low = _mm_unpacklo_pd(r[0].v, r[1].v);
  r[1].v = _mm_unpackhi_pd(r[0].v, r[1].v);
  r[0].v = low;
}

// Both halves of a in double precision.
inline void widen(F32 a, F64& low, F64& high) {
  low = {_mm_cvtps_pd(a.v)};
  high = {_mm_cvtps_pd(_mm_movehl_ps(a.v, a.v))};
}

// Two 64-bit lanes that hold numbers of 32 bits, for random.hpp; above those there may be anything.
struct Words {
  static constexpr int kLanes = 2;
  __m128i v;

  static Words set1(uint32_t a) { return {_mm_set1_epi64x(a)}; }
  static Words count_from(uint32_t a) { return {_mm_add_epi64(_mm_set1_epi64x(a), _mm_set_epi64x(1, 0))}; }
  friend Words operator^(Words a, Words b) { return {_mm_xor_si128(a.v, b.v)}; }
};

inline Words product(Words a, Words b) { return {_mm_mul_epu32(a.v, b.v)}; }  // of 32 by 32 bits, all 64 of it
inline Words high_half(Words a) { return {_mm_srli_epi64(a.v, 32)}; }
// words[4 i + j] = x_j of lane i.
inline void store_words(uint32_t* words, Words x0, Words x1, Words x2, Words x3) {
  const __m128i low = _mm_set1_epi64x(0xffffffff);
  const __m128i a = _mm_or_si128(_mm_and_si128(x0.v, low), _mm_slli_epi64(x1.v, 32));
  const __m128i b = _mm_or_si128(_mm_and_si128(x2.v, low), _mm_slli_epi64(x3.v, 32));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words), _mm_unpacklo_epi64(a, b));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(words + 4), _mm_unpackhi_epi64(a, b));
}

}  // namespace
}  // namespace nncore
