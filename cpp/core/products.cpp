// The matrix product on arrays with any strides: columns are shared out among threads, each packing the panels of its own.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <vector>

#include "core/functions.hpp"
#include "core/memory.hpp"
#include "core/threads.hpp"

namespace nncore {
namespace {

template <class T>
Strided<T> transposed(const Strided<T>& m) {
  return {m.data, m.columns, m.rows, m.column, m.row};
}

// An activation of either kind, found by name.
template <class T>
class OneInput {
 public:
  OneInput(const Kernels<T>& kernels, const std::string& name) {
    for (int i = 0; i < kernels.activation_count; ++i)
      if (name == kernels.activations[i].name) elementwise_ = &kernels.activations[i];
    for (int i = 0; i < kernels.row_op_count; ++i)
      if (name == kernels.row_ops[i].name) rowwise_ = &kernels.row_ops[i];
    if (!elementwise_ && !rowwise_) throw std::invalid_argument("activation: there is no native one called '" + name + "'");
  }
  // In place, on contiguous rows of n elements.
  void forward(T* y, size_t rows, size_t n, const std::vector<double>& attrs) const {
    if (elementwise_) {
      elementwise_->forward(y, y, rows * n, attrs.data());
    } else if (n > 0) {
      rowwise_->forward(y, y, rows, n, n);
    }
  }

 private:
  const Activation<T>* elementwise_ = nullptr;
  const RowOp<T>* rowwise_ = nullptr;
};

// What a calling thread keeps from product to product, for it and the threads that work for it: memory fresh from the
// system would cost more than a small product.
template <class T>
struct Room {
  std::vector<Buffer<T>> packed, tiles;

  static Room& of_this_thread(int count, size_t packed, size_t tile) {
    thread_local Room room;
    grow(room.packed, count, packed);
    grow(room.tiles, count, tile);
    return room;
  }

 private:
  static void grow(std::vector<Buffer<T>>& buffers, int count, size_t size) {
    buffers.resize(std::max(buffers.size(), static_cast<size_t>(count)));
    for (Buffer<T>& buffer : buffers)
      if (buffer.size() < size) buffer = Buffer<T>(size);
  }
};

// c = a b (+ bias) for `count` threads, each working on parts of it.
template <class T>
class Multiplication {
 public:
  Multiplication(const Kernels<T>& kernels, const Strided<const T>& a, const Strided<const T>& b, const Strided<T>& c,
                 const T* bias, int count)
      : kernels_(kernels), a_(a), b_(b), c_(c) {
    if (bias && c.columns % w != 0) {
      bias_ = Buffer<T>(panels_of<T>(c.columns) * w);
      std::copy(bias, bias + c.columns, bias_.data());
      bias = bias_.data();
    }
    bias_values_ = bias;
    // For a few rows, panels of whole columns that the second-level cache has room for: c is written once. For many, wide
    // groups of panels cut into what gemm takes at a time, so that a and b are read few times.
    constexpr size_t kPackedBytes = 256 * 1024;
    depth_ = a.columns;
    if (c.column == 1 && c.rows > kRowsWorthCutting) depth_ = std::min(depth_, kernels.gemm_depth);
    group_ = depth_ < a.columns ? kMostPanels : kPackedBytes / 64 / std::max<size_t>(a.columns, 1) / 2 * 2;
    group_ = std::min(std::clamp<size_t>(group_, 2, kMostPanels), panels_of<T>(c.columns));
    if (a.columns > SIZE_MAX / (kMostPanels * w)) throw std::bad_alloc();  // a view may be larger than memory
    const bool tiles = c.column != 1 || c.columns % w != 0;
    const size_t packed = std::max(group_ * depth_, a.columns) * w;
    room_ = &Room<T>::of_this_thread(count, packed, tiles ? kTileRows * (c.column == 1 ? 1 : group_) * w : 0);
  }

