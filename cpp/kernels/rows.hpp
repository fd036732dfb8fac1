// Softmax and log-softmax over rows or columns, and the row reductions that they share with the losses; included after
// math.hpp.
#pragma once
#include "kernel_table.hpp"

namespace nncore {
namespace {

// The lanes of v added pairwise, always in the same order.
template <class V>
inline typename V::T sum_lanes(V v) {
  typename V::T lane[V::kLanes];
  v.store(lane);
  for (int half = V::kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

template <class V>
inline typename V::T max_lane(V v) {
  typename V::T lane[V::kLanes];
  v.store(lane);
  for (int half = V::kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] = lane[i] < lane[i + half] ? lane[i + half] : lane[i];
  return lane[0];
}

template <class V>
inline typename V::T row_max(const typename V::T* x, size_t n) {
  using T = typename V::T;
  const T lowest = -static_cast<T>(__builtin_inf());
  V m = V::set1(lowest), other = m;
  size_t j = 0;
  for (; j + 2 * V::kLanes <= n; j += 2 * V::kLanes) {
    m = max(V::load(x + j), m);
    other = max(V::load(x + j + V::kLanes), other);
  }
  for (; j + V::kLanes <= n; j += V::kLanes) m = max(V::load(x + j), m);
  if (j < n) other = max(V::load(x + j, n - j, lowest), other);
  return max_lane(max(other, m));
}

// Sum over j of f(j, lanes) where f takes the first column and how many of its lanes count (the others must be given as 0).
template <class V, class F>
inline typename V::T row_sum(size_t n, F f) {
  V sum = V::set1(0);
  size_t j = 0;
  for (; j + V::kLanes <= n; j += V::kLanes) sum = sum + f(j, V::kLanes);
  if (j < n) sum = sum + f(j, n - j);
  return sum_lanes(sum);
}

template <class V>
inline V load_lanes(const typename V::T* p, size_t lanes, typename V::T fill = 0) {
  return lanes == V::kLanes ? V::load(p) : V::load(p, lanes, fill);
}

template <class V>
inline void store_lanes(V v, typename V::T* p, size_t lanes) {
  if (lanes == V::kLanes) {
    v.store(p);
  } else {
    v.store(p, lanes);
  }
}

// Sums over many rows, each lane for itself. Beyond a block they are added up in double precision: in single precision,
// sums over millions would lose their digits.
constexpr size_t kRowBlock = 64;

template <class V, int N>
class LongSums {
 public:
  V part[N];  // of the current block

  LongSums() {
    for (V& p : part) p = V::set1(0);
  }
  void start(int i, V value) {
    typename V::T lane[V::kLanes];
    value.store(lane);
    for (int l = 0; l < V::kLanes; ++l) totals_[i][l] = static_cast<double>(lane[l]);
  }
  void end_block() {
    for (int i = 0; i < N; ++i) {
      typename V::T lane[V::kLanes];
      part[i].store(lane);
      for (int l = 0; l < V::kLanes; ++l) totals_[i][l] += static_cast<double>(lane[l]);
      part[i] = V::set1(0);
    }
  }
  // After the last block.
  V total(int i) const {
    typename V::T lane[V::kLanes];
    for (int l = 0; l < V::kLanes; ++l) lane[l] = static_cast<typename V::T>(totals_[i][l]);
    return V::load(lane);
  }

 private:
  double totals_[N][V::kLanes] = {};
};

// The sum of f(r) over r < rows, added to `start`.
template <class V, class F>
inline V sum_over_rows(size_t rows, V start, F f) {
  LongSums<V, 1> sums;
  sums.start(0, start);
  for (size_t r = 0; r < rows; sums.end_block())
    for (const size_t end = rows - r < kRowBlock ? rows : r + kRowBlock; r < end; ++r) sums.part[0] = sums.part[0] + f(r);
  return sums.total(0);
}

// Sum over the row of exp(x - m), where m is its largest element; put(exp, j, lanes) gets what is added up.
template <class V, class Put>
inline typename V::T row_sum_exp(const typename V::T* x, typename V::T m, size_t n, Put put) {
  using T = typename V::T;
  const T lowest = -static_cast<T>(__builtin_inf());
  Twice<V> sums = Twice<V>::set1(0);
  size_t j = 0;
  for (; j + 2 * V::kLanes <= n; j += 2 * V::kLanes) {
    const Twice<V> e = exp_down(Twice<V>::load(x + j) - Twice<V>::set1(m));
    put(e.a, j, V::kLanes);
    put(e.b, j + V::kLanes, V::kLanes);
    sums = sums + e;
  }
  for (size_t lanes = 0; j < n; j += lanes) {
    lanes = n - j < V::kLanes ? n - j : V::kLanes;
    const V e = exp_down(load_lanes<V>(x + j, lanes, lowest) - V::set1(m));
    put(e, j, lanes);
    sums.a = sums.a + e;
  }
  return sum_lanes(sums.a + sums.b);
}

// The largest of each column of n elements, ld apart.
template <class V>
inline V column_max(const typename V::T* x, size_t n, size_t ld, size_t lanes) {
  V m = V::set1(-static_cast<typename V::T>(__builtin_inf()));
  for (size_t i = 0; i < n; ++i) m = max(load_lanes<V>(x + i * ld, lanes), m);
  return m;
}

// What softmax needs of some rows: their largest elements, and the sums of exp(x - m) of each. Row by row one step waits
// for the other; step by step the rows of a group overlap, and all their logarithms are one vector.
template <class V>
struct RowGroup {
  typename V::T most[V::kLanes] = {}, sum[V::kLanes], log_sum[V::kLanes];

  // Rows that go together: few of long ones, which must not leave the first-level cache.
  static size_t size(size_t n) { return n <= kShortRow ? V::kLanes : 1; }
  // put(row, exp(x - m), j, lanes) for all elements of the rows x + i ld.
  template <class Put>
  RowGroup(const typename V::T* x, size_t rows, size_t n, size_t ld, Put put) {
    for (size_t i = 0; i < V::kLanes; ++i) sum[i] = 1;
    for (size_t i = 0; i < rows; ++i) most[i] = row_max<V>(x + i * ld, n);
    for (size_t i = 0; i < rows; ++i)
      sum[i] = row_sum_exp<V>(x + i * ld, most[i], n, [&](V e, size_t j, size_t lanes) { put(i, e, j, lanes); });
  }
  void take_logarithms() { log(V::load(sum)).store(log_sum); }

 private:
  static constexpr size_t kShortRow = 256;
};

// y[j] = f(j, lanes) over a row.
template <class V, class F>
inline void row_map(typename V::T* y, size_t n, F f) {
  size_t j = 0;
  for (; j + V::kLanes <= n; j += V::kLanes) f(j, V::kLanes).store(y + j);
  if (j < n) f(j, n - j).store(y + j, n - j);
}

template <class V>
struct Softmax {
  using T = typename V::T;
  static constexpr const char* kName = "softmax";
  // Of as many rows as a group has.
  static void forward(T* y, const T* x, size_t rows, size_t n, size_t ld) {
    const RowGroup<V> group(x, rows, n, ld,
                            [&](size_t i, V e, size_t j, size_t lanes) { store_lanes(e, y + i * ld + j, lanes); });
    for (size_t i = 0; i < rows; ++i, y += ld) {
      const V sum = V::set1(group.sum[i]);
      row_map<V>(y, n, [&](size_t j, size_t lanes) { return load_lanes<V>(y + j, lanes) / sum; });
    }
  }
  // dx = y (dy - sum(y dy))
  static void backward(T* dx, const T* y, const T* dy, size_t n) {
    const T dot =
        row_sum<V>(n, [&](size_t j, size_t lanes) { return load_lanes<V>(y + j, lanes) * load_lanes<V>(dy + j, lanes); });
    row_map<V>(dx, n, [&](size_t j, size_t lanes) {
      return load_lanes<V>(y + j, lanes) * (load_lanes<V>(dy + j, lanes) - V::set1(dot));
    });
  }
  // The same down the columns of y and x, one in each lane.
  static void forward_column(T* y, const T* x, size_t n, size_t ld, size_t lanes) {
    const V m = column_max<V>(x, n, ld, lanes);
    V s = V::set1(0);
    for (size_t i = 0; i < n; ++i) {
      const V e = exp_down(load_lanes<V>(x + i * ld, lanes) - m);
      store_lanes(e, y + i * ld, lanes);
      s = s + e;
    }
    for (size_t i = 0; i < n; ++i) store_lanes(load_lanes<V>(y + i * ld, lanes) / s, y + i * ld, lanes);
  }
  static void backward_column(T* dx, const T* y, const T* dy, size_t n, size_t ld, size_t lanes) {
    V dot = V::set1(0);
    for (size_t i = 0; i < n; ++i) dot = dot + load_lanes<V>(y + i * ld, lanes) * load_lanes<V>(dy + i * ld, lanes);
    for (size_t i = 0; i < n; ++i)
      store_lanes(load_lanes<V>(y + i * ld, lanes) * (load_lanes<V>(dy + i * ld, lanes) - dot), dx + i * ld, lanes);
  }
};

template <class V>
struct LogSoftmax {
  using T = typename V::T;
  static constexpr const char* kName = "log_softmax";
  static void forward(T* y, const T* x, size_t rows, size_t n, size_t ld) {
    RowGroup<V> group(x, rows, n, ld, [](size_t, V, size_t, size_t) {});
    group.take_logarithms();
    for (size_t i = 0; i < rows; ++i, x += ld, y += ld) {
      const V m = V::set1(group.most[i]), log_sum = V::set1(group.log_sum[i]);
      row_map<V>(y, n, [&](size_t j, size_t lanes) { return (load_lanes<V>(x + j, lanes) - m) - log_sum; });
    }
  }
  // dx = dy - exp(y) sum(dy)
  static void backward(T* dx, const T* y, const T* dy, size_t n) {
    const T sum = row_sum<V>(n, [&](size_t j, size_t lanes) { return load_lanes<V>(dy + j, lanes); });
    row_map<V>(dx, n, [&](size_t j, size_t lanes) {
      return fnma(exp(load_lanes<V>(y + j, lanes)), V::set1(sum), load_lanes<V>(dy + j, lanes));
    });
  }
  static void forward_column(T* y, const T* x, size_t n, size_t ld, size_t lanes) {
    const V m = column_max<V>(x, n, ld, lanes);
    V s = V::set1(0);
    for (size_t i = 0; i < n; ++i) s = s + exp_down(load_lanes<V>(x + i * ld, lanes) - m);
    const V log_sum = log(s);
    for (size_t i = 0; i < n; ++i) store_lanes((load_lanes<V>(x + i * ld, lanes) - m) - log_sum, y + i * ld, lanes);
  }
  static void backward_column(T* dx, const T* y, const T* dy, size_t n, size_t ld, size_t lanes) {
    V sum = V::set1(0);
    for (size_t i = 0; i < n; ++i) sum = sum + load_lanes<V>(dy + i * ld, lanes);
    for (size_t i = 0; i < n; ++i)
      store_lanes(fnma(exp(load_lanes<V>(y + i * ld, lanes)), sum, load_lanes<V>(dy + i * ld, lanes)), dx + i * ld, lanes);
  }
};

template <class V, template <class> class F>
void row_op_forward(typename V::T* y, const typename V::T* x, size_t rows, size_t n, size_t ld) {
  const size_t most = RowGroup<V>::size(n);
  for (size_t r = 0; r < rows; r += most) F<V>::forward(y + r * ld, x + r * ld, rows - r < most ? rows - r : most, n, ld);
}

template <class V, template <class> class F>
void row_op_backward(typename V::T* dx, const typename V::T* y, const typename V::T* dy, size_t rows, size_t n, size_t ld) {
  for (size_t r = 0; r < rows; ++r) F<V>::backward(dx + r * ld, y + r * ld, dy + r * ld, n);
}

template <class V, template <class> class F>
void row_op_forward_columns(typename V::T* y, const typename V::T* x, size_t n, size_t columns, size_t ld) {
  for (size_t j = 0; j < columns; j += V::kLanes)
    F<V>::forward_column(y + j, x + j, n, ld, columns - j < V::kLanes ? columns - j : V::kLanes);
}

template <class V, template <class> class F>
void row_op_backward_columns(typename V::T* dx, const typename V::T* y, const typename V::T* dy, size_t n, size_t columns,
                             size_t ld) {
  for (size_t j = 0; j < columns; j += V::kLanes)
    F<V>::backward_column(dx + j, y + j, dy + j, n, ld, columns - j < V::kLanes ? columns - j : V::kLanes);
}

template <class V, template <class> class... F>
void fill_row_ops_with(Kernels<typename V::T>& k) {
  const RowOp<typename V::T> rows[] = {{F<V>::kName, row_op_forward<V, F>, row_op_backward<V, F>,
                                        row_op_forward_columns<V, F>, row_op_backward_columns<V, F>}...};
  static_assert(sizeof...(F) <= kMaxRowOps, "raise kMaxRowOps");
  for (const auto& row : rows) k.row_ops[k.row_op_count++] = row;
}

template <class V>
void fill_row_ops(Kernels<typename V::T>& k) {
  k.row_op_count = 0;
  fill_row_ops_with<V, Softmax, LogSoftmax>(k);
}

}  // namespace
}  // namespace nncore
