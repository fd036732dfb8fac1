// Functions on whole arrays: products of any strides and sizes, and that threads do not show in the results.
#include "core/functions.hpp"

#include <algorithm>
#include <stdexcept>

#include "support.hpp"

TEST_SUITE_BEGIN("core/functions");

namespace nncore {
namespace {

// A matrix [rows, columns] of random numbers, by rows, by columns, with gaps, or turned by 180 degrees.
template <class T>
class Stored {
 public:
  static constexpr int kKinds = 4;
  Stored(size_t rows, size_t columns, int kind, uint64_t seed) : rows_(rows), columns_(columns) {
    const auto m = static_cast<ptrdiff_t>(rows), n = static_cast<ptrdiff_t>(columns);
    row_ = kind == 0 ? n : kind == 1 ? 1 : kind == 2 ? 2 * n + 1 : -n;
    column_ = kind == 0 ? 1 : kind == 1 ? m : kind == 2 ? 2 : -1;
    first_ = kind == 3 ? m * n - 1 : 0;
    values_ =
        random_values<T>(kind == 2 ? static_cast<size_t>((m - 1) * row_ + (n - 1) * column_ + 1) : rows * columns, seed);
  }
  Strided<T> view() { return {values_.data() + first_, rows_, columns_, row_, column_}; }
  Strided<const T> view() const { return {values_.data() + first_, rows_, columns_, row_, column_}; }
  T at(size_t i, size_t j) const {
    return values_[static_cast<size_t>(first_ + static_cast<ptrdiff_t>(i) * row_ + static_cast<ptrdiff_t>(j) * column_)];
  }

 private:
  size_t rows_, columns_;
  ptrdiff_t row_, column_, first_;
  std::vector<T> values_;
};

TEST_CASE_TEMPLATE("matmul: every mixture of strides", T, float, double) {
  const size_t sizes[][3] = {{1, 1, 1}, {1, 40, 33}, {33, 40, 1}, {20, 1, 33}, {1, 9, 4200}, {2, 3, 5}, {40, 17, 50}};
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const auto& size : sizes)
      for (int kinds = 0; kinds < Stored<T>::kKinds * Stored<T>::kKinds * Stored<T>::kKinds; ++kinds) {
        const size_t m = size[0], k = size[1], n = size[2];
        CAPTURE(m);
        CAPTURE(kinds);
        const Stored<T> a(m, k, kinds % 4, 1), b(k, n, kinds / 4 % 4, 2);
        Stored<T> c(m, n, kinds / 16, 3);
        matmul(kernels, a.view(), b.view(), c.view());
        for (size_t i = 0; i < m; ++i)
          for (size_t j = 0; j < n; ++j) {
            Real want = 0;
            for (size_t q = 0; q < k; ++q) want += static_cast<Real>(a.at(i, q)) * static_cast<Real>(b.at(q, j));
            check_close(c.at(i, j), want, static_cast<Real>(k + 2) * kEpsilon<T> * static_cast<Real>(k));
          }
      }
  });
}

TEST_CASE_TEMPLATE("matmul and dense: a sum of nothing", T, float, double) {
  const std::vector<T> bias = {1, 2, 3};
  std::vector<T> c = random_values<T>(6, 1);
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    matmul<T>(kernels, {c.data(), 2, 0, 0, 1}, {c.data(), 0, 3, 3, 1}, {c.data(), 2, 3, 3, 1});
    CHECK(c == std::vector<T>(6));
    dense<T>(kernels, {c.data(), 2, 0, 0, 1}, {c.data(), 0, 3, 3, 1}, bias.data(), {c.data(), 2, 3, 3, 1}, "identity", {});
    CHECK(c == std::vector<T>{1, 2, 3, 1, 2, 3});
  });
}

// The bits of f's result with 1, 2 and 4 threads, which must be the same.
template <class T, class F>
void check_threads(size_t size, const F& f) {
  std::vector<T> want(size), got(size);
  {
    const ThreadLimit limit(1);
    f(want.data());
  }
  for (const int count : {2, 4}) {
    CAPTURE(count);
    const ThreadLimit limit(count);
    std::fill(got.begin(), got.end(), T(-1));
    f(got.data());
    CHECK(same_bits(got, want));
  }
}

