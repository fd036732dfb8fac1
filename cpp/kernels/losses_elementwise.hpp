// Losses of single elements, each a functor that gives value and gradient; included by losses.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// (p - t)^2
template <class V>
struct SquaredError {
  static constexpr const char* kName = "mse";
  explicit SquaredError(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V d = p - t;
    value = d * d;
    gradient = d + d;
  }
};

// -t log sigmoid(p) - (1 - t) log(1 - sigmoid(p)) = max(p, 0) - p t + log1p(exp(-|p|))
template <class V>
struct BinaryCrossEntropyWithLogits {
  explicit BinaryCrossEntropyWithLogits(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V e = exp(V::set1(0) - abs(p));
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
    const V e = exp(zero - abs(p)), log_term = log1p_reduced(e);
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

}  // namespace
}  // namespace nncore
