// Losses that compare single probabilities, or logits of them, with their targets; included by losses.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// -t log sigmoid(p) - (1 - t) log(1 - sigmoid(p)) = max(p, 0) - p t + log1p(exp(-|p|))
template <class V>
struct BinaryCrossEntropyWithLogits {
  explicit BinaryCrossEntropyWithLogits(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V e = exp_down(V::set1(0) - abs(p));
    value = fnma(p, t, max(V::set1(0), p)) + log1p_reduced(e);
    const V s = V::set1(1) / (V::set1(1) + e);
    gradient = select(p < V::set1(0), e * s, s) - t;
  }
};

// weight (-pos_weight t log sigmoid(p) - (1 - t) log(1 - sigmoid(p))); the arrays are weight and pos_weight.
template <class V>
struct WeightedBinaryCrossEntropyWithLogits {
  Columns<V> weight, positive;
  explicit WeightedBinaryCrossEntropyWithLogits(const LossArgs<typename V::T>& a)
      : weight{a.arrays[0]}, positive{a.arrays[1]} {}
  void both(V p, V t, size_t j, size_t lanes, V& value, V& gradient) const {
    const V zero = V::set1(0), one = V::set1(1);
    const V e = exp_down(zero - abs(p)), log_term = log1p_reduced(e);
    const V w = weight.at(j, lanes), yes = positive.at(j, lanes) * t, no = one - t;
    // -log sigmoid(p) = max(-p, 0) + log1p(e), -log sigmoid(-p) = max(p, 0) + log1p(e)
    value = w * fma(yes, max(zero, zero - p) + log_term, no * (max(zero, p) + log_term));
    const V s = one / (one + e), small = e * s;
    const auto negative = p < zero;
    const V up = select(negative, small, s), down = select(negative, s, small);  // sigmoid(p), 1 - sigmoid(p)
    gradient = w * fnma(yes, down, no * up);
  }
};

template <class V>
void binary_cross_entropy_with_logits(const LossArgs<typename V::T>& a) {
  if (a.arrays[0] || a.arrays[1]) {
    elementwise_loss<V, WeightedBinaryCrossEntropyWithLogits>(a);
  } else {
    elementwise_loss<V, BinaryCrossEntropyWithLogits>(a);
  }
}

// -weight (t log p + (1 - t) log(1 - p)), each logarithm at least -100; gradient weight (p - t) / max(p (1 - p), 1e-12)
template <class V>
struct BinaryCrossEntropy {
  static constexpr const char* kName = "bce";
  Columns<V> weight;
  explicit BinaryCrossEntropy(const LossArgs<typename V::T>& a) : weight{a.arrays[0]} {}
  void both(V p, V t, size_t j, size_t lanes, V& value, V& gradient) const {
    const V one = V::set1(1), least = V::set1(-100), w = weight.at(j, lanes), q = one - p;
    // log1p(-p) = log(q) (-p / (q - 1)): the factor undoes the rounding of q
    const V rounded = one - q;
    const V log_q = select(is_zero(rounded), V::set1(0) - p, log_any(q) * (p / rounded));
    const V yes = max(least, log_any(p)), no = max(least, select(is_zero(q), V::set1(-1000), log_q));
    value = w * (V::set1(0) - fma(t, yes, (one - t) * no));
    gradient = w * ((p - t) / max(V::set1(1e-12), p * q));
  }
};

// t (log t - p) of log-probabilities p, or exp(t) (t - p) where the targets are logarithms too
template <class V>
struct KlDivergence {
  static constexpr const char* kName = "kl_div";
  bool log_target;
  explicit KlDivergence(const LossArgs<typename V::T>& a) : log_target(a.attrs[1] != 0) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V weight = log_target ? exp(t) : t, log_t = log_target ? t : log_any(t);
    value = select(is_zero(weight), V::set1(0), weight * (log_t - p));
    gradient = V::set1(0) - weight;
  }
};

// alpha_t u^gamma c with c the binary cross-entropy of a logit p, s = sigmoid(p), u = s (1 - t) + (1 - s) t and
// alpha_t = alpha t + (1 - alpha) (1 - t), or 1 for a negative alpha
template <class V>
struct Focal {
  using T = typename V::T;
  static constexpr const char* kName = "focal";
  bool balanced;
  V alpha, gamma;
  explicit Focal(const LossArgs<T>& a)
      : balanced(a.attrs[1] >= 0), alpha(V::set1(static_cast<T>(a.attrs[1]))), gamma(V::set1(static_cast<T>(a.attrs[2]))) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V zero = V::set1(0), one = V::set1(1), e = exp_down(zero - abs(p)), s = one / (one + e), small = e * s;
    const auto negative = p < zero;
    const V up = select(negative, small, s), down = select(negative, s, small), no = one - t;
    const V entropy = fnma(p, t, max(zero, p)) + log1p_reduced(e);
    const V u = max(V::set1(smallest_normal<T>()), fma(up, no, down * t));
    const V weight = balanced ? fma(alpha, t, (one - alpha) * no) : one;
    const V power = weight * exp(gamma * log(u));
    value = power * entropy;
    const V slope = gamma * entropy * (up * down / u) * (no - t);
    gradient = power * ((up - t) + slope);
  }
};

}  // namespace
}  // namespace nncore
