// Elementwise, row-wise, loss and optimizer kernels over whole arrays; the matrix product is in products.cpp.
#include "core/functions.hpp"

#include <algorithm>
#include <numeric>

#include "core/dropout.hpp"
#include "core/memory.hpp"
#include "core/samples.hpp"
#include "core/threads.hpp"
#include "core/updates.hpp"

namespace nncore {
namespace {

// f(begin, end) over parts of n elements, each a multiple of `step` long; `work` is the cost of an element in
// multiply-adds. f must not throw.
template <class F>
void split(size_t n, size_t step, double work, const F& f) {
  parallel(threads_for(static_cast<double>(n) * work), [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(n, step, begin, end);
    if (begin < end) f(begin, end);
  });
}

constexpr double kElement = 16;  // an elementwise pass costs about as much as this many multiply-adds

}  // namespace

template <class T>
const Activation<T>& find_activation(const Kernels<T>& kernels, const std::string& name) {
  return find_named(kernels.activations, static_cast<size_t>(kernels.activation_count), name, "activation");
}

template <class T>
void activation_forward(const Kernels<T>&, const Activation<T>& f, T* y, const T* x, size_t n,
                        const std::vector<double>& attrs) {
  split(n, kPanel<T>, kElement,
        [&](size_t begin, size_t end) { f.forward(y + begin, x + begin, end - begin, attrs.data()); });
}

template <class T>
void activation_backward(const Kernels<T>&, const Activation<T>& f, T* dx, const T* x, const T* y, const T* dy, size_t n,
                         const std::vector<double>& attrs) {
  split(n, kPanel<T>, kElement, [&](size_t begin, size_t end) {
    f.backward(dx + begin, x + begin, y + begin, dy + begin, end - begin, attrs.data());
  });
}

template <class T>
void rows_forward(const Kernels<T>& kernels, const std::string& name, T* y, const T* x, size_t rows, size_t n) {
  const RowOp<T>& f = find_named(kernels.row_ops, static_cast<size_t>(kernels.row_op_count), name, "row op");
  split(rows, 1, kElement * static_cast<double>(n),
        [&](size_t begin, size_t end) { f.forward(y + begin * n, x + begin * n, end - begin, n, n); });
}

template <class T>
void rows_backward(const Kernels<T>& kernels, const std::string& name, T* dx, const T* y, const T* dy, size_t rows,
                   size_t n) {
  const RowOp<T>& f = find_named(kernels.row_ops, static_cast<size_t>(kernels.row_op_count), name, "row op");
  split(rows, 1, kElement * static_cast<double>(n),
        [&](size_t begin, size_t end) { f.backward(dx + begin * n, y + begin * n, dy + begin * n, end - begin, n, n); });
}

template <class T>
void dropout(const Kernels<T>& kernels, T* y, const T* x, size_t rows, size_t n, double rate, uint64_t seed, uint32_t node,
             uint32_t step) {
  const DropoutSetting<T> setting(rate);
  const int count = threads_for(static_cast<double>(rows) * static_cast<double>(n) * kElement);
  Buffer<T> masks(static_cast<size_t>(count) * n);
  parallel(count, [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(rows, 1, begin, end);
    T* mask = masks.data() + static_cast<size_t>(team.rank) * n;
    for (size_t r = begin; r < end; ++r) {
      kernels.dropout_mask(mask, n, seed, static_cast<uint32_t>(r), step, node, setting.threshold, setting.scale);
      kernels.apply_mask(y + r * n, x + r * n, mask, n);
    }
  });
}

template <class T>
void alpha_dropout(const Kernels<T>& kernels, T* y, const T* x, size_t rows, size_t n, double rate, uint64_t seed,
                   uint32_t node, uint32_t step, bool backward) {
  const AlphaDropoutSetting<T> setting(rate);
  const int count = threads_for(static_cast<double>(rows) * static_cast<double>(n) * kElement);
  Buffer<T> masks(static_cast<size_t>(count) * n);
  parallel(count, [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(rows, 1, begin, end);
    T* mask = masks.data() + static_cast<size_t>(team.rank) * n;
    for (size_t r = begin; r < end; ++r) {
      kernels.dropout_mask(mask, n, seed, static_cast<uint32_t>(r), step, node, setting.threshold, setting.scale);
      if (backward) {
        kernels.apply_mask(y + r * n, x + r * n, mask, n);
      } else {
        kernels.apply_alpha_mask(y + r * n, x + r * n, mask, setting.shift, setting.dropped, n);
      }
    }
  });
}

template <class T>
void gaussian_noise(const Kernels<T>& kernels, T* y, const T* x, size_t rows, size_t n, double deviation, uint64_t seed,
                    uint32_t node, uint32_t step) {
  const int count = threads_for(static_cast<double>(rows) * static_cast<double>(n) * 4 * kElement);
  Buffer<T> noise(static_cast<size_t>(count) * n);
  parallel(count, [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(rows, 1, begin, end);
    T* own = noise.data() + static_cast<size_t>(team.rank) * n;
    for (size_t r = begin; r < end; ++r) {
      kernels.normals(own, n, seed, static_cast<uint32_t>(r), step, node);
      kernels.add_scaled(y + r * n, x + r * n, own, static_cast<T>(deviation), n);
    }
  });
}

template <class T>
void add(const Kernels<T>& kernels, T* y, const T* a, const T* b, size_t n) {
  split(n, kPanel<T>, kElement,
        [&](size_t begin, size_t end) { kernels.add(y + begin, a + begin, b + begin, end - begin); });
}

// f(arrays from element `begin` on, begin, end) for parts of the n elements of `count` arrays.
template <class T, class F>
void split_arrays(const T* const* x, size_t count, size_t n, const F& f) {
  const int threads = threads_for(kElement * static_cast<double>(count) * static_cast<double>(n));
  std::vector<const T*> parts(static_cast<size_t>(threads) * count);
  parallel(threads, [&](const Team& team) {
    size_t begin = 0, end = 0;
    team.share(n, kPanel<T>, begin, end);
    const T** part = parts.data() + static_cast<size_t>(team.rank) * count;
    for (size_t i = 0; i < count; ++i) part[i] = x[i] + begin;
    if (begin < end) f(part, begin, end);
  });
}

template <class T>
void product(const Kernels<T>& kernels, T* y, const T* const* x, size_t count, size_t n) {
  split_arrays(x, count, n, [&](const T* const* part, size_t begin, size_t end) {
    kernels.product(y + begin, part, count, end - begin);
  });
}

template <class T>
void concatenate(T* y, const std::vector<const T*>& x, const std::vector<size_t>& widths, size_t rows) {
  const size_t width = std::accumulate(widths.begin(), widths.end(), size_t{0});
  split(rows, 1, kElement * static_cast<double>(width), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      T* to = y + r * width;
      for (size_t i = 0; i < x.size(); ++i) to = std::copy_n(x[i] + r * widths[i], widths[i], to);
    }
  });
}

