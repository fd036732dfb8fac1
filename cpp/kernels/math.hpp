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
  static constexpr float kCdfMax = 13.2f;
  static constexpr float kErfcxCentre = 4.25f;
  // (expm1(r) - r - r^2/2) / r^3 on |r| <= ln(2)/2
  static constexpr float kExpm1Tail[] = {0.166665147f, 0.0416663762f, 0.00836943509f, 0.00139430236f};
  // (2 atanh(sqrt z) / sqrt z - 2) / z on [0, 1/9]
  static constexpr float kAtanhTail[] = {0.666666757f, 0.399988729f, 0.286170344f, 0.214258596f, 0.243082967f};
  // (u + centre) erfcx(u / sqrt 2) / 2 in q = (u - centre) / (u + centre) on [0, kCdfMax]
  static constexpr float kErfcx[] = {0.759554208f,   -0.62512978f,     0.418227554f,   -0.220515671f,    0.085271672f,
                                     -0.0193640534f, -0.000746567386f, 0.00217995854f, -0.000375824328f, -0.000239414897f};
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
  static constexpr double kCdfMax = 37.64;
  static constexpr double kErfcxCentre = 6.0;
  static constexpr double kExpm1Tail[] = {0.166666666666666854,   0.0416666666666667031,   0.00833333333331550646,
                                          0.00138888888888632116, 0.000198412699002053144, 0.0000248015873689989795,
                                          2.75572310260093878e-6, 2.75572354089461006e-7,  2.51133764196766548e-8,
                                          2.09266631522736174e-9};
  static constexpr double kAtanhTail[] = {0.666666666666666784,  0.399999999999939163, 0.285714285725201321,
                                          0.222222221246549207,  0.181818232404998162, 0.153844508668709877,
                                          0.133368250406482325,  0.117157293362874868, 0.109741411583744826,
                                          0.0698794529006058567, 0.164784888797998847};
  static constexpr double kErfcx[] = {
      0.777351771893362177,      -0.701009029590865448,  0.568968891814788447,     -0.413903585775600989,
      0.267974245841392277,      -0.152680232064202755,  0.0751719156746896975,    -0.0309853155105211533,
      0.0100298205759336607,     -0.002131605203283632,  0.0000328704421398237038, 0.000181360499782397013,
      -0.0000647537038685455103, 1.0748633267632206e-6,  6.80064778406243888e-6,   -1.79703487273758867e-6,
      -4.36107046915354441e-7,   3.05197101273939496e-7, 1.31853518495317773e-8,   -3.78736213058676189e-8,
      -1.18251582236699732e-10,  2.63903256047778373e-9};
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

// Cody-Waite reduction by multiples of ln 2. NaN gives NaN.
template <class V>
inline V exp(V x) {
  using C = Constants<V>;
  x = min(V::set1(C::kExpMax), max(V::set1(C::kExpMin), x));
  const V n = round(x * V::set1(C::kLog2E));
  const V r = fnma(n, V::set1(C::kLn2Lo), fnma(n, V::set1(C::kLn2Hi), x));
  const V half = round(n * V::set1(0.5f));  // two steps reach the subnormal numbers and infinity
  return ((V::set1(1) + expm1_reduced(r)) * exp2i(half)) * exp2i(n - half);
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

// exp(-x^2 / 2), or 0 beyond kCdfMax, where it would soon be subnormal. The square is split so that its rounding error is
// not magnified by exp.
template <class V>
inline V exp_half_square(V x) {
  using C = Constants<V>;
  const V a = min(V::set1(C::kCdfMax), abs(x));
  const V head = truncate(a);
  const V hi = V::set1(-0.5f) * (head * head), lo = V::set1(-0.5f) * ((a - head) * (a + head));
  const V n = round(hi * V::set1(C::kLog2E));
  const V r = fnma(n, V::set1(C::kLn2Lo), fnma(n, V::set1(C::kLn2Hi), hi)) + lo;
  const V e = (V::set1(1) + expm1_reduced(r)) * exp2i(n);
  return select(V::set1(C::kCdfMax) < abs(x), V::set1(0), e);
}

// The standard normal distribution function, given gauss = exp(-x^2 / 2): gauss erfcx(|x| / sqrt 2) / 2 in the lower half.
template <class V>
inline V normal_cdf(V x, V gauss) {
  using C = Constants<V>;
  const V u = min(V::set1(C::kCdfMax), abs(x)), centre = V::set1(C::kErfcxCentre);
  const V inverse = V::set1(1) / (u + centre);
  const V lower = gauss * (polynomial((u - centre) * inverse, C::kErfcx) * inverse);
  return select(x <= V::set1(0), lower, V::set1(1) - lower);
}

}  // namespace
}  // namespace nncore
