// Update rules without running means of the gradient's direction: SGD, RMSprop, Adagrad, Adadelta, and Lion.
#pragma once
#include <math.h>

#include "kernel_table.hpp"

namespace nncore {
namespace {

template <class V>
inline V coefficient(const double* c, int i) {
  return V::set1(static_cast<typename V::T>(c[i]));
}

// The coefficients that all rules share.
inline void prepare_shared(double* c, double lr, double weight_decay, bool decoupled) {
  c[kScale] = c[kRatio] = 1;
  c[kLimit] = static_cast<double>(INFINITY);
  c[kKeep] = decoupled ? 1 - lr * weight_decay : 1;
  c[kDecay] = decoupled ? 0 : weight_decay;
}

// p -= lr g
template <class V>
struct Sgd {
  static constexpr const char* kName = "sgd";
  static constexpr int kStates = 0;
  V lr;
  explicit Sgd(const double* c) : lr(coefficient<V>(c, kFirstOwn)) {}
  static void prepare(double* c, const double* hyper, double) {
    prepare_shared(c, hyper[0], hyper[1], hyper[2] != 0);
    c[kFirstOwn] = hyper[0];
  }
  V update(V p, V g, V*) const { return fnma(lr, g, p); }
};

// u = mu u + (1 - dampening) g, the first time u = g; p -= lr (g + mu u if nesterov else u)
template <class V>
struct Momentum {
  static constexpr const char* kName = "momentum";
  static constexpr int kStates = 1;
  V lr, mu, fresh;
  bool nesterov;
  explicit Momentum(const double* c)
      : lr(coefficient<V>(c, kFirstOwn)),
        mu(coefficient<V>(c, kFirstOwn + 1)),
        fresh(coefficient<V>(c, kFirstOwn + 2)),
        nesterov(c[kFirstOwn + 3] != 0) {}
  static void prepare(double* c, const double* hyper, double t) {
    prepare_shared(c, hyper[0], hyper[4], hyper[5] != 0);
    c[kFirstOwn] = hyper[0];
    c[kFirstOwn + 1] = hyper[1];
    c[kFirstOwn + 2] = t > 1 ? 1 - hyper[2] : 1;
    c[kFirstOwn + 3] = hyper[3];
  }
  V update(V p, V g, V* s) const {
    s[0] = fma(mu, s[0], fresh * g);
    return fnma(lr, nesterov ? fma(mu, s[0], g) : s[0], p);
  }
};

// v = rho v + (1 - rho) g^2; centered: a = rho a + (1 - rho) g and v - a^2 instead of v below;
// d = g / (sqrt(v) + eps); with momentum: u = mu u + d and u instead of d; p -= lr d
template <class V, bool Centered, bool WithMomentum>
struct RmsPropRule {
  static constexpr const char* kName = Centered       ? (WithMomentum ? "rmsprop_centered_momentum" : "rmsprop_centered")
                                       : WithMomentum ? "rmsprop_momentum"
                                                      : "rmsprop";
  static constexpr int kStates = 1 + Centered + WithMomentum;
  V lr, rho, fresh, eps, mu;
  explicit RmsPropRule(const double* c)
      : lr(coefficient<V>(c, kFirstOwn)),
        rho(coefficient<V>(c, kFirstOwn + 1)),
        fresh(coefficient<V>(c, kFirstOwn + 2)),
        eps(coefficient<V>(c, kFirstOwn + 3)),
        mu(coefficient<V>(c, kFirstOwn + 4)) {}
  static void prepare(double* c, const double* hyper, double) {
    const double* rest = hyper + 2 + WithMomentum;
    prepare_shared(c, hyper[0], rest[1], rest[2] != 0);
    c[kFirstOwn] = hyper[0];
    c[kFirstOwn + 1] = hyper[1];
    c[kFirstOwn + 2] = 1 - hyper[1];
    c[kFirstOwn + 3] = rest[0];
    c[kFirstOwn + 4] = WithMomentum ? hyper[2] : 0;
  }
  V update(V p, V g, V* s) const {
    s[0] = fma(fresh * g, g, rho * s[0]);
    V variance = s[0];
    if (Centered) {
      s[1] = fma(fresh, g, rho * s[1]);
      variance = max(V::set1(0), fnma(s[1], s[1], variance));  // rounding may take it below zero
    }
    V d = g / (sqrt(variance) + eps);
    if (WithMomentum) d = s[kStates - 1] = fma(mu, s[kStates - 1], d);
    return fnma(lr, d, p);
  }
};
template <class V>
using RmsProp = RmsPropRule<V, false, false>;
template <class V>
using RmsPropMomentum = RmsPropRule<V, false, true>;
template <class V>
using RmsPropCentered = RmsPropRule<V, true, false>;
template <class V>
using RmsPropCenteredMomentum = RmsPropRule<V, true, true>;

// v += g^2; p -= lr g / (sqrt(v + initial) + eps)
template <class V>
struct Adagrad {
  static constexpr const char* kName = "adagrad";
  static constexpr int kStates = 1;
  V lr, initial, eps;
  explicit Adagrad(const double* c)
      : lr(coefficient<V>(c, kFirstOwn)),
        initial(coefficient<V>(c, kFirstOwn + 1)),
        eps(coefficient<V>(c, kFirstOwn + 2)) {}
  static void prepare(double* c, const double* hyper, double) {
    prepare_shared(c, hyper[0], hyper[3], hyper[4] != 0);
    for (int i = 0; i < 3; ++i) c[kFirstOwn + i] = hyper[i];
  }
  V update(V p, V g, V* s) const {
    s[0] = fma(g, g, s[0]);
    return fnma(lr, g / (sqrt(s[0] + initial) + eps), p);
  }
};

// v = rho v + (1 - rho) g^2; d = sqrt(u + eps) / sqrt(v + eps) g; u = rho u + (1 - rho) d^2; p -= lr d
template <class V>
struct Adadelta {
  static constexpr const char* kName = "adadelta";
  static constexpr int kStates = 2;
  V lr, rho, fresh, eps;
  explicit Adadelta(const double* c)
      : lr(coefficient<V>(c, kFirstOwn)),
        rho(coefficient<V>(c, kFirstOwn + 1)),
        fresh(coefficient<V>(c, kFirstOwn + 2)),
        eps(coefficient<V>(c, kFirstOwn + 3)) {}
  static void prepare(double* c, const double* hyper, double) {
    prepare_shared(c, hyper[0], hyper[3], hyper[4] != 0);
    c[kFirstOwn] = hyper[0];
    c[kFirstOwn + 1] = hyper[1];
    c[kFirstOwn + 2] = 1 - hyper[1];
    c[kFirstOwn + 3] = hyper[2];
  }
  V update(V p, V g, V* s) const {
    s[0] = fma(fresh * g, g, rho * s[0]);
    const V d = sqrt(s[1] + eps) / sqrt(s[0] + eps) * g;
    s[1] = fma(fresh * d, d, rho * s[1]);
    return fnma(lr, d, p);
  }
};

// p -= lr sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g
template <class V>
struct Lion {
  static constexpr const char* kName = "lion";
  static constexpr int kStates = 1;
  V lr, b1, c1, b2, c2;
  explicit Lion(const double* c)
      : lr(coefficient<V>(c, kFirstOwn)),
        b1(coefficient<V>(c, kFirstOwn + 1)),
        c1(coefficient<V>(c, kFirstOwn + 2)),
        b2(coefficient<V>(c, kFirstOwn + 3)),
        c2(coefficient<V>(c, kFirstOwn + 4)) {}
  static void prepare(double* c, const double* hyper, double) {
    prepare_shared(c, hyper[0], hyper[3], true);
    c[kFirstOwn] = hyper[0];
    c[kFirstOwn + 1] = hyper[1];
    c[kFirstOwn + 2] = 1 - hyper[1];
    c[kFirstOwn + 3] = hyper[2];
    c[kFirstOwn + 4] = 1 - hyper[2];
  }
  V update(V p, V g, V* s) const {
    const V zero = V::set1(0), m = fma(c1, g, b1 * s[0]);
    s[0] = fma(c2, g, b2 * s[0]);
    const V step = select(m < zero, zero - lr, select(zero < m, lr, zero));
    return p - step;
  }
};

}  // namespace
}  // namespace nncore
