// Activations along an axis, and those with a slope for each element, over whole arrays.
#include "core/axes.hpp"

#include <algorithm>

#include "core/memory.hpp"
#include "core/samples.hpp"
#include "core/threads.hpp"

namespace nncore {
namespace {

constexpr double kElement = 16;  // an elementwise pass costs about as much as this many multiply-adds

// f(outer, first, count) for pieces of [outer, inner], each at most `step` of inner long; `work` is the cost of one element
// of inner, in elements.
template <class F>
void for_pieces(size_t outer, size_t inner, size_t step, size_t work, const F& f) {
  if (work == 0) return;  // of arrays without elements the other extents may be huge
  const size_t pieces = (inner + step - 1) / step;
  const double cost = kElement * static_cast<double>(outer) * static_cast<double>(inner) * static_cast<double>(work);
  parallel(threads_for(cost), [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(outer * pieces, 1, begin, end);
    for (size_t i = begin; i < end; ++i) {
      const size_t first = i % pieces * step;
      f(i / pieces, first, std::min(step, inner - first));
    }
  });
}

template <class T>
constexpr size_t kColumns = 4 * kPanel<T>;  // of a block of columns: some cache lines of each row
constexpr size_t kRun = 4096;               // elements of a part, or of a sum

}  // namespace

template <class T>
void columns_forward(const Kernels<T>& kernels, const std::string& name, T* y, const T* x, const AxisSizes& s) {
  const RowOp<T>& f = find_named(kernels.row_ops, static_cast<size_t>(kernels.row_op_count), name, "row op");
  for_pieces(s.outer, s.inner, kColumns<T>, s.length, [&](size_t o, size_t first, size_t count) {
    const size_t at = o * s.length * s.inner + first;
    f.forward_columns(y + at, x + at, s.length, count, s.inner);
  });
}

template <class T>
void columns_backward(const Kernels<T>& kernels, const std::string& name, T* dx, const T* y, const T* dy,
                      const AxisSizes& s) {
  const RowOp<T>& f = find_named(kernels.row_ops, static_cast<size_t>(kernels.row_op_count), name, "row op");
  for_pieces(s.outer, s.inner, kColumns<T>, s.length, [&](size_t o, size_t first, size_t count) {
    const size_t at = o * s.length * s.inner + first;
    f.backward_columns(dx + at, y + at, dy + at, s.length, count, s.inner);
  });
}

template <class T>
void parts_forward(const Kernels<T>& kernels, const std::string& name, T* y, const T* x, size_t parts, const AxisSizes& s) {
  const PartOp<T>& f = find_named(kernels.part_ops, static_cast<size_t>(kernels.part_op_count), name, "part op");
  const size_t n = s.length / parts * s.inner;
  for_pieces(s.outer, n, kRun, parts, [&](size_t o, size_t first, size_t count) {
    f.forward(y + o * n + first, x + o * parts * n + first, parts, count, n);
  });
}

template <class T>
void parts_backward(const Kernels<T>& kernels, const std::string& name, T* dx, const T* x, const T* y, const T* dy,
                    size_t parts, const AxisSizes& s) {
  const PartOp<T>& f = find_named(kernels.part_ops, static_cast<size_t>(kernels.part_op_count), name, "part op");
  const size_t n = s.length / parts * s.inner;
  for_pieces(s.outer, n, kRun, parts, [&](size_t o, size_t first, size_t count) {
    const size_t at = o * n + first, from = o * parts * n + first;
    f.backward(dx + from, x + from, y + at, dy + at, parts, count, n);
  });
}

template <class T>
void prelu(const Kernels<T>& kernels, T* y, const T* x, const T* alpha, bool shared, size_t rows, size_t n) {
  for_pieces(rows, n, kRun, 1, [&](size_t r, size_t first, size_t count) {
    const size_t at = r * n + first;
    kernels.prelu(y + at, x + at, shared ? alpha : alpha + first, shared, count);
  });
}

template <class T>
void prelu_backward(const Kernels<T>& kernels, T* dx, T* dalpha, const T* x, const T* dy, const T* alpha, bool shared,
                    size_t rows, size_t n) {
  // First what reads dy, as dx may lie there.
  if (shared) {
    const size_t runs = (rows * n + kRun - 1) / kRun;
    Buffer<double> sums(runs);
    for_pieces(1, rows * n, kRun, 1, [&](size_t, size_t first, size_t count) {
      sums.data()[first / kRun] = kernels.prelu_slope(x + first, dy + first, count);
    });
    double sum = 0;
    for (size_t i = 0; i < runs; ++i) sum += sums.data()[i];
    dalpha[0] = static_cast<T>(sum);
  } else {
    for_pieces(1, n, kPanel<T>, rows + 1, [&](size_t, size_t first, size_t count) {
      kernels.prelu_slopes(dalpha + first, x + first, dy + first, rows, count, n, false);
    });
  }
  for_pieces(rows, n, kRun, 1, [&](size_t r, size_t first, size_t count) {
    const size_t at = r * n + first;
    kernels.prelu_backward(dx + at, x + at, dy + at, shared ? alpha : alpha + first, shared, count);
  });
}

template <class T>
void rrelu(const Kernels<T>& kernels, T* y, const T* source, const T* x, size_t rows, size_t n, double lower, double upper,
           uint64_t seed, uint32_t node, uint32_t step) {
  const int count = threads_for(static_cast<double>(rows) * static_cast<double>(n) * kElement);
  Buffer<T> slopes(static_cast<size_t>(count) * n);
  parallel(count, [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(rows, 1, begin, end);
    T* slope = slopes.data() + static_cast<size_t>(team.rank) * n;
    for (size_t r = begin; r < end; ++r) {
      kernels.rrelu_slopes(slope, x + r * n, n, seed, static_cast<uint32_t>(r), step, node, lower, upper);
      kernels.apply_mask(y + r * n, source + r * n, slope, n);
    }
  });
}

#define NNCORE_INSTANTIATE(T)                                                                                        \
  template void columns_forward(const Kernels<T>&, const std::string&, T*, const T*, const AxisSizes&);              \
  template void columns_backward(const Kernels<T>&, const std::string&, T*, const T*, const T*, const AxisSizes&);   \
  template void parts_forward(const Kernels<T>&, const std::string&, T*, const T*, size_t, const AxisSizes&);        \
  template void parts_backward(const Kernels<T>&, const std::string&, T*, const T*, const T*, const T*, size_t,      \
                               const AxisSizes&);                                                                    \
  template void prelu(const Kernels<T>&, T*, const T*, const T*, bool, size_t, size_t);                              \
  template void prelu_backward(const Kernels<T>&, T*, T*, const T*, const T*, const T*, bool, size_t, size_t);       \
  template void rrelu(const Kernels<T>&, T*, const T*, const T*, size_t, size_t, double, double, uint64_t, uint32_t, \
                      uint32_t)
NNCORE_INSTANTIATE(float);
NNCORE_INSTANTIATE(double);
#undef NNCORE_INSTANTIATE

}  // namespace nncore
