// What the tests of losses share: rows of predictions and targets, and guarded results.
#pragma once
#include "support.hpp"

namespace nncore {

constexpr size_t kRows = 3;
constexpr double kEntropyAttrs[] = {0, -100, 0};  // the sum, ignore_index, label_smoothing

template <class T>
inline const Loss<T>& loss(const Kernels<T>& kernels, const std::string& name) {
  for (int i = 0; i < kernels.loss_count; ++i)
    if (name == kernels.losses[i].name) return kernels.losses[i];
  FAIL("no loss ", name);
  return kernels.losses[0];
}

// Rows of predictions and targets, all leading dimensions different.
template <class T>
struct Samples {
  explicit Samples(size_t columns, double spread)
      : n(columns),
        pred(random_values<T>((kRows - 1) * (n + 3) + n, n, -spread, spread)),
        target(random_values<T>((kRows - 1) * (n + 1) + n, n + 1, 0, 1)) {
    for (size_t r = 0; r < kRows; ++r) index.push_back(static_cast<int32_t>((r * 5 + n / 2) % n));
    if (n > 2) target[1] = 0;
  }
  Real p(size_t r, size_t j) const { return pred[r * (n + 3) + j]; }
  Real t(size_t r, size_t j) const { return target[r * (n + 1) + j]; }

  size_t n;
  std::vector<T> pred, target;
  std::vector<int32_t> index;
};

// What a loss writes, between guards. The gaps between the rows of dpred belong to others.
template <class T>
struct Results {
  explicit Results(size_t columns) : n(columns), row_loss(kRows), values(kRows * n), dpred((kRows - 1) * (n + 2) + n) {}
  void check_guards() const {
    CHECK(row_loss.intact());
    CHECK(values.intact());
    CHECK(dpred.intact());
    for (size_t r = 0; r + 1 < kRows; ++r)
      for (size_t j = n; j < n + 2; ++j) CHECK(dpred.untouched(r * (n + 2) + j));
  }
  T d(size_t r, size_t j) const { return dpred[r * (n + 2) + j]; }

  size_t n;
  Guarded<double> row_loss;
  Guarded<T> values, dpred;
};

template <class T>
inline LossArgs<T> arguments(const Samples<T>& rows, Results<T>& results, bool by_index, bool with_values,
                             bool with_gradient, T scale) {
  LossArgs<T> args{};
  args.rows = kRows;
  args.n = rows.n;
  args.pred = rows.pred.data();
  args.ld_pred = rows.n + 3;
  args.target = by_index ? nullptr : rows.target.data();
  args.ld_target = rows.n + 1;
  args.index = by_index ? rows.index.data() : nullptr;
  args.row_loss = results.row_loss.data();
  args.values = with_values ? results.values.data() : nullptr;
  args.dpred = with_gradient ? results.dpred.data() : nullptr;
  args.ld_dpred = rows.n + 2;
  args.attrs = kEntropyAttrs;
  args.scale = scale;
  return args;
}

}  // namespace nncore
