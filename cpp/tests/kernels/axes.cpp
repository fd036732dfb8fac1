// Functions down columns, functions of parts of an array, and slopes below zero, against their definitions.
#include "support.hpp"

TEST_SUITE_BEGIN("kernels/axes");

namespace nncore {
namespace {

template <class T>
T logistic(T x) {
  return static_cast<T>(1 / (1 + std::exp(-static_cast<Real>(x))));
}

TEST_CASE_TEMPLATE("a column gives what its row would give", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (int f = 0; f < kernels.row_op_count; ++f)
      for (const size_t n : {size_t{1}, size_t{3}, size_t{11}})
        for (size_t columns = 0; columns <= kMostTail; ++columns) {
          const RowOp<T>& op = kernels.row_ops[f];
          INFO(op.name);
          CAPTURE(n);
          CAPTURE(columns);
          const size_t ld = columns + 2, size = (n - 1) * ld + columns;  // without the last row's gap
          const std::vector<T> x = random_values<T>(size, n, -9, 9), dy = random_values<T>(size, n + 1);
          Guarded<T> y(size), dx(size), in_place(x), gradient_in_place(dy);
          op.forward_columns(y.data(), x.data(), n, columns, ld);
          op.forward_columns(in_place.data(), in_place.data(), n, columns, ld);
          op.backward_columns(dx.data(), y.data(), dy.data(), n, columns, ld);
          op.backward_columns(gradient_in_place.data(), y.data(), gradient_in_place.data(), n, columns, ld);
          for (size_t j = 0; j < columns; ++j) {
            std::vector<T> row(n), row_dy(n), want(n), want_dx(n);
            for (size_t i = 0; i < n; ++i) row[i] = x[i * ld + j], row_dy[i] = dy[i * ld + j];
            op.forward(want.data(), row.data(), 1, n, n);
            op.backward(want_dx.data(), want.data(), row_dy.data(), 1, n, n);
            for (size_t i = 0; i < n; ++i) {
              const Real size_of = std::max(Real(1), std::fabs(static_cast<Real>(want[i])));
              check_close(y[i * ld + j], static_cast<Real>(want[i]), 16 * kEpsilon<T> * size_of);
              check_close(dx[i * ld + j], static_cast<Real>(want_dx[i]), 64 * kEpsilon<T> * size_of);
              CHECK(in_place[i * ld + j] == y[i * ld + j]);
              CHECK(gradient_in_place[i * ld + j] == dx[i * ld + j]);
            }
          }
          for (size_t i = 0; i + 1 < n; ++i)
            for (size_t j = columns; j < ld; ++j) CHECK((y.untouched(i * ld + j) && dx.untouched(i * ld + j)));
          for (Guarded<T>* got : {&y, &dx, &in_place}) CHECK(got->intact());
        }
  });
}

TEST_CASE_TEMPLATE("glu and maxout", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    CHECK(kernels.part_op_count == 2);
    for (int f = 0; f < kernels.part_op_count; ++f)
      for (size_t n = 0; n <= kMostTail; ++n) {
        const PartOp<T>& op = kernels.part_ops[f];
        const bool glu = std::strcmp(op.name, "glu") == 0;
        INFO(op.name);
        CAPTURE(n);
        const size_t parts = glu ? 2 : 3, stride = n + 3, size = (parts - 1) * stride + n;
        const std::vector<T> x = random_values<T>(size, n, -4, 4), dy = random_values<T>(n, n + 1);
        Guarded<T> y(n), dx(size);
        op.forward(y.data(), x.data(), parts, n, stride);
        const std::vector<T> output(y.data(), y.data() + n);
        op.backward(dx.data(), x.data(), op.backward_reads_y ? output.data() : nullptr, dy.data(), parts, n, stride);
        for (size_t j = 0; j < n; ++j) {
          if (glu) {
            const Real a = x[j], s = logistic(x[stride + j]), d = dy[j];
            check_close(y[j], a * s, 16 * kEpsilon<T>);
            check_close(dx[j], d * s, 16 * kEpsilon<T>);
            check_close(dx[stride + j], d * a * s * (1 - s), 16 * kEpsilon<T>);
          } else {
            const T want = std::max(x[j], std::max(x[stride + j], x[2 * stride + j]));
            CHECK(y[j] == want);
            for (size_t p = 0; p < parts; ++p) CHECK(dx[p * stride + j] == (x[p * stride + j] == want ? dy[j] : 0));
          }
        }
        CHECK(y.intact());
        CHECK(dx.intact());
      }
  });
}

