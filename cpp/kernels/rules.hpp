// Optimizer update rules, each a functor over one vector of parameters, its gradient and its states.
//
// prepare() turns the hyper-parameters, in the order of the rule's row in the op table, and the update's number t = 1, 2,
// ... into coefficients in double precision; the functor reads them once per call.
#pragma once
#include <math.h>

#include "kernel_table.hpp"

namespace nncore {
namespace {

// g += wd p; p -= lr g
template <class V>
struct Sgd {
  static constexpr const char* kName = "sgd";
  static constexpr int kStates = 0;
  V lr, decay;
  explicit Sgd(const double* c)
      : lr(V::set1(static_cast<typename V::T>(c[0]))), decay(V::set1(static_cast<typename V::T>(c[1]))) {}
  static void prepare(double* c, const double* hyper, double) {
    c[0] = hyper[0];
    c[1] = hyper[1];
  }
  V update(V p, V g, V*) const { return fnma(lr, fma(decay, p, g), p); }
};

// g += wd p; u = mu u + g; p -= lr (g + mu u if nesterov else u)
template <class V>
struct Momentum {
  static constexpr const char* kName = "momentum";
  static constexpr int kStates = 1;
  V lr, mu, decay;
  bool nesterov;
  explicit Momentum(const double* c)
      : lr(V::set1(static_cast<typename V::T>(c[0]))),
        mu(V::set1(static_cast<typename V::T>(c[1]))),
        decay(V::set1(static_cast<typename V::T>(c[3]))),
        nesterov(c[2] != 0) {}
  static void prepare(double* c, const double* hyper, double) {
    for (int i = 0; i < 4; ++i) c[i] = hyper[i];
  }
  V update(V p, V g, V* s) const {
    g = fma(decay, p, g);
    s[0] = fma(mu, s[0], g);
    return fnma(lr, nesterov ? fma(mu, s[0], g) : s[0], p);
  }
};

// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
template <class V, bool Decoupled>
struct AdamRule {
  static constexpr const char* kName = Decoupled ? "adamw" : "adam";
  static constexpr int kStates = 2;
  V step, b1, c1, b2, c2, root, eps, decay;
  explicit AdamRule(const double* c)
      : step(V::set1(static_cast<typename V::T>(c[0]))),
        b1(V::set1(static_cast<typename V::T>(c[1]))),
        c1(V::set1(static_cast<typename V::T>(c[2]))),
        b2(V::set1(static_cast<typename V::T>(c[3]))),
        c2(V::set1(static_cast<typename V::T>(c[4]))),
        root(V::set1(static_cast<typename V::T>(c[5]))),
        eps(V::set1(static_cast<typename V::T>(c[6]))),
        decay(V::set1(static_cast<typename V::T>(c[7]))) {}
  static void prepare(double* c, const double* hyper, double t) {
    const double lr = hyper[0], b1 = hyper[1], b2 = hyper[2], eps = hyper[3], wd = hyper[4];
    c[0] = lr / (1 - ::pow(b1, t));
    c[1] = b1;
    c[2] = 1 - b1;
    c[3] = b2;
    c[4] = 1 - b2;
    c[5] = 1 / ::sqrt(1 - ::pow(b2, t));
    c[6] = eps;
    c[7] = Decoupled ? 1 - lr * wd : wd;
  }
  V update(V p, V g, V* s) const {
    if (Decoupled) {
      p = p * decay;
    } else {
      g = fma(decay, p, g);
    }
    s[0] = fma(c1, g, b1 * s[0]);
    s[1] = fma(c2 * g, g, b2 * s[1]);
    return fnma(step, s[0] / fma(sqrt(s[1]), root, eps), p);
  }
};
template <class V>
using Adam = AdamRule<V, false>;
template <class V>
using AdamW = AdamRule<V, true>;

// g += wd p; v = rho v + (1 - rho) g^2; p -= lr g / (sqrt(v) + eps)
template <class V>
struct RmsProp {
  static constexpr const char* kName = "rmsprop";
  static constexpr int kStates = 1;
  V lr, rho, c, eps, decay;
  explicit RmsProp(const double* k)
      : lr(V::set1(static_cast<typename V::T>(k[0]))),
        rho(V::set1(static_cast<typename V::T>(k[1]))),
        c(V::set1(static_cast<typename V::T>(k[4]))),
        eps(V::set1(static_cast<typename V::T>(k[2]))),
        decay(V::set1(static_cast<typename V::T>(k[3]))) {}
  static void prepare(double* c, const double* hyper, double) {
    for (int i = 0; i < 4; ++i) c[i] = hyper[i];
    c[4] = 1 - hyper[1];
  }
  V update(V p, V g, V* s) const {
    g = fma(decay, p, g);
    s[0] = fma(c * g, g, rho * s[0]);
    return fnma(lr, g / (sqrt(s[0]) + eps), p);
  }
};

template <class V, template <class> class R>
void update_rule(typename V::T* p, const typename V::T* g, typename V::T* const* states, size_t n,
                 const double* coefficients) {
  const R<V> rule(coefficients);
  V s[kMaxStates];
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    for (int j = 0; j < R<V>::kStates; ++j) s[j] = V::load(states[j] + i);
    rule.update(V::load(p + i), V::load(g + i), s).store(p + i);
    for (int j = 0; j < R<V>::kStates; ++j) s[j].store(states[j] + i);
  }
  const size_t rest = n - i;
  if (rest == 0) return;
  for (int j = 0; j < R<V>::kStates; ++j) s[j] = V::load(states[j] + i, rest);
  rule.update(V::load(p + i, rest), V::load(g + i, rest), s).store(p + i, rest);
  for (int j = 0; j < R<V>::kStates; ++j) s[j].store(states[j] + i, rest);
}

template <class V, template <class> class... R>
void fill_rules_with(Kernels<typename V::T>& k) {
  const Rule<typename V::T> rows[] = {{R<V>::kName, R<V>::kStates, R<V>::prepare, update_rule<V, R>}...};
  static_assert(sizeof...(R) <= kMaxRules, "raise kMaxRules");
  for (const auto& row : rows) k.rules[k.rule_count++] = row;
}

template <class V>
void fill_rules(Kernels<typename V::T>& k) {
  k.rule_count = 0;
  fill_rules_with<V, Sgd, Momentum, Adam, AdamW, RmsProp>(k);
}

}  // namespace
}  // namespace nncore
