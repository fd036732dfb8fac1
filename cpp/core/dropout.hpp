// What a dropout rate means to the kernels.
#pragma once
#include <cmath>
#include <cstdint>

namespace nncore {

// A random word below `threshold` drops its element; the others are multiplied by `scale`.
template <class T>
struct DropoutSetting {
  explicit DropoutSetting(double rate)
      : threshold(static_cast<uint32_t>(rate * 4294967296.0)), scale(static_cast<T>(1.0 / (1.0 - rate))) {}
  uint32_t threshold;
  T scale;
};

// The same for alpha dropout: kept elements become scale x + shift, dropped ones `dropped`, which is selu's lowest value
// scaled and shifted alike; so mean 0 and variance 1 stay.
template <class T>
struct AlphaDropoutSetting {
  explicit AlphaDropoutSetting(double rate) : threshold(static_cast<uint32_t>(rate * 4294967296.0)) {
    constexpr double kLowest = -1.7580993408473766;
    const double a = 1 / std::sqrt((1 - rate) * (1 + rate * kLowest * kLowest)), b = -a * rate * kLowest;
    scale = static_cast<T>(a);
    shift = static_cast<T>(b);
    dropped = static_cast<T>(a * kLowest + b);
  }
  uint32_t threshold;
  T scale, shift, dropped;
};

}  // namespace nncore