TEST_CASE_TEMPLATE("prelu and its slopes", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const bool shared : {false, true})
      for (size_t n = 1; n <= kMostTail; ++n) {
        CAPTURE(shared);
        CAPTURE(n);
        constexpr size_t kRows = 3;
        const size_t ld = n + 2, size = (kRows - 1) * ld + n;
        std::vector<T> x = random_values<T>(size, n);
        x[0] = 0;
        const std::vector<T> dy = random_values<T>(size, n + 1), alpha = random_values<T>(shared ? 1 : n, 5);
        Guarded<T> y(n), dx(n), sums(n), more(n);
        kernels.prelu(y.data(), x.data(), alpha.data(), shared, n);
        kernels.prelu_backward(dx.data(), x.data(), dy.data(), alpha.data(), shared, n);
        kernels.prelu_slopes(sums.data(), x.data(), dy.data(), kRows, n, ld, false);
        std::copy(sums.data(), sums.data() + n, more.data());
        kernels.prelu_slopes(more.data(), x.data(), dy.data(), kRows, n, ld, true);
        Real all = 0;
        for (size_t j = 0; j < n; ++j) {
          const T slope = x[j] <= 0 ? alpha[shared ? 0 : j] : 1;
          CHECK(y[j] == slope * x[j]);
          CHECK(dx[j] == slope * dy[j]);
          Real sum = 0;
          for (size_t r = 0; r < kRows; ++r)
            if (x[r * ld + j] <= 0) sum += static_cast<Real>(x[r * ld + j]) * dy[r * ld + j];
          check_close(sums[j], sum, 8 * kEpsilon<T>);
          check_close(more[j], 2 * sum, 16 * kEpsilon<T>);
          if (x[j] <= 0) all += static_cast<Real>(x[j]) * dy[j];
        }
        CHECK(std::fabs(static_cast<Real>(kernels.prelu_slope(x.data(), dy.data(), n)) - all) <=
              static_cast<Real>(n) * kEpsilon<T>);
        for (Guarded<T>* got : {&y, &dx, &sums}) CHECK(got->intact());
      }
  });
}

TEST_CASE_TEMPLATE("slopes of rrelu come from the words that dropout draws", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    const std::vector<T> x = random_values<T>(200, 3);
    Guarded<T> slopes(200);
    kernels.rrelu_slopes(slopes.data(), x.data(), 200, 1, 2, 3, 4, 0, 1);
    for (size_t j = 0; j < 200; ++j) {
      if (x[j] > 0) {
        CHECK(slopes[j] == 1);
        continue;
      }
      // The slope is the word's high 24 bits over 2^24: a mask whose threshold is those bits keeps the word.
      const auto threshold = static_cast<uint32_t>(static_cast<double>(slopes[j]) * 0x1p32);
      T kept[200], dropped[200];
      kernels.dropout_mask(kept, 200, 1, 2, 3, 4, threshold, 1);
      kernels.dropout_mask(dropped, 200, 1, 2, 3, 4, threshold + 256, 1);
      CHECK(kept[j] == 1);
      CHECK(dropped[j] == 0);
    }
    CHECK(slopes.intact());
    kernels.rrelu_slopes(slopes.data(), x.data(), 200, 1, 2, 3, 4, 0.25, 0.25);
    for (size_t j = 0; j < 200; ++j) CHECK(slopes[j] == (x[j] > 0 ? 1 : static_cast<T>(0.25)));
  });
}

}  // namespace
}  // namespace nncore
