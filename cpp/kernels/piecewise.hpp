// Activations made of straight lines, and softsign, each a functor with forward beside backward; included after math.hpp.
#pragma once

namespace nncore {
namespace {

template <class V>
struct Identity {
  static constexpr const char* kName = "identity";
  static constexpr bool kReadsX = false, kReadsY = false;
  explicit Identity(const double*) {}
  V forward(V x) const { return x; }
  V backward(V, V, V dy) const { return dy; }
};

// Flat on both sides of its jump, so that its gradient is zero.
template <class V>
struct Step {
  static constexpr const char* kName = "step";
  static constexpr bool kReadsX = false, kReadsY = false;
  explicit Step(const double*) {}
  V forward(V x) const { return select(x < V::set1(0), V::set1(0), select(V::set1(0) <= x, V::set1(1), x)); }
  V backward(V, V, V) const { return V::set1(0); }
};

template <class V>
struct Relu {
  static constexpr const char* kName = "relu";
  static constexpr bool kReadsX = false, kReadsY = true;
  explicit Relu(const double*) {}
  V forward(V x) const { return select(x <= V::set1(0), V::set1(0), x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), V::set1(0), dy); }
};

template <class V>
struct LeakyRelu {
  static constexpr const char* kName = "leaky_relu";
  static constexpr bool kReadsX = false, kReadsY = true;
  V slope;
  explicit LeakyRelu(const double* attrs) : slope(V::set1(static_cast<typename V::T>(attrs[0]))) {}
  V forward(V x) const { return select(x <= V::set1(0), slope * x, x); }
  V backward(V, V y, V dy) const { return select(y <= V::set1(0), slope * dy, dy); }
};

// The identity between two numbers, flat outside.
template <class V>
struct Clamp {
  static constexpr bool kReadsX = false, kReadsY = true;
  V low, high;
  Clamp(double from, double to)
      : low(V::set1(static_cast<typename V::T>(from))), high(V::set1(static_cast<typename V::T>(to))) {}
  V forward(V x) const { return min(high, max(low, x)); }
  V backward(V, V y, V dy) const { return select(y <= low, V::set1(0), select(high <= y, V::set1(0), dy)); }
};

template <class V>
struct Relu6 : Clamp<V> {
  static constexpr const char* kName = "relu6";
  explicit Relu6(const double*) : Clamp<V>(0, 6) {}
};

template <class V>
struct HardTanh : Clamp<V> {
  static constexpr const char* kName = "hard_tanh";
  explicit HardTanh(const double* attrs) : Clamp<V>(attrs[0], attrs[1]) {}
};

// min(max(x + 3, 0), 6) / 6
template <class V>
inline V ramp(V x) {
  return min(V::set1(6), max(V::set1(0), x + V::set1(3))) * V::set1(1.0 / 6);
}

template <class V>
struct HardSigmoid {
  static constexpr const char* kName = "hard_sigmoid";
  static constexpr bool kReadsX = true, kReadsY = false;
  explicit HardSigmoid(const double*) {}
  V forward(V x) const { return ramp(x); }
  V backward(V x, V, V dy) const { return select(abs(x) < V::set1(3), dy * V::set1(1.0 / 6), V::set1(0)); }
};

template <class V>
struct HardSwish {
  static constexpr const char* kName = "hard_swish";
  static constexpr bool kReadsX = true, kReadsY = false;
  explicit HardSwish(const double*) {}
  V forward(V x) const { return lift(x) * ramp(x); }
  V backward(V x, V, V dy) const {
    const V inside = dy * fma(x, V::set1(1.0 / 3), V::set1(0.5f));
    return select(x <= V::set1(-3), V::set1(0), select(V::set1(3) <= x, dy, inside));
  }
};

template <class V>
struct Softsign {
  static constexpr const char* kName = "softsign";
  static constexpr bool kReadsX = true, kReadsY = false;
  explicit Softsign(const double*) {}
  V forward(V x) const {
    const V a = min(V::set1(Constants<V>::kLargest), abs(x));
    return copysign(a / (V::set1(1) + a), x);
  }
  V backward(V x, V, V dy) const {
    const V r = V::set1(1) / (V::set1(1) + abs(x));
    return dy * (r * r);
  }
};

template <class V>
struct Rescaling {
  static constexpr const char* kName = "rescaling";
  static constexpr bool kReadsX = false, kReadsY = false;
  V scale, offset;
  explicit Rescaling(const double* attrs)
      : scale(V::set1(static_cast<typename V::T>(attrs[0]))), offset(V::set1(static_cast<typename V::T>(attrs[1]))) {}
  V forward(V x) const { return x * scale + offset; }
  V backward(V, V, V dy) const { return dy * scale; }
};

}  // namespace
}  // namespace nncore
