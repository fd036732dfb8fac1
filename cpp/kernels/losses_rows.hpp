// Losses of whole rows; included by losses.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// log sum exp(p) - p[index], or sum over j of q[j] (log sum exp(p) - p[j]); gradient softmax(p) sum(q) - q. In general
// q[j] = weight[j] ((1 - s) t[j] + s / n), with label smoothing s and t one-hot where the target is an index.
template <class V>
struct CrossEntropy {
  using T = typename V::T;
  const LossArgs<T>& a;
  const T smoothing, kept;
  const bool spread;  // q is more than its column `index`
  T shares[V::kLanes];

  explicit CrossEntropy(const LossArgs<T>& args)
      : a(args), smoothing(static_cast<T>(a.attrs[2])), kept(1 - smoothing), spread(a.target || smoothing != 0) {
    for (T& share : shares) share = smoothing / static_cast<T>(a.n);
  }

  // q of row r at (column, lanes), without what an index adds. It holds copies, as stores could change what `a` points to.
  auto target(size_t r) const {
    return [t = a.target ? a.target + r * a.ld_target : nullptr, weights = a.arrays[0], given = V::set1(kept),
            share = smoothing != 0 ? shares : nullptr](size_t j, size_t lanes) {
      V q = t ? load_lanes<V>(t + j, lanes) : V::set1(0);
      if (share) q = fma(q, given, load_lanes<V>(share, lanes));
      return weights ? q * load_lanes<V>(weights + j, lanes) : q;
    };
  }
  // Row r with its largest prediction m; `at_index` is what the index adds to q.
  double value(size_t r, T m, T log_sum, T at_index) const {
    const T* p = a.pred + r * a.ld_pred;
    double loss = 0;
    if (at_index != 0) loss = static_cast<double>(at_index * (log_sum - (p[a.index[r]] - m)));
    if (!spread) return loss;
    DoubleSum<V> sum;
    row_each<V>(a.n, [&sum, p, q = target(r), m = V::set1(m), log_sum = V::set1(log_sum)](size_t j, size_t lanes) {
      const V share = q(j, lanes), minus_log = log_sum - (load_lanes<V>(p + j, lanes) - m);
      // A class of no weight costs nothing, not even 0 * inf.
      sum.add(select(is_zero(share), V::set1(0), share * minus_log), lanes);
    });
    return loss + sum.total();
  }
  // Of row r, in whose place exp(p - m) lies, with the sum s.
  void gradient(size_t r, T s, T at_index) const {
    T* dp = a.dpred + r * a.ld_dpred;
    const T scale = scale_of(a, r);
    if (spread) {
      const auto q = target(r);
      const V weight = V::set1(scale * (at_index + row_sum<V>(a.n, q)) / s), factor = V::set1(scale);
      row_map<V>(dp, a.n,
                 [=](size_t j, size_t lanes) { return fnma(q(j, lanes), factor, load_lanes<V>(dp + j, lanes) * weight); });
    } else {
      const V weight = V::set1(scale * at_index / s);
      row_map<V>(dp, a.n, [=](size_t j, size_t lanes) { return load_lanes<V>(dp + j, lanes) * weight; });
    }
    if (a.index) dp[a.index[r]] -= scale * at_index;
    clear_if_without_share<V>(a, r);
  }
};

template <class V>
void cross_entropy(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const CrossEntropy<V> f(a);
  const size_t most = RowGroup<V>::size(a.n);
  for (size_t first = 0; first < a.rows; first += most) {
    const size_t rows = a.rows - first < most ? a.rows - first : most;
    RowGroup<V> group(a.pred + first * a.ld_pred, rows, a.n, a.ld_pred, [&](size_t i, V e, size_t j, size_t lanes) {
      if (a.dpred) store_lanes(e, a.dpred + (first + i) * a.ld_dpred + j, lanes);
    });
    if (a.row_loss) group.take_logarithms();
    for (size_t i = 0; i < rows; ++i) {
      const size_t r = first + i;
      if (a.index && a.index[r] < 0) {
        ignore_row<V>(a, r);
        continue;
      }
      const T at_index = !a.index ? 0 : a.arrays[0] ? f.kept * a.arrays[0][a.index[r]] : f.kept;
      if (a.row_loss) a.row_loss[r] = f.value(r, group.most[i], group.log_sum[i], at_index);
      if (a.dpred) f.gradient(r, group.sum[i], at_index);
    }
  }
}

// -weight[index] p[index] of log-probabilities
template <class V>
void negative_log_likelihood(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const auto weight_of = [weights = a.arrays[0]](int32_t at) { return at < 0 ? 0 : weights ? weights[at] : 1; };
  if (double* const losses = a.row_loss) {
    const T* p = a.pred;
    for (size_t r = 0; r < a.rows; ++r, p += a.ld_pred) {
      const T weight = weight_of(a.index[r]);  // a class of no weight costs nothing, not even 0 * inf
      losses[r] = weight != 0 ? -static_cast<double>(weight * p[a.index[r]]) : 0;
    }
  }
  if (!a.dpred) return;
  const bool together = a.ld_dpred == a.n;
  for (size_t r = 0; r < (together ? 1 : a.rows); ++r)
    row_map<V>(a.dpred + r * a.ld_dpred, together ? a.rows * a.n : a.n, [](size_t, size_t) { return V::set1(0); });
  for (size_t r = 0; r < a.rows; ++r)
    if (a.index[r] >= 0)
      a.dpred[r * a.ld_dpred + static_cast<size_t>(a.index[r])] = -scale_of(a, r) * weight_of(a.index[r]);
}

