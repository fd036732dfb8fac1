// Losses over rows of predictions, value and gradient in one pass; included after rows.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// (p - t)^2
template <class V>
struct SquaredError {
  static constexpr const char* kName = "mse";
  static void both(V p, V t, V& value, V& gradient) {
    const V d = p - t;
    value = d * d;
    gradient = d + d;
  }
};

// -t log sigmoid(p) - (1 - t) log(1 - sigmoid(p)) = max(p, 0) - p t + log1p(exp(-|p|))
template <class V>
struct BinaryCrossEntropyWithLogits {
  static constexpr const char* kName = "bce_with_logits";
  static void both(V p, V t, V& value, V& gradient) {
    const V e = exp(V::set1(0) - abs(p));
    value = fnma(p, t, max(V::set1(0), p)) + log1p_reduced(e);
    const V s = V::set1(1) / (V::set1(1) + e);
    gradient = select(p < V::set1(0), e * s, s) - t;
  }
};

template <class V>
inline auto is_zero(V v) {
  return abs(v) <= V::set1(0);
}

// Adds up vectors in double precision, lane by lane and always in the same order.
template <class V>
class DoubleSum {
 public:
  void add(V v, size_t lanes) {
    typename V::T lane[V::kLanes];
    v.store(lane);
    for (size_t i = 0; i < lanes; ++i) sum_[i] += static_cast<double>(lane[i]);
  }
  double total() {
    for (int half = V::kLanes / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) sum_[i] += sum_[i + half];
    return sum_[0];
  }

 private:
  double sum_[V::kLanes] = {};
};

// f(first column, lanes) over a row; the last call may have fewer lanes.
template <class V, class F>
inline void row_each(size_t n, F f) {
  size_t j = 0;
  for (; j + V::kLanes <= n; j += V::kLanes) f(j, V::kLanes);
  if (j < n) f(j, n - j);
}

template <class V, template <class> class F>
void elementwise_loss(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    const T* t = a.target + r * a.ld_target;
    DoubleSum<V> sum;
    row_each<V>(a.n, [&](size_t j, size_t lanes) {
      V value, gradient;
      F<V>::both(load_lanes<V>(p + j, lanes), load_lanes<V>(t + j, lanes), value, gradient);
      if (a.dpred) store_lanes(gradient * V::set1(a.scale), a.dpred + r * a.ld_dpred + j, lanes);
      if (a.values) store_lanes(value, a.values + r * a.n + j, lanes);
      sum.add(value, lanes);
    });
    a.row_loss[r] = sum.total();
  }
}

// log sum exp(p) - p[index], or sum over j of t[j] (log sum exp(p) - p[j]); gradient softmax(p) sum(t) - t.
template <class V>
void cross_entropy(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const T lowest = -static_cast<T>(__builtin_inf());
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    const T* t = a.target ? a.target + r * a.ld_target : nullptr;
    T* dp = a.dpred ? a.dpred + r * a.ld_dpred : nullptr;
    const T m = row_max<V>(p, a.n);
    const T s = row_sum<V>(a.n, [&](size_t j, size_t lanes) {
      const V e = exp(load_lanes<V>(p + j, lanes, lowest) - V::set1(m));
      if (dp) store_lanes(e, dp + j, lanes);
      return e;
    });
    const T log_sum = scalar_log<V>(s);
    T total = 1;
    if (t) {
      total = row_sum<V>(a.n, [&](size_t j, size_t lanes) { return load_lanes<V>(t + j, lanes); });
      DoubleSum<V> sum;
      row_each<V>(a.n, [&](size_t j, size_t lanes) {
        // A class of no weight costs nothing, not even 0 * inf.
        const V weight = load_lanes<V>(t + j, lanes),
                minus_log = V::set1(log_sum) - (load_lanes<V>(p + j, lanes) - V::set1(m));
        sum.add(select(is_zero(weight), V::set1(0), weight * minus_log), lanes);
      });
      a.row_loss[r] = sum.total();
    } else {
      a.row_loss[r] = static_cast<double>(log_sum - (p[a.index[r]] - m));
    }
    if (!dp) continue;
    const V weight = V::set1(a.scale * total / s);
    row_map<V>(dp, a.n, [&](size_t j, size_t lanes) {
      const V softmax = load_lanes<V>(dp + j, lanes) * weight;
      return t ? fnma(load_lanes<V>(t + j, lanes), V::set1(a.scale), softmax) : softmax;
    });
    if (!t) dp[a.index[r]] -= a.scale;
  }
}

template <class V>
void fill_losses(Kernels<typename V::T>& k) {
  const Loss<typename V::T> rows[] = {
      {SquaredError<V>::kName, true, elementwise_loss<V, SquaredError>},
      {BinaryCrossEntropyWithLogits<V>::kName, true, elementwise_loss<V, BinaryCrossEntropyWithLogits>},
      {"cross_entropy", false, cross_entropy<V>},
  };
  k.loss_count = 0;
  for (const auto& row : rows) k.losses[k.loss_count++] = row;
}

}  // namespace
}  // namespace nncore
