// Aligned buffers, row-padded matrices in them, and the layout of parameters in their arena.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels/kernel_table.hpp"

namespace nncore {

template <class T>
size_t panels_of(size_t columns) {
  return (columns + kPanel<T> - 1) / kPanel<T>;
}

// Memory with any alignment, on every system; null where there is none. It is given back with the same alignment.
inline void* allocate(size_t bytes, size_t alignment) {
  return ::operator new(bytes, static_cast<std::align_val_t>(alignment), std::nothrow);
}

template <size_t kAlignment>
struct Release {
  void operator()(void* memory) const { ::operator delete(memory, static_cast<std::align_val_t>(kAlignment)); }
};

// An owned, zeroed, cache-line aligned array.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size) {
    if (size == 0) return;
    if (size > PTRDIFF_MAX / sizeof(T) / 2) throw std::bad_alloc();
    const size_t bytes = (size * sizeof(T) + alignment() - 1) / alignment() * alignment();
    data_ = static_cast<T*>(allocate(bytes, alignment()));
    if (!data_) throw std::bad_alloc();
#if defined(__linux__)
    if (alignment() == kHuge) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    std::memset(static_cast<void*>(data_), 0, bytes);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer() {
    if (alignment() == kHuge) {
      Release<kHuge>()(data_);
    } else {
      Release<kLine>()(data_);
    }
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kLine = 64, kHuge = 2 * 1024 * 1024;
  // Large arrays ask for huge pages: matrix products walk down columns, a new page at every step.
  size_t alignment() const { return size_ * sizeof(T) >= 2 * kHuge ? kHuge : kLine; }

  T* data_ = nullptr;
  size_t size_ = 0;
};

// Room for the calling thread's matrix products to copy operands into; null where there is no memory for it, and then they
// read operands as they lie.
template <class T>
T* gemm_scratch(const Kernels<T>& kernels) {
  thread_local const std::unique_ptr<T, Release<64>> room(static_cast<T*>(allocate(kernels.gemm_scratch * sizeof(T), 64)));
  return room.get();
}

struct Rows {
  size_t begin, end;
  size_t count() const { return end - begin; }
};

// A view of rows of `width` elements, `ld` apart. Without data: an array that nobody wants.
template <class T>
struct Matrix {
  T* data = nullptr;
  size_t width = 0, ld = 0;
  T* row(size_t r) const { return data + r * ld; }
};

// Rows start on cache lines; strides that are multiples of 1 KiB would crowd a few cache sets.
template <class T>
size_t leading_dimension(size_t width) {
  const size_t ld = panels_of<T>(width) * kPanel<T>;
  return ld * sizeof(T) % 1024 == 0 ? ld + kPanel<T> : ld;
}

// Where a parameter lies in the arena: panels of `rows` rows. A matrix [K, N] has K rows and N columns, any other shape is
// one row of all its elements.
struct ParameterLayout {
  std::vector<int64_t> shape;
  bool trainable;
  size_t rows, columns, offset, size;
};

template <class T>
ParameterLayout layout_of(const std::vector<int64_t>& shape, bool trainable, size_t offset) {
  ParameterLayout layout{shape, trainable, 1, 1, offset, 0};
  if (shape.size() == 2) {
    layout.rows = static_cast<size_t>(shape[0]);
    layout.columns = static_cast<size_t>(shape[1]);
  } else {
    for (const int64_t n : shape) layout.columns *= static_cast<size_t>(n);
  }
  layout.size = layout.rows * panels_of<T>(layout.columns) * kPanel<T>;
  return layout;
}

// Panels to a row-major array.
template <class T>
void unpack(T* out, const T* panels, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; ++r)
    for (size_t j = 0; j < columns; j += kPanel<T>) {
      const size_t width = columns - j < kPanel<T> ? columns - j : kPanel<T>;
      std::memcpy(out + r * columns + j, panels + (j / kPanel<T> * rows + r) * kPanel<T>, width * sizeof(T));
    }
}

}  // namespace nncore