TEST_CASE_TEMPLATE("threads do not show: products", T, float, double) {
  const Kernels<T>& kernels = kernels_of<T>(active_kernels());
  const size_t sizes[][3] = {{3, 500, 700}, {200, 300, 40}, {70, 100, 301}};  // shared out by columns, by rows, either
  for (const auto& size : sizes) {
    const size_t m = size[0], k = size[1], n = size[2];
    CAPTURE(m);
    const std::vector<T> a = random_values<T>(m * k, 1), b = random_values<T>(k * n, 2), bias = random_values<T>(n, 3);
    const auto lda = static_cast<ptrdiff_t>(k), ldb = static_cast<ptrdiff_t>(n);
    const Strided<const T> x{a.data(), m, k, lda, 1}, w{b.data(), k, n, ldb, 1};
    check_threads<T>(m * n, [&](T* c) { matmul<T>(kernels, x, w, {c, m, n, ldb, 1}); });
    for (const char* activation : {"tanh", "softmax"})
      check_threads<T>(m * n, [&](T* c) { dense<T>(kernels, x, w, bias.data(), {c, m, n, ldb, 1}, activation, {}); });
  }
}

TEST_CASE_TEMPLATE("threads do not show: elementwise, rows, losses, rules", T, float, double) {
  const Kernels<T>& kernels = kernels_of<T>(active_kernels());
  constexpr size_t rows = 301, n = 333;
  const std::vector<T> x = random_values<T>(rows * n, 1), y = random_values<T>(rows * n, 2),
                       dy = random_values<T>(rows * n, 3);
  const Activation<T>& gelu = find_activation(kernels, "gelu");
  check_threads<T>(rows * n, [&](T* out) { activation_forward(kernels, gelu, out, x.data(), rows * n, {0}); });
  check_threads<T>(rows * n,
                   [&](T* out) { activation_backward(kernels, gelu, out, x.data(), y.data(), dy.data(), rows * n, {0}); });
  check_threads<T>(rows * n, [&](T* out) { rows_forward(kernels, "softmax", out, x.data(), rows, n); });
  check_threads<T>(rows * n, [&](T* out) { rows_backward(kernels, "softmax", out, y.data(), dy.data(), rows, n); });
  check_threads<T>(rows * n, [&](T* out) { dropout(kernels, out, x.data(), rows, n, 0.4, 1, 2, 3); });
  check_threads<T>(rows * n, [&](T* out) { add(kernels, out, x.data(), y.data(), rows * n); });
  check_threads<T>(100, [&](T* out) { column_sums(kernels, out, x.data(), 1000, 100); });
  const double entropy[] = {0, -100, 0};
  for (const char* name : {"mse", "bce_with_logits", "cross_entropy"})
    check_threads<T>(rows * n, [&](T* out) {
      LossArgs<T> args{};
      args.rows = rows;
      args.n = args.ld_pred = args.ld_target = args.ld_dpred = n;
      args.pred = x.data();
      args.target = y.data();
      args.dpred = out;
      args.scale = 1;
      args.attrs = entropy;
      CHECK(loss(kernels, name, args) == 0);  // the gradient alone
      args.dpred = nullptr;
      const double sum = loss(kernels, name, args);
      CHECK(sum != 0);
      const ThreadLimit one(1);
      CHECK(loss(kernels, name, args) == sum);
    });
  check_threads<T>(rows * n, [&](T* p) {
    std::vector<T> m(rows * n), v(rows * n);
    T* const states[] = {m.data(), v.data()};
    std::copy(x.begin(), x.end(), p);
    rule_step(kernels, "adam", p, dy.data(), states, rows * n, {0.01, 0.9, 0.999, 1e-8, 0.1, 0}, 1);
  });
}

TEST_CASE("names that do not exist are refused") {
  const Kernels<float>& kernels = active_kernels().f32;
  float x = 0;
  CHECK_THROWS_AS(find_activation(kernels, "nonsense"), std::invalid_argument);
  CHECK_THROWS_AS(rows_forward(kernels, "relu", &x, &x, 1, 1), std::invalid_argument);
  CHECK_THROWS_AS(loss(kernels, "nonsense", LossArgs<float>{}), std::invalid_argument);
}

}  // namespace
}  // namespace nncore
