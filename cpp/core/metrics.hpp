// Metrics that the native loop accumulates: one number for each row.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace nncore {

// pred [n]; target [n], or null where the target is the class `index`.
template <class T>
using MetricFunction = double (*)(const T* pred, const T* target, int32_t index, size_t n);

template <class T>
size_t argmax(const T* x, size_t n) {
  size_t best = 0;
  for (size_t j = 1; j < n; ++j)
    if (x[j] > x[best]) best = j;
  return best;
}

template <class T>
double accuracy(const T* pred, const T* target, int32_t index, size_t n) {
  return argmax(pred, n) == (target ? argmax(target, n) : static_cast<size_t>(index)) ? 1.0 : 0.0;
}

template <class T, class F>
double mean_over(size_t n, F f) {
  double sum = 0;
  for (size_t j = 0; j < n; ++j) sum += f(j);
  return sum / static_cast<double>(n);
}

template <class T>
double binary_accuracy(const T* pred, const T* target, int32_t, size_t n) {
  return mean_over<T>(n, [&](size_t j) { return (pred[j] > T(0.5)) == (target[j] > T(0.5)) ? 1.0 : 0.0; });
}

template <class T>
double binary_accuracy_logits(const T* pred, const T* target, int32_t, size_t n) {
  return mean_over<T>(n, [&](size_t j) { return (pred[j] > 0) == (target[j] > T(0.5)) ? 1.0 : 0.0; });
}

template <class T>
double squared_error(const T* pred, const T* target, int32_t, size_t n) {
  return mean_over<T>(n, [&](size_t j) {
    const double d = static_cast<double>(pred[j]) - static_cast<double>(target[j]);
    return d * d;
  });
}

template <class T>
double absolute_error(const T* pred, const T* target, int32_t, size_t n) {
  return mean_over<T>(n,
                      [&](size_t j) { return std::fabs(static_cast<double>(pred[j]) - static_cast<double>(target[j])); });
}

template <class T>
struct Metric {
  const char* name;
  bool takes_indices;
  MetricFunction<T> of_row;
};

template <class T>
constexpr Metric<T> kMetrics[] = {
    {"accuracy", true, accuracy<T>},
    {"binary_accuracy", false, binary_accuracy<T>},
    {"binary_accuracy_logits", false, binary_accuracy_logits<T>},
    {"mse", false, squared_error<T>},
    {"mae", false, absolute_error<T>},
};

}  // namespace nncore
