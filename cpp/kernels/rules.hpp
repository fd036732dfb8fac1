// Optimizer update rules over arrays: each a functor over one vector of parameters, its gradient and its states.
//
// prepare() turns the hyper-parameters, in the order of the rule's row in the op table, and the update's number t = 1, 2,
// ... into coefficients in double precision; the functor reads them once per call. What comes before every rule, clipping
// and weight decay, is here.
#pragma once
#include "rules_adam.hpp"

namespace nncore {
namespace {

// Whether a call does more before the rule than add coupled weight decay.
inline bool adjusts(const double* c) {
  return c[kScale] != 1 || c[kLimit] < static_cast<double>(INFINITY) || c[kKeep] != 1;
}

template <class V>
struct Adjustment {
  V scale, limit, keep, decay;
  explicit Adjustment(const double* c)
      : scale(coefficient<V>(c, kScale)),
        limit(coefficient<V>(c, kLimit)),
        keep(coefficient<V>(c, kKeep)),
        decay(coefficient<V>(c, kDecay)) {}
  V gradient(V g) const { return min(limit, max(V::set1(0) - limit, g * scale)); }
};

template <class V, class R, bool Adjusted>
void update_with(typename V::T* p, const typename V::T* g, typename V::T* const* states, size_t n, const double* c) {
  const R rule(c);
  const Adjustment<V> adjust(c);
  const auto step = [&](V x, V dx, V* s) {
    if (Adjusted) {
      dx = adjust.gradient(dx);
      x = x * adjust.keep;
    }
    return rule.update(x, fma(adjust.decay, x, dx), s);
  };
  V s[kMaxStates];
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    for (int j = 0; j < R::kStates; ++j) s[j] = V::load(states[j] + i);
    step(V::load(p + i), V::load(g + i), s).store(p + i);
    for (int j = 0; j < R::kStates; ++j) s[j].store(states[j] + i);
  }
  const size_t rest = n - i;
  if (rest == 0) return;
  for (int j = 0; j < R::kStates; ++j) s[j] = V::load(states[j] + i, rest);
  step(V::load(p + i, rest), V::load(g + i, rest), s).store(p + i, rest);
  for (int j = 0; j < R::kStates; ++j) s[j].store(states[j] + i, rest);
}

template <class V, template <class> class R>
void update_rule(typename V::T* p, const typename V::T* g, typename V::T* const* states, size_t n, const double* c) {
  if (adjusts(c)) {
    update_with<V, R<V>, true>(p, g, states, n, c);
  } else {
    update_with<V, R<V>, false>(p, g, states, n, c);
  }
}

template <class V>
double sum_of_lanes(V x) {
  typename V::T lanes[V::kLanes];
  x.store(lanes);
  double sum = 0;
  for (const auto lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

// Vectors with `count` elements at most.
template <class V>
inline V load_up_to(const typename V::T* x, size_t count) {
  return count < V::kLanes ? V::load(x, count) : V::load(x);
}
template <class V>
inline void store_up_to(V v, typename V::T* x, size_t count) {
  if (count < V::kLanes) {
    v.store(x, count);
  } else {
    v.store(x);
  }
}

constexpr size_t kSumBlock = 1024;  // elements that are summed in their own type before they go into a double

template <class V>
double sum_squares(const typename V::T* x, size_t n) {
  double sum = 0;
  for (size_t begin = 0; begin < n; begin += kSumBlock) {
    const size_t end = n - begin < kSumBlock ? n : begin + kSumBlock;
    V part[4] = {V::set1(0), V::set1(0), V::set1(0), V::set1(0)};
    size_t i = begin;
    for (; i + 4 * V::kLanes <= end; i += 4 * V::kLanes)
      for (size_t j = 0; j < 4; ++j) {
        const V v = V::load(x + i + j * V::kLanes);
        part[j] = fma(v, v, part[j]);
      }
    for (; i < end; i += V::kLanes) {
      const V v = load_up_to<V>(x + i, end - i);
      part[0] = fma(v, v, part[0]);
    }
    sum += sum_of_lanes((part[0] + part[1]) + (part[2] + part[3]));
  }
  return sum;
}

template <class V>
void blend(typename V::T* y, const typename V::T* x, size_t n, double keep) {
  const V old = V::set1(static_cast<typename V::T>(keep)), fresh = V::set1(static_cast<typename V::T>(1 - keep));
  size_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) fma(fresh, V::load(x + i), old * V::load(y + i)).store(y + i);
  const size_t rest = n - i;
  if (rest > 0) fma(fresh, V::load(x + i, rest), old * V::load(y + i, rest)).store(y + i, rest);
}

// The first pass of a rule with norms; see Rule.
template <class V, template <class> class R>
void norms_of_rule(const typename V::T* p, const typename V::T* g, typename V::T* const* states, size_t n, const double* c,
                   double* sums) {
  const R<V> rule(c);
  const Adjustment<V> adjust(c);
  V s[kMaxStates];
  for (size_t begin = 0; begin < n; begin += kSumBlock) {
    const size_t end = n - begin < kSumBlock ? n : begin + kSumBlock;
    V of_p = V::set1(0), of_d = V::set1(0);
    for (size_t i = begin; i < end; i += V::kLanes) {
      const size_t count = end - i;
      for (int j = 0; j < R<V>::kStates; ++j) s[j] = load_up_to<V>(states[j] + i, count);
      const V x = load_up_to<V>(p + i, count), d = rule.advance(x, adjust.gradient(load_up_to<V>(g + i, count)), s);
      for (int j = 0; j < R<V>::kStates; ++j) store_up_to(s[j], states[j] + i, count);
      of_p = fma(x, x, of_p);
      of_d = fma(d, d, of_d);
    }
    sums[0] += sum_of_lanes(of_p);
    sums[1] += sum_of_lanes(of_d);
  }
}

template <class V, template <class> class... R>
void fill_rules_with(Kernels<typename V::T>& k) {
  const Rule<typename V::T> rows[] = {{R<V>::kName, R<V>::kStates, R<V>::prepare, update_rule<V, R>, nullptr}...};
  static_assert(sizeof...(R) < kMaxRules, "raise kMaxRules");
  for (const auto& row : rows) k.rules[k.rule_count++] = row;
}

template <class V>
void fill_rules(Kernels<typename V::T>& k) {
  k.sum_squares = sum_squares<V>;
  k.blend = blend<V>;
  k.rule_count = 0;
  fill_rules_with<V, Sgd, Momentum, RmsProp, RmsPropMomentum, RmsPropCentered, RmsPropCenteredMomentum, Adagrad, Adadelta,
                  Adam, AdamW, Amsgrad, Adamax, NAdam, RAdam, Lion>(k);
  k.rules[k.rule_count++] = {Lamb<V>::kName, Lamb<V>::kStates, Lamb<V>::prepare, update_rule<V, Lamb>,
                             norms_of_rule<V, Lamb>};
}

}  // namespace
}  // namespace nncore
