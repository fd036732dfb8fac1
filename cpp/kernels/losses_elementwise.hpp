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

// |p - t|; slope 0 at 0
template <class V>
struct AbsoluteError {
  static constexpr const char* kName = "mae";
  explicit AbsoluteError(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V d = p - t;
    value = abs(d);
    gradient = select(is_zero(d), V::set1(0), copysign(V::set1(1), d));
  }
};

// d^2 / 2 up to |d| = delta, from there on delta (|d| - delta / 2)
template <class V>
struct Huber {
  static constexpr const char* kName = "huber";
  V delta;
  explicit Huber(const LossArgs<typename V::T>& a) : delta(V::set1(static_cast<typename V::T>(a.attrs[1]))) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V d = p - t, size = abs(d), near = min(delta, size);
    value = near * fnma(V::set1(0.5f), near, size);
    gradient = copysign(near, d);
  }
};

// d^2 / (2 beta) up to |d| = beta, from there on |d| - beta / 2
template <class V>
struct SmoothL1 {
  static constexpr const char* kName = "smooth_l1";
  V beta;
  // A beta of 0 is one that no difference but 0 is below.
  explicit SmoothL1(const LossArgs<typename V::T>& a)
      : beta(max(V::set1(smallest_normal<typename V::T>()), V::set1(static_cast<typename V::T>(a.attrs[1])))) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V d = p - t, size = abs(d), near = min(beta, size), slope = near / beta;
    value = slope * fnma(V::set1(0.5f), near, size);
    gradient = copysign(slope, d);
  }
};

// log cosh d: far from 0 |d| - log 2 + log1p(exp(-2|d|)), near it log1p(cosh d - 1) with cosh d - 1 = m^2 / (2 (1 - m)),
// m = 1 - exp(-|d|), which keeps the small values
template <class V>
struct LogCosh {
  static constexpr const char* kName = "log_cosh";
  explicit LogCosh(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V d = p - t, size = abs(d), zero = V::set1(0), one = V::set1(1), turn = V::set1(1.25f);
    const V m = zero - expm1(zero - min(turn, size));
    const V near = log1p_reduced(m * m / (V::set1(2) * (one - m)));
    const V far = (size - V::set1(0.69314718055994530942)) + log1p_reduced(exp_down(zero - (size + size)));
    value = select(size < turn, near, far);
    gradient = tanh(d);
  }
};

// max(q e, (q - 1) e) of e = t - p with the quantile q of each column; slope 0 at 0
template <class V>
struct Quantile {
  static constexpr const char* kName = "quantile";
  Columns<V> quantile;
  explicit Quantile(const LossArgs<typename V::T>& a) : quantile{a.arrays[0]} {}
  void both(V p, V t, size_t j, size_t lanes, V& value, V& gradient) const {
    const V e = t - p, q = quantile.at(j, lanes), zero = V::set1(0), below = q - V::set1(1);
    value = max(q * e, below * e);
    gradient = select(is_zero(e), zero, zero - select(e < zero, below, q));
  }
};

// exp(p) - t p, or p - t log(p + eps); with Stirling's t log t - t + log(2 pi t) / 2 where t > 1
template <class V>
struct Poisson {
  using T = typename V::T;
  static constexpr const char* kName = "poisson";
  bool log_input, full;
  V eps;
  explicit Poisson(const LossArgs<T>& a)
      : log_input(a.attrs[1] != 0), full(a.attrs[2] != 0), eps(V::set1(static_cast<T>(a.attrs[3]))) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V one = V::set1(1);
    if (log_input) {
      const V rate = exp(p);
      value = fnma(t, p, rate);
      gradient = rate - t;
    } else {
      const V rate = p + eps;
      value = fnma(t, log_any(rate), p);
      gradient = one - t / rate;
    }
    if (!full) return;
    const V most = max(one, t), log_t = log(most);
    const V stirling = fma(most, log_t, V::set1(0.5f) * (V::set1(1.83787706640934548356) + log_t)) - most;
    value = value + select(one < t, stirling, V::set1(0));
  }
};

// max(0, 1 - s p) with s = 1 where t > 0, else -1
template <class V>
struct Hinge {
  static constexpr const char* kName = "hinge";
  explicit Hinge(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V zero = V::set1(0), one = V::set1(1), sign = select(zero < t, one, zero - one);
    const V gap = fnma(sign, p, one);
    value = max(zero, gap);
    gradient = select(zero < gap, zero - sign, zero);
  }
};

// max(0, 1 - s p)^2
template <class V>
struct SquaredHinge {
  static constexpr const char* kName = "squared_hinge";
  explicit SquaredHinge(const LossArgs<typename V::T>&) {}
  void both(V p, V t, size_t, size_t, V& value, V& gradient) const {
    const V zero = V::set1(0), one = V::set1(1), sign = select(zero < t, one, zero - one);
    const V gap = max(zero, fnma(sign, p, one));
    value = gap * gap;
    gradient = V::set1(-2) * sign * gap;
  }
};

}  // namespace
}  // namespace nncore
