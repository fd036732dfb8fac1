// exp, expm1, log, log1p, tanh and the normal distribution on vectors; included after a vec_*.hpp.
//
// Polynomials are minimax (Remez) or Chebyshev fits; the maximum error in ULP of each function is stated and checked in
// tests/ops/test_accuracy.py.
#pragma once
#include <stddef.h>

#include "twice.hpp"

namespace nncore {
namespace {

template <class V>
struct Constants;

template <>
struct Constants<F32> {
  static constexpr float kLog2E = 1.44269504088896341f;
  static constexpr float kLn2Hi = 0.693359375f;  // few bits, so that n * kLn2Hi is exact
  static constexpr float kLn2Lo = -2.12194440054690583e-4f;
  static constexpr float kExpMin = -104.0f, kExpMax = 89.0f;
  static constexpr float kExpm1Min = -80.0f;
  static constexpr float kLargest = 3.40282347e38f;
  static constexpr float kTanhMax = 10.0f;
  static constexpr float kCdfMax = 14.5f;
  static constexpr float kTailCentre = 2.75f;
  // Added to a number, this leaves it rounded to a whole one, plus the bias of exponents, in the low bits.
  static constexpr float kRounder = 12582912.0f + 127.0f;
  // (expm1(r) - r - r^2/2) / r^3 on |r| <= ln(2)/2
  static constexpr float kExpm1Tail[] = {0.166665147f, 0.0416663762f, 0.00836943509f, 0.00139430236f};
  // (2 atanh(sqrt z) / sqrt z - 2) / z on [0, 1/9]
  static constexpr float kAtanhTail[] = {0.666666757f, 0.399988729f, 0.286170344f, 0.214258596f, 0.243082967f};
  // (a + kTailCentre) Phi(-a) exp(a^2 / 2) in q = (a - kTailCentre) / (a + kTailCentre)
  static constexpr float kTail[] = {0.718986043f,   -0.474354241f,  0.18233415f,      -0.0165628446f,   -0.016443119f,
                                    0.00318848952f, 0.00249231551f, -0.000244505991f, -0.000419687135f, -7.71754428e-5f};
};

template <>
struct Constants<F64> {
  static constexpr double kLog2E = 1.44269504088896340736;
  static constexpr double kLn2Hi = 6.93147180369123816490e-01;
  static constexpr double kLn2Lo = 1.90821492927058770002e-10;
  static constexpr double kExpMin = -746.0, kExpMax = 710.0;
  static constexpr double kExpm1Min = -700.0;
  static constexpr double kLargest = 1.7976931348623157e308;
  static constexpr double kTanhMax = 20.0;
  static constexpr double kCdfMax = 38.7;
  static constexpr double kTailCentre = 5.0;
  static constexpr double kRounder = 6755399441055744.0 + 1023.0;
  static constexpr double kExpm1Tail[] = {0.166666666666666854,   0.0416666666666667031,   0.00833333333331550646,
                                          0.00138888888888632116, 0.000198412699002053144, 0.0000248015873689989795,
                                          2.75572310260093878e-6, 2.75572354089461006e-7,  2.51133764196766548e-8,
                                          2.09266631522736174e-9};
  static constexpr double kAtanhTail[] = {0.666666666666666784,  0.399999999999939163, 0.285714285725201321,
                                          0.222222221246549207,  0.181818232404998162, 0.153844508668709877,
                                          0.133368250406482325,  0.117157293362874868, 0.109741411583744826,
                                          0.0698794529006058567, 0.164784888797998847};
  static constexpr double kTail[] = {
      0.769193049750062957,     -0.665382502890056632,   0.495305615969976724,      -0.313533156671312441,
      0.165020366170375442,     -0.0691186387060504578,  0.0207950667999584367,     -0.00299337677438588257,
      -0.00079786939842162042,  0.000544899096641498781, -0.0000593757307893151402, -0.0000497629732378340462,
      0.0000166812222741535761, 3.9814065492713079e-6,   -2.76924818909784532e-6,   -3.37643582675451392e-7,
      4.32979402677999784e-7,   4.35832554169808483e-8,  -6.55669856399165572e-8,   -1.02610068282179306e-8,
      7.27066409104579685e-9,   2.05151534386554576e-9};
};

template <class V>
struct Constants<Twice<V>> : Constants<V> {};

// c[0] + c[1] x + ... by Horner's rule.
template <class V, size_t N>
inline V polynomial(V x, const typename V::T (&c)[N]) {
  V sum = V::set1(c[N - 1]);
  for (size_t i = N - 1; i-- > 0;) sum = fma(sum, x, V::set1(c[i]));
  return sum;
}

// expm1(r) for |r| <= ln(2)/2.
template <class V>
inline V expm1_reduced(V r) {
  const V tail = polynomial(r, Constants<V>::kExpm1Tail);
  return fma(r * r, fma(r, tail, V::set1(0.5f)), r);
}

// exp(x): Cody-Waite reduction by multiples of ln 2. NaN gives NaN.
template <class V>
inline V exp(V x) {
  using C = Constants<V>;
  x = min(V::set1(C::kExpMax), max(V::set1(C::kExpMin), x));
  const V n = round(x * V::set1(C::kLog2E));
  const V r = fnma(n, V::set1(C::kLn2Lo), fnma(n, V::set1(C::kLn2Hi), x));
  const V half = round(n * V::set1(0.5f));  // two steps reach the subnormal numbers and infinity
  return ((V::set1(1) + expm1_reduced(r)) * exp2i(half)) * exp2i(n - half);
}

// x = n ln 2 + r with n whole and |r| <= ln(2)/2, and 2^(n + kMore); for n + kMore within the exponent range of normal
// numbers. NaN gives NaN.
template <class V>
struct Reduced {
  V r, power;
};

template <class V, int kMore>
inline Reduced<V> reduce(V x) {
  using C = Constants<V>;
  const V rounder = V::set1(C::kRounder + kMore);
  const V shifted = fma(x, V::set1(C::kLog2E), rounder), n = shifted - rounder;
  return {fnma(n, V::set1(C::kLn2Lo), fnma(n, V::set1(C::kLn2Hi), x)), low_bits_as_exponent(shifted)};
}

// exp of what was reduced with kMore = 64, which keeps 2^n from leaving the normal numbers before the result does.
template <class V>
inline V exp_of(Reduced<V> x) {
  return ((V::set1(1) + expm1_reduced(x.r)) * x.power) * V::set1(static_cast<typename V::T>(0x1p-64));
}

// exp(x) for x <= 40.
template <class V>
inline V exp_down(V x) {
  return exp_of(reduce<V, 64>(max(V::set1(Constants<V>::kExpMin), x)));
}

// exp(x) - 1 for x <= 44, accurate also near 0.
template <class V>
inline V expm1(V x) {
  const Reduced<V> e = reduce<V, 0>(max(V::set1(Constants<V>::kExpm1Min), x));
  return fma(e.power, expm1_reduced(e.r), e.power - V::set1(1));
}

// log(1 + f) for -0.3 <= f <= 1.
template <class V>
inline V log1p_reduced(V f) {
  const V s = f / (V::set1(2) + f);
  const V z = s * s;
  return fnma(s, fnma(z, polynomial(z, Constants<V>::kAtanhTail), f), f);
}

// log(x) for positive normal x.
template <class V>
inline V log(V x) {
  using C = Constants<V>;
  const V raw = exponent(x);
  const V mantissa = x * exp2i(V::set1(0) - raw);  // 1 <= mantissa < 2
  const auto low = mantissa < V::set1(1.41421356f);
  const V f = select(low, mantissa, mantissa * V::set1(0.5f)) - V::set1(1);
  const V e = select(low, raw, raw + V::set1(1));
  return fma(e, V::set1(C::kLn2Hi), fma(e, V::set1(C::kLn2Lo), log1p_reduced(f)));
}

// tanh(x) = expm1(2|x|) / (expm1(2|x|) + 2), with the sign of x.
template <class V>
inline V tanh(V x) {
  const V a = min(V::set1(Constants<V>::kTanhMax), abs(x));
  const V e = expm1(a + a);
  return copysign(e / (e + V::set1(2)), x);
}

// With e = exp(-|x|), 1 / (1 + e) or, for negative x, e / (1 + e): neither overflows.
template <class V>
inline V sigmoid(V x) {
  const V e = exp_down(V::set1(0) - abs(x));
  const V upper = V::set1(1) / (V::set1(1) + e);
  return select(x < V::set1(0), e * upper, upper);
}

// sigmoid(x) and 1 - sigmoid(x) = sigmoid(-x), the one as accurate as the other.
template <class V>
inline void sigmoids(V x, V& s, V& rest) {
  const V e = exp_down(V::set1(0) - abs(x));
  const V upper = V::set1(1) / (V::set1(1) + e), lower = e * upper;
  const auto negative = x < V::set1(0);
  s = select(negative, lower, upper);
  rest = select(negative, upper, lower);
}

// x with -infinity raised to the lowest number, whose product with 0 is 0.
template <class V>
inline V lift(V x) {
  return max(V::set1(-Constants<V>::kLargest), x);
}

// x with both infinities replaced by numbers.
template <class V>
inline V finite(V x) {
  return min(V::set1(Constants<V>::kLargest), lift(x));
}

// |x|, for functions that are 0 or 1 from kCdfMax on.
template <class V>
inline V normal_argument(V x) {
  return min(V::set1(Constants<V>::kCdfMax), abs(x));
}

// exp(-a^2 / 2): the square is split so that its rounding error is not magnified by exp.
template <class V>
inline V exp_half_square(V a) {
  const V head = truncate(a);
  Reduced<V> e = reduce<V, 64>(V::set1(-0.5f) * (head * head));
  e.r = fma(head - a, V::set1(0.5f) * (a + head), e.r);
  return exp_of(e);
}

// Phi(-a) exp(a^2 / 2) for a >= 0, where Phi is the standard normal distribution function.
template <class V>
inline V normal_tail(V a) {
  using C = Constants<V>;
  const V inverse = V::set1(1) / (a + V::set1(C::kTailCentre));
  return polynomial((a - V::set1(C::kTailCentre)) * inverse, C::kTail) * inverse;
}

}  // namespace
}  // namespace nncore
