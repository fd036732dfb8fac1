// Vectors of float and double on AArch64 NEON.
#pragma once
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

namespace nncore {
namespace {

inline void end_streaming() {}

struct F32 {
  using T = float;
  struct Mask {
    uint32x4_t m;
  };
  static constexpr int kLanes = 4;
  float32x4_t v;

  static F32 load(const T* p) { return {vld1q_f32(p)}; }
  static F32 load(const T* p, size_t n, T fill = 0) {
    T a[4] = {fill, fill, fill, fill};
    for (size_t i = 0; i < n; ++i) a[i] = p[i];
    return load(a);
  }
  void store(T* p) const { vst1q_f32(p, v); }
  void stream(T* p) const { store(p); }
  void store(T* p, size_t n) const {
    T a[4];
    store(a);
    for (size_t i = 0; i < n; ++i) p[i] = a[i];
  }
  static F32 set1(T a) { return {vdupq_n_f32(a)}; }

  friend F32 operator+(F32 a, F32 b) { return {vaddq_f32(a.v, b.v)}; }
  friend F32 operator-(F32 a, F32 b) { return {vsubq_f32(a.v, b.v)}; }
  friend F32 operator*(F32 a, F32 b) { return {vmulq_f32(a.v, b.v)}; }
  friend F32 operator/(F32 a, F32 b) { return {vdivq_f32(a.v, b.v)}; }
  friend Mask operator<(F32 a, F32 b) { return {vcltq_f32(a.v, b.v)}; }
  friend Mask operator<=(F32 a, F32 b) { return {vcleq_f32(a.v, b.v)}; }
};

inline F32 fma(F32 a, F32 b, F32 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
inline F32 fnma(F32 a, F32 b, F32 c) { return {vfmsq_f32(c.v, a.v, b.v)}; }
inline F32 sqrt(F32 a) { return {vsqrtq_f32(a.v)}; }
inline F32 max(F32 a, F32 b) { return {vmaxq_f32(a.v, b.v)}; }
inline F32 min(F32 a, F32 b) { return {vminq_f32(a.v, b.v)}; }
inline F32 round(F32 a) { return {vrndnq_f32(a.v)}; }
inline F32 select(F32::Mask m, F32 a, F32 b) { return {vbslq_f32(m.m, a.v, b.v)}; }
inline F32 abs(F32 a) { return {vabsq_f32(a.v)}; }
inline F32 copysign(F32 a, F32 s) { return {vbslq_f32(vdupq_n_u32(0x80000000u), s.v, a.v)}; }
// a with the low 12 bits of its significand cleared: its square is exact.
inline F32 truncate(F32 a) {
  return {vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(a.v), vdupq_n_u32(0xfffff000u)))};
}
// 2^n for a whole n within the exponent range of normal numbers.
inline F32 exp2i(F32 n) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.v), vdupq_n_s32(127)), 23))};
}
// 2^(n - bias) of a number whose low bits hold the whole number n, as math.hpp leaves them.
inline F32 low_bits_as_exponent(F32 a) { return {vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(a.v), 23))}; }
// The exponent of a positive normal number, as a float.
inline F32 exponent(F32 a) {
  return {vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a.v), 23)), vdupq_n_s32(127)))};
}
// Transposes 4 rows of 4.
inline void transpose_block(F32 (&r)[4]) {
  for (int i = 0; i < 4; i += 2) {
    const float32x4_t low = vzip1q_f32(r[i].v, r[i + 1].v);
    r[i + 1].v = vzip2q_f32(r[i].v, r[i + 1].v);
    r[i].v = low;
  }
  const float64x2_t a = vreinterpretq_f64_f32(r[0].v), b = vreinterpretq_f64_f32(r[1].v);
  const float64x2_t c = vreinterpretq_f64_f32(r[2].v), d = vreinterpretq_f64_f32(r[3].v);
  r[0].v = vreinterpretq_f32_f64(vzip1q_f64(a, c));
  r[1].v = vreinterpretq_f32_f64(vzip2q_f64(a, c));
  r[2].v = vreinterpretq_f32_f64(vzip1q_f64(b, d));
  r[3].v = vreinterpretq_f32_f64(vzip2q_f64(b, d));
}

struct F64 {
  using T = double;
  struct Mask {
    uint64x2_t m;
  };
  static constexpr int kLanes = 2;
  float64x2_t v;

