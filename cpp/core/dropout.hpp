// What a dropout rate means to the kernels.
#pragma once
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

}  // namespace nncore
