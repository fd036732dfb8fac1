// Reading samples from arrays of any real type, and looking up rows of tables by name.
#pragma once
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string>

#include "core/engine.hpp"
#include "kernels/kernel_table.hpp"

namespace nncore {

inline size_t size_of(Source type) {
  constexpr size_t kSizes[] = {4, 8, 1, 1, 2, 2, 4, 4, 8, 8};
  static_assert(std::size(kSizes) == static_cast<size_t>(Source::kCount));
  return kSizes[static_cast<size_t>(type)];
}

template <class I>
int64_t read_as(const void* data, size_t i) {
  return static_cast<int64_t>(static_cast<const I*>(data)[i]);
}

// Element i of an integer array. Values beyond int64 wrap to negative ones, which no caller accepts.
inline int64_t read_integer(const SampleArray& array, size_t i) {
  switch (array.type) {
    case Source::kU8:
      return read_as<uint8_t>(array.data, i);
    case Source::kI8:
      return read_as<int8_t>(array.data, i);
    case Source::kU16:
      return read_as<uint16_t>(array.data, i);
    case Source::kI16:
      return read_as<int16_t>(array.data, i);
    case Source::kU32:
      return read_as<uint32_t>(array.data, i);
    case Source::kI32:
      return read_as<int32_t>(array.data, i);
    case Source::kU64:
      return read_as<uint64_t>(array.data, i);
    case Source::kI64:
      return read_as<int64_t>(array.data, i);
    default:
      return -1;
  }
}

// The row called `name` among table[0..count); std::invalid_argument if there is none.
template <class Row>
const Row& find_named(const Row* table, size_t count, const std::string& name, const char* what) {
  for (size_t i = 0; i < count; ++i)
    if (name == table[i].name) return table[i];
  throw std::invalid_argument(std::string(what) + ": the native engine has none called '" + name + "'");
}

// out = sample `index` of the array, converted.
template <class T>
void convert_row(const Kernels<T>& kernels, T* out, const SampleArray& array, size_t index) {
  const char* row = static_cast<const char*>(array.data) + index * array.width * size_of(array.type);
  kernels.convert[static_cast<size_t>(array.type)](out, row, array.width);
}

}  // namespace nncore
