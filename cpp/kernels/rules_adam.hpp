// Update rules with running means m of gradients and v of their squares: Adam and its family.
#pragma once
#include <math.h>

#include "rules_plain.hpp"

namespace nncore {
namespace {

// Where the moments' own coefficients begin, and where those of a rule beyond them.
constexpr int kMoments = kFirstOwn, kAfterMoments = kFirstOwn + 6;

// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; and sqrt(v / (1 - b2^t)) + eps.
template <class V>
struct Moments {
  V b1, c1, b2, c2, root, eps;
  explicit Moments(const double* c)
      : b1(coefficient<V>(c, kMoments)),
        c1(coefficient<V>(c, kMoments + 1)),
        b2(coefficient<V>(c, kMoments + 2)),
        c2(coefficient<V>(c, kMoments + 3)),
        root(coefficient<V>(c, kMoments + 4)),
        eps(coefficient<V>(c, kMoments + 5)) {}
  // From hyper = {lr, b1, b2, eps, ...}.
  static void prepare(double* c, const double* hyper, double t) {
    c[kMoments] = hyper[1];
    c[kMoments + 1] = 1 - hyper[1];
    c[kMoments + 2] = hyper[2];
    c[kMoments + 3] = 1 - hyper[2];
    c[kMoments + 4] = 1 / ::sqrt(1 - ::pow(hyper[2], t));
    c[kMoments + 5] = hyper[3];
  }
  void advance(V g, V* s) const {
    s[0] = fma(c1, g, b1 * s[0]);
    s[1] = fma(c2 * g, g, b2 * s[1]);
  }
  V denominator(V v) const { return fma(sqrt(v), root, eps); }
};

// p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps); amsgrad: the largest v so far instead of v
enum class AdamKind { kCoupled, kDecoupled, kAmsgrad };
template <class V, AdamKind Kind>
struct AdamRule {
  static constexpr const char* kName = Kind == AdamKind::kCoupled     ? "adam"
                                       : Kind == AdamKind::kDecoupled ? "adamw"
                                                                      : "amsgrad";
  static constexpr int kStates = Kind == AdamKind::kAmsgrad ? 3 : 2;
  Moments<V> moments;
  V step;
  explicit AdamRule(const double* c) : moments(c), step(coefficient<V>(c, kAfterMoments)) {}
  static void prepare(double* c, const double* hyper, double t) {
    const bool decoupled = Kind == AdamKind::kAmsgrad ? hyper[5] != 0 : Kind == AdamKind::kDecoupled;
    prepare_shared(c, hyper[0], hyper[4], decoupled);
    Moments<V>::prepare(c, hyper, t);
    if (Kind == AdamKind::kCoupled && hyper[5] != 0) c[kMoments + 5] *= c[kMoments + 4];  // the paper's epsilon hat
    c[kAfterMoments] = hyper[0] / (1 - ::pow(hyper[1], t));
  }
  V update(V p, V g, V* s) const {
    moments.advance(g, s);
    V v = s[1];
    if (Kind == AdamKind::kAmsgrad) v = s[kStates - 1] = max(s[kStates - 1], v);
    return fnma(step, s[0] / moments.denominator(v), p);
  }
};
template <class V>
using Adam = AdamRule<V, AdamKind::kCoupled>;
template <class V>
using AdamW = AdamRule<V, AdamKind::kDecoupled>;
template <class V>
using Amsgrad = AdamRule<V, AdamKind::kAmsgrad>;

// m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps); p -= lr / (1 - b1^t) m / u
template <class V>
struct Adamax {
  static constexpr const char* kName = "adamax";
  static constexpr int kStates = 2;
  Moments<V> moments;
  V step;
  explicit Adamax(const double* c) : moments(c), step(coefficient<V>(c, kAfterMoments)) {}
  static void prepare(double* c, const double* hyper, double t) {
    prepare_shared(c, hyper[0], hyper[4], hyper[5] != 0);
    Moments<V>::prepare(c, hyper, t);
    c[kAfterMoments] = hyper[0] / (1 - ::pow(hyper[1], t));
  }
  V update(V p, V g, V* s) const {
    s[0] = fma(moments.c1, g, moments.b1 * s[0]);
    s[1] = max(moments.b2 * s[1], abs(g) + moments.eps);
    return fnma(step, s[0] / s[1], p);
  }
};

// With mu(t) = b1 (1 - 0.96^(t decay) / 2) and M the product of mu(1) .. mu(t):
// p -= lr ((1 - mu(t)) / (1 - M) g + mu(t + 1) / (1 - M mu(t + 1)) m) / (sqrt(v / (1 - b2^t)) + eps)
template <class V>
struct NAdam {
  static constexpr const char* kName = "nadam";
  static constexpr int kStates = 2;
  Moments<V> moments;
  V of_gradient, of_mean;
  explicit NAdam(const double* c)
      : moments(c), of_gradient(coefficient<V>(c, kAfterMoments)), of_mean(coefficient<V>(c, kAfterMoments + 1)) {}
  // The product of 1 - q^i / 2 for i = 1 .. t with log q = log_q <= 0, by the series of its logarithm, whose terms
  // -(1/2)^k / k q^(ki) sum over i as a geometric series: a loop over the steps would take longer with each of them.
  static double product(double t, double log_q) {
    double sum = 0, half = 1;
    for (int k = 1; k <= 54; ++k) {
      half *= 0.5;
      const double a = k * log_q;
      sum += half / k * (a < 0 ? ::exp(a) * ::expm1(a * t) / ::expm1(a) : t);
    }
    return ::exp(-sum);
  }
  static void prepare(double* c, const double* hyper, double t) {
    prepare_shared(c, hyper[0], hyper[5], hyper[6] != 0);
    Moments<V>::prepare(c, hyper, t);
    const double b1 = hyper[1], log_q = hyper[4] * ::log(0.96), power = ::pow(b1, t);
    const double mu = b1 * (1 - 0.5 * ::exp(t * log_q)), next = b1 * (1 - 0.5 * ::exp((t + 1) * log_q));
    const double all = power > 1e-18 ? power * product(t, log_q) : 0;  // smaller does not show in 1 - all
    c[kAfterMoments] = hyper[0] * (1 - mu) / (1 - all);
    c[kAfterMoments + 1] = hyper[0] * next / (1 - all * next);
  }
  V update(V p, V g, V* s) const {
    moments.advance(g, s);
    return p - fma(of_gradient, g, of_mean * s[0]) / moments.denominator(s[1]);
  }
};

// With r the length of the approximated simple moving average: p -= lr / (1 - b1^t) m, where r > 5 times
// rectification sqrt(1 - b2^t) / (sqrt(v) + eps)
template <class V>
struct RAdam {
  static constexpr const char* kName = "radam";
  static constexpr int kStates = 2;
  Moments<V> moments;
  V step;
  bool rectified;
  explicit RAdam(const double* c)
      : moments(c), step(coefficient<V>(c, kAfterMoments)), rectified(c[kAfterMoments + 1] != 0) {}
  static void prepare(double* c, const double* hyper, double t) {
    prepare_shared(c, hyper[0], hyper[4], hyper[5] != 0);
    Moments<V>::prepare(c, hyper, t);
    const double b2 = hyper[2], power = ::pow(b2, t), longest = 2 / (1 - b2) - 1;
    const double r = longest - 2 * t * power / (1 - power);
    double step = hyper[0] / (1 - ::pow(hyper[1], t));
    if (r > 5) step *= ::sqrt((r - 4) * (r - 2) * longest / ((longest - 4) * (longest - 2) * r)) * ::sqrt(1 - power);
    c[kAfterMoments] = step;
    c[kAfterMoments + 1] = r > 5;
  }
  V update(V p, V g, V* s) const {
    moments.advance(g, s);
    return fnma(step, rectified ? s[0] / (sqrt(s[1]) + moments.eps) : s[0], p);
  }
};

// d = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + wd p; p -= lr |p| / |d| d with norms over the whole parameter
template <class V>
struct Lamb {
  static constexpr const char* kName = "lamb";
  static constexpr int kStates = 2;
  Moments<V> moments;
  V correction, decay, step;
  explicit Lamb(const double* c)
      : moments(c),
        correction(coefficient<V>(c, kAfterMoments)),
        decay(coefficient<V>(c, kAfterMoments + 1)),
        step(V::set1(static_cast<typename V::T>(c[kAfterMoments + 2] * c[kRatio]))) {}
  static void prepare(double* c, const double* hyper, double t) {
    prepare_shared(c, hyper[0], 0, false);
    Moments<V>::prepare(c, hyper, t);
    c[kAfterMoments] = 1 / (1 - ::pow(hyper[1], t));
    c[kAfterMoments + 1] = hyper[4];
    c[kAfterMoments + 2] = hyper[0];
  }
  V direction(V p, const V* s) const { return fma(decay, p, s[0] * correction / moments.denominator(s[1])); }
  // New states; returns the direction.
  V advance(V p, V g, V* s) const {
    moments.advance(g, s);
    return direction(p, s);
  }
  V update(V p, V, V* s) const { return fnma(step, direction(p, s), p); }
};

}  // namespace
}  // namespace nncore
