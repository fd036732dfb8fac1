// Losses of whole rows; included by losses.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// log sum exp(p) - p[index], or sum over j of q[j] (log sum exp(p) - p[j]); gradient softmax(p) sum(q) - q. In general
// q[j] = weight[j] ((1 - s) t[j] + s / n), with label smoothing s and t one-hot where the target is an index.
template <class V>
void cross_entropy(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const T lowest = -static_cast<T>(__builtin_inf());
  const T smoothing = static_cast<T>(a.attrs[2]), kept = 1 - smoothing;
  const T* weights = a.arrays[0];
  T shares[V::kLanes];
  for (T& share : shares) share = smoothing / static_cast<T>(a.n);
  const bool spread = a.target || smoothing != 0;  // q is more than its column `index`

  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    const T* t = a.target ? a.target + r * a.ld_target : nullptr;
    T* dp = a.dpred ? a.dpred + r * a.ld_dpred : nullptr;
    if (!t && a.index[r] < 0) {
      ignore_row<V>(a, r);
      continue;
    }
    const T m = row_max<V>(p, a.n);
    const T s = row_sum<V>(a.n, [&](size_t j, size_t lanes) {
      const V e = exp(load_lanes<V>(p + j, lanes, lowest) - V::set1(m));
      if (dp) store_lanes(e, dp + j, lanes);
      return e;
    });
    const T log_sum = scalar_log<V>(s);
    const auto column = [&](size_t j, size_t lanes) {  // q, without what an index adds
      V q = t ? load_lanes<V>(t + j, lanes) : V::set1(0);
      if (smoothing != 0) q = fma(q, V::set1(kept), load_lanes<V>(shares, lanes));
      return weights ? q * load_lanes<V>(weights + j, lanes) : q;
    };
    const T at_index = t ? 0 : weights ? kept * weights[a.index[r]] : kept;
    double loss = 0;
    T total = at_index;
    if (at_index != 0) loss = static_cast<double>(at_index * (log_sum - (p[a.index[r]] - m)));
    if (spread) {
      total += row_sum<V>(a.n, column);
      DoubleSum<V> sum;
      row_each<V>(a.n, [&](size_t j, size_t lanes) {
        // A class of no weight costs nothing, not even 0 * inf.
        const V q = column(j, lanes), minus_log = V::set1(log_sum) - (load_lanes<V>(p + j, lanes) - V::set1(m));
        sum.add(select(is_zero(q), V::set1(0), q * minus_log), lanes);
      });
      loss += sum.total();
    }
    a.row_loss[r] = loss;
    if (!dp) continue;
    const T scale = scale_of(a, r);
    const V weight = V::set1(scale * total / s);
    row_map<V>(dp, a.n, [&](size_t j, size_t lanes) {
      const V softmax = load_lanes<V>(dp + j, lanes) * weight;
      return spread ? fnma(column(j, lanes), V::set1(scale), softmax) : softmax;
    });
    if (!t) dp[a.index[r]] -= scale * at_index;
    clear_if_without_share<V>(a, r);
  }
}

}  // namespace
}  // namespace nncore
