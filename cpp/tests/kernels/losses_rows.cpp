// Losses of whole rows beside cross-entropy against their definitions: nll, multi_margin, cosine, gaussian_nll.
#include <algorithm>

#include "losses.hpp"

TEST_SUITE_BEGIN("kernels/losses_rows");

namespace nncore {
namespace {

constexpr double kScale = 0.75;

TEST_CASE_TEMPLATE("nll", T, float, double) {
  const std::vector<double> attrs = {0, -100};
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const bool weighted : {false, true})
      for (size_t n = 1; n <= kMostTail; ++n) {
        CAPTURE(n);
        Samples<T> rows(n, 3);
        rows.index[1] = -1;  // ignored
        const std::vector<T> weights = random_values<T>(n, 5, 0.25, 0.75);
        Results<T> results(n);
        LossArgs<T> args = arguments(rows, results, true, false, true, static_cast<T>(kScale));
        args.attrs = attrs.data();
        args.arrays[0] = weighted ? weights.data() : nullptr;
        loss(kernels, "nll").run(args);
        results.check_guards();
        for (size_t r = 0; r < kRows; ++r)
          for (size_t j = 0; j < n; ++j) {
            const bool own = r != 1 && static_cast<size_t>(rows.index[r]) == j;
            const Real weight = own ? (weighted ? static_cast<Real>(weights[j]) : 1) : 0;
            if (own) check_close(results.row_loss[r], -weight * rows.p(r, j), 4 * kEpsilon<T> * 3);
            check_close(results.d(r, j), -weight * kScale, 2 * kEpsilon<T>);
          }
        CHECK(results.row_loss[1] == 0);
      }
  });
}

TEST_CASE_TEMPLATE("multi_margin", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const double power : {1.0, 2.0})
      for (const double margin : {1.0, -0.5})
        for (size_t n = 1; n <= kMostTail; ++n) {
          CAPTURE(power);
          CAPTURE(n);
          const std::vector<double> attrs = {0, power, margin};
          const Samples<T> rows(n, 3);
          const std::vector<T> weights = random_values<T>(n, 5, 0.25, 0.75);
          Results<T> results(n);
          LossArgs<T> args = arguments(rows, results, true, false, true, static_cast<T>(kScale));
          args.attrs = attrs.data();
          args.arrays[0] = weights.data();
          loss(kernels, "multi_margin").run(args);
          results.check_guards();
          for (size_t r = 0; r < kRows; ++r) {
            const auto at = static_cast<size_t>(rows.index[r]);
            const Real weight = static_cast<Real>(weights[at]) / static_cast<Real>(n);
            Real sum = 0, own_slope = 0;
            for (size_t j = 0; j < n; ++j) {
              const Real gap = std::fmax(Real(0), static_cast<Real>(margin) - rows.p(r, at) + rows.p(r, j));
              if (j == at) continue;
              const Real slope = power == 2 ? 2 * gap : Real(gap > 0);
              sum += power == 2 ? gap * gap : gap;
              own_slope += slope;
              check_close(results.d(r, j), weight * slope * kScale, 64 * kEpsilon<T>);
            }
            const Real slack = 16 * kEpsilon<T> * static_cast<Real>(n);
            check_close(results.row_loss[r], weight * sum, slack * 50);
            check_close(results.d(r, at), -weight * own_slope * kScale, slack * 14);
          }
        }
  });
}

TEST_CASE_TEMPLATE("cosine", T, float, double) {
  const std::vector<double> attrs = {0, 1e-8};
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (size_t n = 1; n <= kMostTail; ++n) {
      CAPTURE(n);
      Samples<T> rows(n, 3);
      for (size_t j = 0; j < n; ++j) rows.pred[2 * (n + 3) + j] = 0;  // no direction
      Results<T> results(n);
      LossArgs<T> args = arguments(rows, results, false, false, true, static_cast<T>(kScale));
      args.attrs = attrs.data();
      loss(kernels, "cosine").run(args);
      results.check_guards();
      for (size_t r = 0; r < 2; ++r) {
        Real product = 0, p_square = 0, t_square = 0;
        for (size_t j = 0; j < n; ++j) {
          product += rows.p(r, j) * rows.t(r, j);
          p_square += rows.p(r, j) * rows.p(r, j);
          t_square += rows.t(r, j) * rows.t(r, j);
        }
        const Real size = std::sqrt(p_square) * std::sqrt(t_square);
        check_close(results.row_loss[r], 1 - product / size, 32 * kEpsilon<T>);
        for (size_t j = 0; j < n; ++j) {
          const Real slope = rows.t(r, j) / size - product / size * rows.p(r, j) / p_square;
          const Real terms = std::fabs(rows.t(r, j) / size) + std::fabs(product / size * rows.p(r, j) / p_square);
          check_close(results.d(r, j), -slope * kScale, 32 * kEpsilon<T> * (terms + kEpsilon<T>));
        }
      }
      CHECK(results.row_loss[2] == 1);
    }
  });
}

TEST_CASE_TEMPLATE("gaussian_nll", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const double full : {0.0, 1.0})
      for (size_t m = 1; m <= kMostTail; ++m) {
        CAPTURE(m);
        const size_t n = 2 * m;
        const std::vector<double> attrs = {0, full, 0.3};
        Samples<T> rows(n, 3);
        for (size_t r = 0; r < kRows; ++r)
          for (size_t j = m; j < n; ++j) {
            T& variance = rows.pred[r * (n + 3) + j];
            variance = static_cast<T>(std::fabs(variance));
          }
        Results<T> results(n);
        LossArgs<T> args = arguments(rows, results, false, true, true, static_cast<T>(kScale));
        args.attrs = attrs.data();
        loss(kernels, "gaussian_nll").run(args);
        results.check_guards();
        for (size_t r = 0; r < kRows; ++r) {
          Real sum = 0, magnitude = 1;
          for (size_t j = 0; j < m; ++j) {
            const Real d = rows.p(r, j) - rows.t(r, j), v = std::fmax(rows.p(r, m + j), static_cast<Real>(T(0.3)));
            const Real value = (std::log(v) + d * d / v) / 2 + (full != 0 ? 0.918938533204672741780L : 0);
            check_close(results.values[r * m + j], value, 16 * kEpsilon<T> * std::max(std::fabs(value), Real(4)));
            check_close(results.d(r, j), d / v * kScale, 16 * kEpsilon<T> * (1 + std::fabs(d / v)));
            const Real slope = (1 / v - d * d / v / v) / 2;
            check_close(results.d(r, m + j), slope * kScale, 16 * kEpsilon<T> * (1 / v + d * d / v / v));
            sum += results.values[r * m + j];
            magnitude += std::fabs(value);
          }
          check_close(results.row_loss[r], sum, static_cast<Real>(m) * kEpsilon<double> * magnitude);
        }
      }
  });
}

}  // namespace
}  // namespace nncore