  // Some rows and panels of c, by one thread of a team of at most `count`.
  void run(const Team& team, Rows rows, Rows panels) {
    if (rows.count() == 0) return;
    T* packed = room_->packed[static_cast<size_t>(team.rank)].data();
    T* tile = room_->tiles[static_cast<size_t>(team.rank)].data();
    const size_t whole_panels = c_.columns / w;
    for (size_t p = panels.begin, count = 0; p < panels.end; p += count) {
      count = std::min(group_, panels.end - p);
      if (p < whole_panels) count = std::min(count, whole_panels - p);  // a last panel that is not whole goes alone
      const bool direct = p < whole_panels && c_.column == 1;
      const size_t depth = direct ? depth_ : a_.columns;
      size_t k = 0;
      do {
        const Rows part{k, std::min(k + depth, a_.columns)};
        run_group(rows, part, p, count, packed, direct ? nullptr : tile);
        k = part.end;
      } while (k < a_.columns);
    }
  }

 private:
  static constexpr size_t w = kPanel<T>, kTileRows = 128, kMostPanels = 128;
  static constexpr size_t kRowsWorthPacking = 8, kRowsWorthCutting = 48;
  static constexpr ptrdiff_t kNear = 1024 / sizeof(T);  // rows of b that near each other need no packing

  // Rows of c times `count` panels from p on, by way of `tile` if there is one: the part `ks` of the sums.
  void run_group(Rows rows, Rows ks, size_t p, size_t count, T* packed, T* tile) const {
    const size_t k = ks.count(), first = p * w, columns = std::min(b_.columns - first, count * w);
    Gemm<T> g{};
    g.panels = count;
    g.k = k;
    g.a_row = a_.row;
    g.a_k = a_.column;
    g.scratch = gemm_scratch(kernels_);
    g.accumulate = ks.begin > 0;
    // Packing pays when enough rows use a panel; a row-major b is its own sequence of panels.
    const T* source = b_.data + static_cast<ptrdiff_t>(first) * b_.column + static_cast<ptrdiff_t>(ks.begin) * b_.row;
    if (columns == count * w && b_.column == 1 && (rows.count() <= kRowsWorthPacking || std::abs(b_.row) < kNear)) {
      g.b = source;
      g.b_k = b_.row;
      g.b_panel = static_cast<ptrdiff_t>(w);
    } else {
      kernels_.pack(packed, source, k, columns, b_.row, b_.column);
      g.b = packed;
      g.b_k = static_cast<ptrdiff_t>(w);
      g.b_panel = static_cast<ptrdiff_t>(k * w);
    }
    g.bias = bias_values_ && ks.end == a_.columns ? bias_values_ + first : nullptr;
    g.c_panel = static_cast<ptrdiff_t>(w);
    g.c_row = tile ? static_cast<ptrdiff_t>(count * w) : c_.row;
    const size_t block = tile ? kTileRows : rows.count();
    for (size_t r = rows.begin; r < rows.end; r += block) {
      g.m = std::min(block, rows.end - r);
      g.a = a_.data + static_cast<ptrdiff_t>(r) * a_.row + static_cast<ptrdiff_t>(ks.begin) * a_.column;
      T* target = c_.data + static_cast<ptrdiff_t>(r) * c_.row + static_cast<ptrdiff_t>(first) * c_.column;
      g.c = tile ? tile : target;
      kernels_.gemm(g);
      if (tile) copy(target, tile, g.m, columns, count * w);
    }
  }

  void copy(T* target, const T* tile, size_t rows, size_t columns, size_t tile_row) const {
    for (size_t r = 0; r < rows; ++r, target += c_.row, tile += tile_row) {
      if (c_.column == 1) {
        std::copy(tile, tile + columns, target);
        continue;
      }
      for (size_t j = 0; j < columns; ++j) target[static_cast<ptrdiff_t>(j) * c_.column] = tile[j];
    }
  }

