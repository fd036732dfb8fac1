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
  static constexpr float kErfcxCentre = 2.0f;
  // (expm1(r) - r - r^2/2) / r^3 on |r| <= ln(2)/2
  static constexpr float kExpm1Tail[] = {0.166665147f, 0.0416663762f, 0.00836943509f, 0.00139430236f};
  // (2 atanh(sqrt z) / sqrt z - 2) / z on [0, 1/9]
  static constexpr float kAtanhTail[] = {0.666666757f, 0.399988729f, 0.286170344f, 0.214258596f, 0.243082967f};
  // (1 + 2t) erfcx(t) in q = (t - centre) / (t + centre)
  static constexpr float kErfcx[] = {1.27697838f,     -0.0927638111f,   -0.166030435f,   0.164050787f,
                                     -0.0542191499f,  -0.00802927549f,  0.00871649691f,  0.00125025157f,
                                     -0.00143833116f, -0.000404323928f, 0.000184308386f, 8.76446579e-5f};
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
  static constexpr double kCdfMax = 38.6;
  static constexpr double kErfcxCentre = 3.0;
  static constexpr double kExpm1Tail[] = {0.166666666666666854,   0.0416666666666667031,   0.00833333333331550646,
                                          0.00138888888888632116, 0.000198412699002053144, 0.0000248015873689989795,
                                          2.75572310260093878e-6, 2.75572354089461006e-7,  2.51133764196766548e-8,
                                          2.09266631522736174e-9};
  static constexpr double kAtanhTail[] = {0.666666666666666784,  0.399999999999939163, 0.285714285725201321,
                                          0.222222221246549207,  0.181818232404998162, 0.153844508668709877,
                                          0.133368250406482325,  0.117157293362874868, 0.109741411583744826,
                                          0.0698794529006058567, 0.164784888797998847};
  static constexpr double kErfcx[] = {
      1.25300805826972966,    -0.135621106124581098,     -0.0475622943534530605,   0.129645158702750255,
      -0.119273663415168569,  0.0683080273444060436,     -0.0237705149219376466,   0.00252939180790006295,
      0.00188869039816968007, -0.000779832185525927968,  -0.000105160062412995485, 0.000125098792927476502,
      4.95055234963466664e-6, -0.0000200982538376259277, -7.34163165466839072e-7,  3.46615967127961741e-6,
      3.60668634754241249e-7, -6.05658638933765917e-7,   -1.44103543796816889e-7,  8.97748061160850422e-8,
      4.11347563921580138e-8, -5.75650399614750743e-9,   -6.4678444557829875e-9,   -1.06725952149769161e-9};
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

// exp(hi + lo), |lo| small beside 1: Cody-Waite reduction by multiples of ln 2. NaN gives NaN.
template <class V>
inline V exp_sum(V hi, V lo) {
  using C = Constants<V>;
  hi = min(V::set1(C::kExpMax), max(V::set1(C::kExpMin), hi));
  const V n = round(hi * V::set1(C::kLog2E));
  const V r = fnma(n, V::set1(C::kLn2Lo), fnma(n, V::set1(C::kLn2Hi), hi)) + lo;
  const V half = round(n * V::set1(0.5f));  // two steps reach the subnormal numbers and infinity
  return ((V::set1(1) + expm1_reduced(r)) * exp2i(half)) * exp2i(n - half);
}

template <class V>
inline V exp(V x) {
  return exp_sum(x, V::set1(0));
}

// exp(x) - 1 for x <= 44, accurate also near 0.
template <class V>
inline V expm1(V x) {
  using C = Constants<V>;
  x = max(V::set1(C::kExpm1Min), x);
  const V n = round(x * V::set1(C::kLog2E));
  const V r = fnma(n, V::set1(C::kLn2Lo), fnma(n, V::set1(C::kLn2Hi), x));
  const V scale = exp2i(n);
  return fma(scale, expm1_reduced(r), scale - V::set1(1));
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
  const V e = exp(V::set1(0) - abs(x));
  const V upper = V::set1(1) / (V::set1(1) + e);
  return select(x < V::set1(0), e * upper, upper);
}

// sigmoid(x) and 1 - sigmoid(x) = sigmoid(-x), the one as accurate as the other.
template <class V>
inline void sigmoids(V x, V& s, V& rest) {
  const V e = exp(V::set1(0) - abs(x));
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

// exp(-x^2 / 2): the square is split so that its rounding error is not magnified by exp.
template <class V>
inline V exp_half_square(V x) {
  const V a = min(V::set1(2 * Constants<V>::kCdfMax), abs(x));
  const V head = truncate(a);
  return exp_sum(V::set1(-0.5f) * (head * head), V::set1(-0.5f) * ((a - head) * (a + head)));
}

// The standard normal distribution function, given gauss = exp(-x^2 / 2): 1/2 gauss erfcx(|x| / sqrt 2) in the lower half.
template <class V>
inline V normal_cdf(V x, V gauss) {
  using C = Constants<V>;
  const V t = min(V::set1(C::kCdfMax), abs(x)) * V::set1(0.70710678118654752440);
  const V centre = V::set1(C::kErfcxCentre);
  const V erfcx = polynomial((t - centre) / (t + centre), C::kErfcx) / fma(V::set1(2), t, V::set1(1));
  const V tail = V::set1(0.5f) * (gauss * erfcx);
  const V lower = select(V::set1(C::kCdfMax) < abs(x), V::set1(0), tail);
  return select(x <= V::set1(0), lower, V::set1(1) - lower);
}

}  // namespace
}  // namespace nncore