template <class T>
void sum_over(const Kernels<T>& kernels, T* y, const T* const* x, size_t count, T divisor, size_t n) {
  split_arrays(x, count, n, [&](const T* const* part, size_t begin, size_t end) {
    kernels.sum_over(y + begin, part, count, divisor, end - begin);
  });
}

template <class T>
void column_sums(const Kernels<T>& kernels, T* sums, const T* x, size_t rows, size_t n) {
  split(n, kPanel<T>, static_cast<double>(rows),
        [&](size_t begin, size_t end) { kernels.column_sums(sums + begin, x + begin, rows, end - begin, n, false); });
}

template <class T>
const Loss<T>& find_loss(const Kernels<T>& kernels, const std::string& name) {
  return find_named(kernels.losses, static_cast<size_t>(kernels.loss_count), name, "loss");
}

namespace {

template <class T>
LossArgs<T> rows_of_loss(const Loss<T>& f, const LossArgs<T>& args, size_t begin, size_t end) {
  LossArgs<T> part = args;
  part.rows = end - begin;
  part.pred += begin * args.ld_pred;
  if (args.target) part.target += begin * args.ld_target;
  if (args.index) part.index += begin;
  if (args.row_loss) part.row_loss += begin;
  if (args.values) part.values += begin * part_count(f, args.n);
  if (args.row_scale) part.row_scale += begin;
  if (args.dpred) part.dpred += begin * args.ld_dpred;
  return part;
}

}  // namespace