  static F64 load(const T* p) { return {vld1q_f64(p)}; }
  static F64 load(const T* p, size_t n, T fill = 0) { return {vsetq_lane_f64(n ? p[0] : fill, vdupq_n_f64(fill), 0)}; }
  void store(T* p) const { vst1q_f64(p, v); }
  void stream(T* p) const { store(p); }
  void store(T* p, size_t n) const {
    if (n) p[0] = vgetq_lane_f64(v, 0);
  }
  static F64 set1(T a) { return {vdupq_n_f64(a)}; }

  friend F64 operator+(F64 a, F64 b) { return {vaddq_f64(a.v, b.v)}; }
  friend F64 operator-(F64 a, F64 b) { return {vsubq_f64(a.v, b.v)}; }
  friend F64 operator*(F64 a, F64 b) { return {vmulq_f64(a.v, b.v)}; }
  friend F64 operator/(F64 a, F64 b) { return {vdivq_f64(a.v, b.v)}; }
  friend Mask operator<(F64 a, F64 b) { return {vcltq_f64(a.v, b.v)}; }
  friend Mask operator<=(F64 a, F64 b) { return {vcleq_f64(a.v, b.v)}; }
};

inline F64 fma(F64 a, F64 b, F64 c) { return {vfmaq_f64(c.v, a.v, b.v)}; }
inline F64 fnma(F64 a, F64 b, F64 c) { return {vfmsq_f64(c.v, a.v, b.v)}; }
inline F64 sqrt(F64 a) { return {vsqrtq_f64(a.v)}; }
inline F64 max(F64 a, F64 b) { return {vmaxq_f64(a.v, b.v)}; }
inline F64 min(F64 a, F64 b) { return {vminq_f64(a.v, b.v)}; }
inline F64 round(F64 a) { return {vrndnq_f64(a.v)}; }
inline F64 select(F64::Mask m, F64 a, F64 b) { return {vbslq_f64(m.m, a.v, b.v)}; }
inline F64 abs(F64 a) { return {vabsq_f64(a.v)}; }
inline F64 copysign(F64 a, F64 s) { return {vbslq_f64(vdupq_n_u64(0x8000000000000000ull), s.v, a.v)}; }
inline F64 truncate(F64 a) {
  return {vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(a.v), vdupq_n_u64(0xfffffffff8000000ull)))};
}
inline F64 exp2i(F64 n) {
  return {vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(vcvtnq_s64_f64(n.v), vdupq_n_s64(1023)), 52))};
}
inline F64 low_bits_as_exponent(F64 a) { return {vreinterpretq_f64_s64(vshlq_n_s64(vreinterpretq_s64_f64(a.v), 52))}; }
inline F64 exponent(F64 a) {
  return {vcvtq_f64_s64(vsubq_s64(vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(a.v), 52)), vdupq_n_s64(1023)))};
}
inline void transpose_block(F64 (&r)[2]) {
  const float64x2_t low = vzip1q_f64(r[0].v, r[1].v);
  r[1].v = vzip2q_f64(r[0].v, r[1].v);
  r[0].v = low;
}

// Both halves of a in double precision.
inline void widen(F32 a, F64& low, F64& high) {
  low = {vcvt_f64_f32(vget_low_f32(a.v))};
  high = {vcvt_high_f64_f32(a.v)};
}

// Two 64-bit lanes that hold numbers of 32 bits, for random.hpp; above those there may be anything.
struct Words {
  static constexpr int kLanes = 2;
  uint64x2_t v;

  static Words set1(uint32_t a) { return {vdupq_n_u64(a)}; }
  static Words count_from(uint32_t a) { return {vaddq_u64(vdupq_n_u64(a), vcombine_u64(vcreate_u64(0), vcreate_u64(1)))}; }
  friend Words operator^(Words a, Words b) { return {veorq_u64(a.v, b.v)}; }
};

inline Words product(Words a, Words b) {
  return {vmull_u32(vmovn_u64(a.v), vmovn_u64(b.v))};
}  // of 32 by 32 bits, all 64 of it
inline Words high_half(Words a) { return {vshrq_n_u64(a.v, 32)}; }
// words[4 i + j] = x_j of lane i.
inline void store_words(uint32_t* words, Words x0, Words x1, Words x2, Words x3) {
  const uint64x2_t a = vsliq_n_u64(x0.v, x1.v, 32), b = vsliq_n_u64(x2.v, x3.v, 32);
  vst1q_u32(words, vreinterpretq_u32_u64(vtrn1q_u64(a, b)));
  vst1q_u32(words + 4, vreinterpretq_u32_u64(vtrn2q_u64(a, b)));
}

}  // namespace
}  // namespace nncore
