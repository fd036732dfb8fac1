// Normal random numbers, and dropout that keeps mean and variance of selu networks; included after random.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

template <class V>
inline V ratio(V x, const double (&numerator)[8], const double (&denominator)[8]) {
  using T = typename V::T;
  V a = V::set1(static_cast<T>(numerator[7])), b = V::set1(static_cast<T>(denominator[7]));
  for (int i = 6; i >= 0; --i) {
    a = fma(a, x, V::set1(static_cast<T>(numerator[i])));
    b = fma(b, x, V::set1(static_cast<T>(denominator[i])));
  }
  return a / b;
}

// The normal number below which the share |h| + 1/2 of all lies, with the sign of h and 0 < |h| < 1/2; `rest` = 1/2 - |h|,
// at least 2^-33. Wichura 1988, algorithm AS 241 (PPND16), without its farthest tail.
template <class V>
inline V normal_quantile(V h, V rest) {
  constexpr double kA[] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                           1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                           3.3430575583588128105e4, 2.5090809287301226727e3};
  constexpr double kB[] = {1.0,
                           4.2313330701600911252e1,
                           6.8718700749205790830e2,
                           5.3941960214247511077e3,
                           2.1213794301586595867e4,
                           3.9307895800092710610e4,
                           2.8729085735721942674e4,
                           5.2264952788528545610e3};
  constexpr double kC[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                           3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                           2.27238449892691845833e-2, 7.74545014278341407640e-4};
  constexpr double kD[] = {1.0,
                           2.05319162663775882187e0,
                           1.67638483018380384940e0,
                           6.89767334985100004550e-1,
                           1.48103976427480074590e-1,
                           1.51986665636164571966e-2,
                           5.47593808499534494600e-4,
                           1.05075007164441684324e-9};
  using T = typename V::T;
  const V centre = h * ratio(fnma(h, h, V::set1(static_cast<T>(0.180625))), kA, kB);
  const V tail = ratio(sqrt(V::set1(0) - log(rest)) - V::set1(static_cast<T>(1.6)), kC, kD);
  return select(abs(h) <= V::set1(static_cast<T>(0.425)), centre, copysign(tail, h));
}

// out[j] = a standard normal number for element j of row `row`, from the word that dropout_mask would compare there: the
// highest bit is the sign, the others place it.
template <class V>
void normals(typename V::T* out, size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node) {
  using T = typename V::T;
  constexpr T kUnit = static_cast<T>(1.0 / 4294967296.0);
  for_each_words(n, seed, row, step, node, [&](size_t j, const uint32_t* words, size_t count) {
    T h[kMostWords], rest[kMostWords];
    for (size_t i = 0; i < count; ++i) {
      rest[i] = (static_cast<T>(static_cast<int32_t>(words[i] & 0x7fffffffu)) + static_cast<T>(0.5)) * kUnit;
      h[i] = (words[i] >> 31 ? static_cast<T>(-1) : static_cast<T>(1)) * (static_cast<T>(0.5) - rest[i]);
    }
    row_map<V>(out + j, count, [&](size_t i, size_t lanes) {
      return normal_quantile(load_lanes<V>(h + i, lanes), load_lanes<V>(rest + i, lanes, static_cast<T>(0.5)));
    });
  });
}

// y = x + scale noise
template <class V>
void add_scaled(typename V::T* y, const typename V::T* x, const typename V::T* noise, typename V::T scale, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) {
    return fma(V::set1(scale), load_lanes<V>(noise + j, lanes), load_lanes<V>(x + j, lanes));
  });
}

// y = mask != 0 ? x * mask + shift : dropped
template <class V>
void apply_alpha_mask(typename V::T* y, const typename V::T* x, const typename V::T* mask, typename V::T shift,
                      typename V::T dropped, size_t n) {
  row_map<V>(y, n, [&](size_t j, size_t lanes) {
    const V m = load_lanes<V>(mask + j, lanes);
    return select(m <= V::set1(0), V::set1(dropped), fma(load_lanes<V>(x + j, lanes), m, V::set1(shift)));
  });
}

template <class V>
void fill_noise(Kernels<typename V::T>& k) {
  k.normals = normals<V>;
  k.add_scaled = add_scaled<V>;
  k.apply_alpha_mask = apply_alpha_mask<V>;
}

}  // namespace
}  // namespace nncore
