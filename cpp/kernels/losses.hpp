// Losses over rows of predictions, value and gradient in one pass; included after rows.hpp.
//
// To add an elementwise loss: write its functor and name it in the list at the end.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

template <class V>
inline auto is_zero(V v) {
  return abs(v) <= V::set1(0);
}

template <class T>
constexpr T smallest_normal() {
  return sizeof(T) == 4 ? static_cast<T>(1.17549435e-38f) : static_cast<T>(2.2250738585072014e-308);
}

// log(x) for any x: NaN below 0, -inf at 0; what is smaller than normal numbers counts as the smallest of them.
template <class V>
inline V log_any(V x) {
  using T = typename V::T;
  const V y = log(max(V::set1(smallest_normal<T>()), x));
  const V at_zero = V::set1(-static_cast<T>(__builtin_inf())), below = V::set1(static_cast<T>(__builtin_nan("")));
  return select(x < V::set1(0), below, select(is_zero(x), at_zero, y));
}

// Adds up vectors in double precision, lane by lane and always in the same order.
template <class V>
class DoubleSum {
 public:
  void add(V v, size_t lanes) {
    if (lanes < V::kLanes) {
      typename V::T lane[V::kLanes] = {};
      v.store(lane, lanes);
      v = V::load(lane);
    }
    if constexpr (sizeof(typename V::T) == sizeof(double)) {
      low_ = low_ + v;
    } else {
      F64 low, high;
      widen(v, low, high);
      low_ = low_ + low;
      high_ = high_ + high;
    }
  }
  double total() const { return sum_lanes(low_ + high_); }

 private:
  F64 low_ = F64::set1(0), high_ = F64::set1(0);
};

// f(first column, lanes) over a row; the last call may have fewer lanes.
template <class V, class F>
inline void row_each(size_t n, F f) {
  size_t j = 0;
  for (; j + V::kLanes <= n; j += V::kLanes) f(j, V::kLanes);
  if (j < n) f(j, n - j);
}

// An array option of a loss, one number for each column: all 1 where it was not given.
template <class V>
struct Columns {
  const typename V::T* data;
  V at(size_t j, size_t lanes) const { return data ? load_lanes<V>(data + j, lanes) : V::set1(1); }
};

template <class T>
inline T scale_of(const LossArgs<T>& a, size_t r) {
  return a.row_scale ? a.row_scale[r] : a.scale;
}

// Where a row has no share in the loss its gradient is 0, even if that of its loss is infinite.
template <class V>
inline void clear_if_without_share(const LossArgs<typename V::T>& a, size_t r) {
  if (a.dpred && a.row_scale && a.row_scale[r] == 0)
    row_map<V>(a.dpred + r * a.ld_dpred, a.n, [](size_t, size_t) { return V::set1(0); });
}

template <class T>
inline void put_loss(const LossArgs<T>& a, size_t r, double value) {
  if (a.row_loss) a.row_loss[r] = value;
}

// A row without a class costs nothing.
template <class V>
inline void ignore_row(const LossArgs<typename V::T>& a, size_t r) {
  put_loss(a, r, 0);
  if (a.dpred) row_map<V>(a.dpred + r * a.ld_dpred, a.n, [](size_t, size_t) { return V::set1(0); });
}

// What is not asked for is not computed.
template <class V, template <class> class F, bool Value, bool Gradient>
void elementwise_loss_of(const LossArgs<typename V::T>& a) {
  using T = typename V::T;
  const F<V> f(a);
  for (size_t r = 0; r < a.rows; ++r) {
    const T* p = a.pred + r * a.ld_pred;
    const T* t = a.target + r * a.ld_target;
    T* const dp = Gradient ? a.dpred + r * a.ld_dpred : nullptr;
    T* const values = Value && a.values ? a.values + r * a.n : nullptr;
    const V scale = V::set1(scale_of(a, r));
    DoubleSum<V> sum;
    row_each<V>(a.n, [&](size_t j, size_t lanes) {
      V value, gradient;
      f.both(load_lanes<V>(p + j, lanes), load_lanes<V>(t + j, lanes), j, lanes, value, gradient);
      if (Gradient) store_lanes(gradient * scale, dp + j, lanes);
      if (!Value) return;
      if (values) store_lanes(value, values + j, lanes);
      sum.add(value, lanes);
    });
    if (Gradient) clear_if_without_share<V>(a, r);
    if (Value) put_loss(a, r, sum.total());
  }
}

template <class V, template <class> class F>
void elementwise_loss(const LossArgs<typename V::T>& a) {
  if (!a.dpred) {
    elementwise_loss_of<V, F, true, false>(a);
  } else if (!a.row_loss && !a.values) {
    elementwise_loss_of<V, F, false, true>(a);
  } else {
    elementwise_loss_of<V, F, true, true>(a);
  }
}

}  // namespace
}  // namespace nncore

#include "losses_elementwise.hpp"
#include "losses_probabilities.hpp"
#include "losses_rows.hpp"

namespace nncore {
namespace {

template <class V, template <class> class... F>
void fill_elementwise_losses(Kernels<typename V::T>& k) {
  const Loss<typename V::T> rows[] = {{F<V>::kName, LossParts::kElements, false, elementwise_loss<V, F>}...};
  for (const auto& row : rows) k.losses[k.loss_count++] = row;
}

template <class V>
void fill_losses(Kernels<typename V::T>& k) {
  k.loss_count = 0;
  fill_elementwise_losses<V, SquaredError, AbsoluteError, Huber, SmoothL1, LogCosh, Quantile, Poisson, KlDivergence, Hinge,
                          SquaredHinge, BinaryCrossEntropy, Focal>(k);
  const Loss<typename V::T> rows[] = {
      {"bce_with_logits", LossParts::kElements, false, binary_cross_entropy_with_logits<V>},
      {"cross_entropy", LossParts::kRow, true, cross_entropy<V>},
      {"nll", LossParts::kRow, true, negative_log_likelihood<V>},
      {"multi_margin", LossParts::kRow, false, multi_margin<V>},
      {"cosine", LossParts::kRow, false, cosine<V>},
      {"gaussian_nll", LossParts::kHalf, false, gaussian_nll<V>},
  };
  static_assert(sizeof(rows) / sizeof(rows[0]) + 12 <= kMaxLosses, "raise kMaxLosses");
  for (const auto& row : rows) k.losses[k.loss_count++] = row;
}

}  // namespace
}  // namespace nncore