template <class T>
double loss(const Kernels<T>& kernels, const std::string& name, LossArgs<T> args) {
  const Loss<T>& f = find_loss(kernels, name);
  const bool valued = args.row_loss || args.values || !args.dpred;
  // Elements that nothing ties to their rows are cut into rows of one length, which vectors and threads like better.
  const bool contiguous = args.ld_pred == args.n && args.ld_target == args.n && (!args.dpred || args.ld_dpred == args.n);
  const bool loose = contiguous && f.parts == LossParts::kElements && !args.row_loss && !args.row_scale &&
                     std::all_of(args.arrays, args.arrays + kMaxLossArrays, [](const T* array) { return !array; });
  size_t rest = 0;
  if (loose) {
    constexpr size_t kLength = 2048;
    rest = args.rows * args.n % kLength;
    args.rows = args.rows * args.n / kLength;
    args.n = args.ld_pred = args.ld_target = args.ld_dpred = kLength;
  }
  Buffer<double> row_loss(args.row_loss || !valued ? 0 : args.rows + 1);
  if (!args.row_loss && valued) args.row_loss = row_loss.data();
  split(args.rows, 1, kElement * static_cast<double>(args.n),
        [&](size_t begin, size_t end) { f.run(rows_of_loss(f, args, begin, end)); });
  if (rest > 0) {
    LossArgs<T> last = rows_of_loss(f, args, args.rows, args.rows + 1);
    last.n = rest;
    f.run(last);
  }
  double sums[4] = {};  // side by side: each addition waits for the one before
  for (size_t r = 0; valued && r < args.rows + (rest > 0); ++r) sums[r % 4] += args.row_loss[r];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// The first pass of a rule with norms. Blocks of a fixed size are summed in order, whatever the threads.
template <class T>
double ratio_of_rule(const Rule<T>& rule, const T* p, const T* g, T* const* states, size_t n, const double* coefficients) {
  constexpr size_t kBlock = 4096;
  std::vector<double> sums(2 * ((n + kBlock - 1) / kBlock));
  split(n, kBlock, kElement, [&](size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += kBlock) {
      T* part[kMaxStates] = {};
      for (int i = 0; i < rule.states; ++i) part[i] = states[i] + at;
      rule.norms(p + at, g + at, part, std::min(kBlock, end - at), coefficients, &sums[at / kBlock * 2]);
    }
  });
  double p_squares = 0, d_squares = 0;
  for (size_t i = 0; i < sums.size(); i += 2) {
    p_squares += sums[i];
    d_squares += sums[i + 1];
  }
  return trust_ratio(p_squares, d_squares);
}

template <class T>
void rule_step(const Kernels<T>& kernels, const std::string& name, T* p, const T* g, T* const* states, size_t n,
               const std::vector<double>& hyper, double t) {
  const Rule<T>& rule = find_named(kernels.rules, static_cast<size_t>(kernels.rule_count), name, "rule");
  double coefficients[kMaxCoefficients];
  rule.prepare(coefficients, hyper.data(), t);
  if (rule.norms) coefficients[kRatio] = ratio_of_rule(rule, p, g, states, n, coefficients);
  split(n, kPanel<T>, kElement, [&](size_t begin, size_t end) {
    T* part[kMaxStates] = {};
    for (int i = 0; i < rule.states; ++i) part[i] = states[i] + begin;
    rule.update(p + begin, g + begin, part, end - begin, coefficients);
  });
}

#define NNCORE_INSTANTIATE(T)                                                                                          \
  template const Activation<T>& find_activation(const Kernels<T>&, const std::string&);                                \
  template void activation_forward(const Kernels<T>&, const Activation<T>&, T*, const T*, size_t,                      \
                                   const std::vector<double>&);                                                        \
  template void activation_backward(const Kernels<T>&, const Activation<T>&, T*, const T*, const T*, const T*, size_t, \
                                    const std::vector<double>&);                                                       \
  template void rows_forward(const Kernels<T>&, const std::string&, T*, const T*, size_t, size_t);                     \
  template void rows_backward(const Kernels<T>&, const std::string&, T*, const T*, const T*, size_t, size_t);          \
  template void dropout(const Kernels<T>&, T*, const T*, size_t, size_t, double, uint64_t, uint32_t, uint32_t);        \
  template void alpha_dropout(const Kernels<T>&, T*, const T*, size_t, size_t, double, uint64_t, uint32_t, uint32_t,   \
                              bool);                                                                                   \
  template void gaussian_noise(const Kernels<T>&, T*, const T*, size_t, size_t, double, uint64_t, uint32_t, uint32_t); \
  template void add(const Kernels<T>&, T*, const T*, const T*, size_t);                                                \
  template void product(const Kernels<T>&, T*, const T* const*, size_t, size_t);                                       \
  template void concatenate(T*, const std::vector<const T*>&, const std::vector<size_t>&, size_t);                     \
  template void sum_over(const Kernels<T>&, T*, const T* const*, size_t, T, size_t);                                   \
  template void column_sums(const Kernels<T>&, T*, const T*, size_t, size_t);                                          \
  template const Loss<T>& find_loss(const Kernels<T>&, const std::string&);                                            \
  template double loss(const Kernels<T>&, const std::string&, LossArgs<T>);                                            \
  template void rule_step(const Kernels<T>&, const std::string&, T*, const T*, T* const*, size_t,                      \
                          const std::vector<double>&, double)
NNCORE_INSTANTIATE(float);
NNCORE_INSTANTIATE(double);
#undef NNCORE_INSTANTIATE

}  // namespace nncore