// weight[index] / n times the sum over j != index of max(0, margin - p[index] + p[j])^power
template <class V>
void multi_margin(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const bool squared = a.attrs[1] == 2;
  const T margin = static_cast<T>(a.attrs[2]), least = margin > 0 ? margin : 0;
  const V zero = V::set1(0), one = V::set1(1);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    T* dp = a.dpred ? a.dpred + r * a.ld_dpred : nullptr;
    const size_t at = static_cast<size_t>(a.index[r]);
    const T weight = (a.arrays[0] ? a.arrays[0][at] : 1) / static_cast<T>(a.n);
    const V factor = V::set1(scale_of(a, r) * weight);
    DoubleSum<V> sum, slopes;
    row_each<V>(a.n, [&](size_t j, size_t lanes) {
      const V gap = max(zero, V::set1(margin) + (load_lanes<V>(p + j, lanes) - V::set1(p[at])));
      const V slope = squared ? gap + gap : select(zero < gap, one, zero);
      sum.add(squared ? gap * gap : gap, lanes);
      slopes.add(slope, lanes);
      if (dp) store_lanes(factor * slope, dp + j, lanes);
    });
    // The sums hold the term of j = index too, whose gap is the margin.
    const double own = static_cast<double>(squared ? least * least : least);
    put_loss(a, r, static_cast<double>(weight) * (sum.total() - own));
    if (!dp) continue;
    const double own_slope = squared ? 2.0 * static_cast<double>(least) : least > 0 ? 1.0 : 0.0;
    dp[at] = -scale_of(a, r) * weight * static_cast<T>(slopes.total() - own_slope);
    clear_if_without_share<V>(a, r);
  }
}

template <class V>
inline typename V::T scalar_sqrt(typename V::T x) {
  typename V::T lane[V::kLanes];
  sqrt(V::set1(x)).store(lane);
  return lane[0];
}

// 1 - p t / (max(|p|, eps) max(|t|, eps))
template <class V>
void cosine(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const T eps = static_cast<T>(a.attrs[1]);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    const T* t = a.target + r * a.ld_target;
    DoubleSum<V> products, p_squares, t_squares;
    row_each<V>(a.n, [&](size_t j, size_t lanes) {
      const V x = load_lanes<V>(p + j, lanes), y = load_lanes<V>(t + j, lanes);
      products.add(x * y, lanes);
      p_squares.add(x * x, lanes);
      t_squares.add(y * y, lanes);
    });
    const T p_size = scalar_sqrt<V>(static_cast<T>(p_squares.total()));
    const T t_size = scalar_sqrt<V>(static_cast<T>(t_squares.total()));
    const double p_most = static_cast<double>(p_size < eps ? eps : p_size);
    const double t_most = static_cast<double>(t_size < eps ? eps : t_size);
    const double similarity = products.total() / p_most / t_most;
    put_loss(a, r, 1 - similarity);
    if (!a.dpred) continue;
    // d similarity / dp = t / (|p| |t|) - similarity p / |p|^2; below eps the length is a constant.
    const double scale = static_cast<double>(scale_of(a, r));
    const V along = V::set1(static_cast<T>(-scale / p_most / t_most));
    const V across = V::set1(p_size < eps ? 0 : static_cast<T>(scale * similarity / p_most / p_most));
    row_map<V>(a.dpred + r * a.ld_dpred, a.n, [&](size_t j, size_t lanes) {
      return fma(along, load_lanes<V>(t + j, lanes), across * load_lanes<V>(p + j, lanes));
    });
    clear_if_without_share<V>(a, r);
  }
}

// (log v + (p - t)^2 / v) / 2, and log(2 pi) / 2 in full; the row holds means p, then variances v, which are at least eps.
// As in PyTorch the gradient of v is as if it were not bounded.
template <class V>
void gaussian_nll(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const size_t m = a.n / 2;
  const V half = V::set1(0.5f), one = V::set1(1), eps = V::set1(static_cast<T>(a.attrs[2]));
  const V constant = V::set1(a.attrs[1] != 0 ? static_cast<T>(0.91893853320467274178) : 0);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    const T* t = a.target + r * a.ld_target;
    T* dp = a.dpred ? a.dpred + r * a.ld_dpred : nullptr;
    const V scale = V::set1(scale_of(a, r));
    DoubleSum<V> sum;
    row_each<V>(m, [&](size_t j, size_t lanes) {
      const V d = load_lanes<V>(p + j, lanes) - load_lanes<V>(t + j, lanes);
      const V v = max(eps, load_lanes<V>(p + m + j, lanes, 1)), ratio = d / v;
      const V value = fma(half, fma(d, ratio, log(v)), constant);
      if (dp) {
        store_lanes(scale * ratio, dp + j, lanes);
        store_lanes(scale * (half * fnma(ratio, ratio, one / v)), dp + m + j, lanes);
      }
      if (a.values) store_lanes(value, a.values + r * m + j, lanes);
      sum.add(value, lanes);
    });
    clear_if_without_share<V>(a, r);
    put_loss(a, r, sum.total());
  }
}

}  // namespace
}  // namespace nncore