  const Kernels<T>& kernels_;
  Strided<const T> a_, b_;
  Strided<T> c_;
  size_t group_, depth_;  // panels of b that are packed at a time, and elements of k
  Buffer<T> bias_;        // to whole panels
  const T* bias_values_;
  Room<T>* room_;  // by thread: panels of b; parts of c that whole panels cannot be stored to
};

// c = a b where one of them is a single row or column and the layout suits a kernel made for that; false if it does not.
template <class T>
bool multiply_single(const Kernels<T>& kernels, const Strided<const T>& a, const Strided<const T>& b, const Strided<T>& c,
                     int count) {
  constexpr size_t w = kPanel<T>;
  if (a.columns == 1 && b.column == 1 && c.column == 1) {
    parallel(count, [&](const Team& team) {
      Rows rows{};
      team.share(c.rows, 1, rows.begin, rows.end);
      const auto first = static_cast<ptrdiff_t>(rows.begin);
      kernels.outer_product(c.data + first * c.row, c.row, a.data + first * a.row, a.row, b.data, rows.count(), c.columns);
    });
    return true;
  }
  const bool by_rows = b.column == 1, by_columns = b.row == 1 && a.column == 1;
  if (c.rows != 1 || c.column != 1 || !(by_rows || by_columns)) return false;
  parallel(count, [&](const Team& team) {
    Rows columns{};
    team.share(c.columns, w, columns.begin, columns.end);
    const auto first = static_cast<ptrdiff_t>(columns.begin);
    const T* part = b.data + first * b.column;
    if (by_rows) {
      kernels.row_by_rows(c.data + first, a.data, a.column, part, b.row, a.columns, columns.count());
    } else {
      kernels.row_by_columns(c.data + first, a.data, part, b.column, a.columns, columns.count());
    }
  });
  return true;
}

// Whether threads share out columns of a product, in pairs of panels, rather than its rows: each then packs what it needs
// and no more. Few pairs do not divide evenly, and many rows are worth the packing.
bool shares_columns(size_t rows, size_t panels, size_t threads) {
  constexpr size_t kWorthPacking = 64;
  const size_t most = ((panels + 1) / 2 + threads - 1) / threads * 2;  // panels of one thread
  return panels >= 2 * threads && (rows < kWorthPacking || 8 * most * threads <= 9 * panels);
}

}  // namespace

template <class T>
void matmul(const Kernels<T>& kernels, const Strided<const T>& a, const Strided<const T>& b, const Strided<T>& c) {
  if (c.rows == 0 || c.columns == 0) return;
  if (c.column != 1 && c.row == 1) {  // c^T = b^T a^T stores whole panels
    matmul(kernels, transposed(b), transposed(a), transposed(c));
    return;
  }
  const size_t panels = panels_of<T>(c.columns);
  const int count =
      threads_for(static_cast<double>(c.rows) * static_cast<double>(a.columns) * static_cast<double>(c.columns));
  if (multiply_single(kernels, a, b, c, count)) return;
  const bool by_columns = shares_columns(c.rows, panels, static_cast<size_t>(count));
  Multiplication<T> product(kernels, a, b, c, nullptr, count);
  parallel(count, [&](const Team& team) {
    Rows rows{0, c.rows}, columns{0, panels};
    if (by_columns) {
      team.share(panels, 2, columns.begin, columns.end);
    } else {
      team.share(c.rows, 1, rows.begin, rows.end);
    }
    product.run(team, rows, columns);
  });
}

template <class T>
void dense(const Kernels<T>& kernels, const Strided<const T>& x, const Strided<const T>& w, const T* bias,
           const Strided<T>& y, const std::string& activation, const std::vector<double>& attrs) {
  if (x.rows == 0) return;
  const OneInput<T> f(kernels, activation);
  const int count =
      threads_for(static_cast<double>(x.rows) * static_cast<double>(x.columns) * static_cast<double>(w.columns));
  Multiplication<T> product(kernels, x, w, y, bias, count);
  // Rows are shared out, so that each thread applies the activation to what it has just computed.
  parallel(count, [&](const Team& team) {
    Rows rows{};
    team.share(x.rows, 1, rows.begin, rows.end);
    product.run(team, rows, {0, panels_of<T>(w.columns)});
    f.forward(y.data + static_cast<ptrdiff_t>(rows.begin) * y.row, rows.count(), y.columns, attrs);
  });
}

template void dense(const Kernels<float>&, const Strided<const float>&, const Strided<const float>&, const float*,
                    const Strided<float>&, const std::string&, const std::vector<double>&);
template void dense(const Kernels<double>&, const Strided<const double>&, const Strided<const double>&, const double*,
                    const Strided<double>&, const std::string&, const std::vector<double>&);
template void matmul(const Kernels<float>&, const Strided<const float>&, const Strided<const float>&,
                     const Strided<float>&);
template void matmul(const Kernels<double>&, const Strided<const double>&, const Strided<const double>&,
                     const Strided<double>&);

}  // namespace nncore
