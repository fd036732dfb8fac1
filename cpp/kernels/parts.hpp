// Activations that join parts of an axis, forward beside backward: glu and maxout; included after rows.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// y = a sigmoid(b)
template <class V>
struct Glu {
  using T = typename V::T;
  static constexpr const char* kName = "glu";
  static constexpr size_t kParts = 2;
  static constexpr bool kReadsY = false;
  static void forward(T* y, const T* x, size_t, size_t n, size_t stride) {
    row_map<V>(y, n, [&](size_t j, size_t lanes) {
      return load_lanes<V>(x + j, lanes) * sigmoid(load_lanes<V>(x + stride + j, lanes));
    });
  }
  static void backward(T* dx, const T* x, const T*, const T* dy, size_t, size_t n, size_t stride) {
    row_map<V>(dx, n, [&](size_t j, size_t lanes) {
      V s, rest;
      sigmoids(load_lanes<V>(x + stride + j, lanes), s, rest);
      const V da = load_lanes<V>(dy + j, lanes) * s;
      store_lanes(da * (load_lanes<V>(x + j, lanes) * rest), dx + stride + j, lanes);
      return da;
    });
  }
};

// The largest of the parts, element by element; the first of equals has the gradient.
template <class V>
struct Maxout {
  using T = typename V::T;
  static constexpr const char* kName = "maxout";
  static constexpr size_t kParts = 0;
  static constexpr bool kReadsY = true;
  static void forward(T* y, const T* x, size_t parts, size_t n, size_t stride) {
    row_map<V>(y, n, [&](size_t j, size_t lanes) {
      V m = load_lanes<V>(x + j, lanes);
      for (size_t p = 1; p < parts; ++p) {
        const V b = load_lanes<V>(x + p * stride + j, lanes);
        m = select(m <= m, select(b <= m, m, b), m);  // NaN stays
      }
      return m;
    });
  }
  static void backward(T* dx, const T* x, const T* y, const T* dy, size_t parts, size_t n, size_t stride) {
    row_map<V>(dx, n, [&](size_t j, size_t lanes) {
      const V m = load_lanes<V>(y + j, lanes);
      const V zero = V::set1(0);
      const V first = load_lanes<V>(x + j, lanes);
      V rest = load_lanes<V>(dy + j, lanes);
      const V dfirst = select(m <= first, rest, zero);
      rest = select(m <= first, zero, rest);
      for (size_t p = 1; p < parts; ++p) {
        const auto largest = m <= load_lanes<V>(x + p * stride + j, lanes);
        store_lanes(select(largest, rest, zero), dx + p * stride + j, lanes);
        rest = select(largest, zero, rest);
      }
      return dfirst;
    });
  }
};

template <class V, template <class> class... F>
void fill_part_ops_with(Kernels<typename V::T>& k) {
  const PartOp<typename V::T> rows[] = {{F<V>::kName, F<V>::kParts, F<V>::kReadsY, F<V>::forward, F<V>::backward}...};
  static_assert(sizeof...(F) <= kMaxPartOps, "raise kMaxPartOps");
  for (const auto& row : rows) k.part_ops[k.part_op_count++] = row;
}

template <class V>
void fill_part_ops(Kernels<typename V::T>& k) {
  k.part_op_count = 0;
  fill_part_ops_with<V, Glu, Maxout>(k);
}

}  // namespace
}  // namespace nncore
