// Two vectors as one: every operation on the one, then on the other. A chain of dependent operations leaves a core waiting;
// two chains side by side fill the gaps. Included after a vec_*.hpp.
#pragma once
#include <stddef.h>

namespace nncore {
namespace {

template <class V>
struct Twice {
  using T = typename V::T;
  struct Mask {
    typename V::Mask a, b;
  };
  static constexpr int kLanes = 2 * V::kLanes;
  V a, b;

  static Twice load(const T* p) { return {V::load(p), V::load(p + V::kLanes)}; }
  void store(T* p) const {
    a.store(p);
    b.store(p + V::kLanes);
  }
  void stream(T* p) const {
    a.stream(p);
    b.stream(p + V::kLanes);
  }
  static Twice set1(T x) { return {V::set1(x), V::set1(x)}; }

  friend Twice operator+(Twice x, Twice y) { return {x.a + y.a, x.b + y.b}; }
  friend Twice operator-(Twice x, Twice y) { return {x.a - y.a, x.b - y.b}; }
  friend Twice operator*(Twice x, Twice y) { return {x.a * y.a, x.b * y.b}; }
  friend Twice operator/(Twice x, Twice y) { return {x.a / y.a, x.b / y.b}; }
  friend Mask operator<(Twice x, Twice y) { return {x.a < y.a, x.b < y.b}; }
  friend Mask operator<=(Twice x, Twice y) { return {x.a <= y.a, x.b <= y.b}; }

  friend Twice fma(Twice x, Twice y, Twice z) { return {fma(x.a, y.a, z.a), fma(x.b, y.b, z.b)}; }
  friend Twice fnma(Twice x, Twice y, Twice z) { return {fnma(x.a, y.a, z.a), fnma(x.b, y.b, z.b)}; }
  friend Twice sqrt(Twice x) { return {sqrt(x.a), sqrt(x.b)}; }
  friend Twice max(Twice x, Twice y) { return {max(x.a, y.a), max(x.b, y.b)}; }
  friend Twice min(Twice x, Twice y) { return {min(x.a, y.a), min(x.b, y.b)}; }
  friend Twice round(Twice x) { return {round(x.a), round(x.b)}; }
  friend Twice select(Mask m, Twice x, Twice y) { return {select(m.a, x.a, y.a), select(m.b, x.b, y.b)}; }
  friend Twice abs(Twice x) { return {abs(x.a), abs(x.b)}; }
  friend Twice copysign(Twice x, Twice s) { return {copysign(x.a, s.a), copysign(x.b, s.b)}; }
  friend Twice truncate(Twice x) { return {truncate(x.a), truncate(x.b)}; }
  friend Twice exp2i(Twice n) { return {exp2i(n.a), exp2i(n.b)}; }
  friend Twice low_bits_as_exponent(Twice x) { return {low_bits_as_exponent(x.a), low_bits_as_exponent(x.b)}; }
  friend Twice exponent(Twice x) { return {exponent(x.a), exponent(x.b)}; }
};

}  // namespace
}  // namespace nncore
