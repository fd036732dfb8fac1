// Layer and RMS normalisation, penalties and bounds on weights, against their definitions, for every length of tail.
#include "support.hpp"

TEST_SUITE_BEGIN("kernels/vectors");

namespace nncore {
namespace {

constexpr size_t kRows = 3, kPositions = 2, kStatistics = 2 * kPositions + 3;  // leading dimension of the statistics

TEST_CASE_TEMPLATE("normalisation forward and backward, and the gradients of its weights", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (const bool centred : {true, false})
      for (const bool affine : {true, false})
        for (size_t n = 1; n <= kMostTail; ++n) {
          CAPTURE(centred);
          CAPTURE(n);
          const VectorNormKernels<T>& own = centred ? k.layer_norm : k.rms_norm;
          const Channels c{kRows, kPositions * n + 4, kPositions, n, n};
          const size_t size = c.ld * (kRows - 1) + kPositions * n;
          const auto x = random_values<T>(size, n, -3, 3), dy = random_values<T>(size, n + 1);
          const auto gamma = random_values<T>(n, 3, 0.5, 1.5), beta = random_values<T>(n, 4);
          const T *scale = affine ? gamma.data() : nullptr, *shift = affine && centred ? beta.data() : nullptr;
          Guarded<T> y(size), dx(size), statistics(kStatistics * (kRows - 1) + 2 * kPositions), d_gamma(n), d_beta(n);
          own.forward(y.data(), statistics.data(), kStatistics, x.data(), T(0.25), scale, shift, c);
          own.backward(dx.data(), statistics.data(), kStatistics, x.data(), dy.data(), scale, c);
          k.vector_gradient(d_gamma.data(), statistics.data(), kStatistics, x.data(), dy.data(), c, false);
          k.vector_gradient(d_beta.data(), statistics.data(), kStatistics, nullptr, dy.data(), c, false);
          k.vector_gradient(d_beta.data(), statistics.data(), kStatistics, nullptr, dy.data(), c, true);  // again, on top
          CHECK(y.intact());
          CHECK(dx.intact());
          CHECK(statistics.intact());
          CHECK(d_gamma.intact());
          CHECK(d_beta.intact());
          constexpr Real slack = 128 * kEpsilon<T>;
          std::vector<Real> want_gamma(n), want_beta(n);
          for (size_t r = 0; r < kRows; ++r)
            for (size_t p = 0; p < kPositions; ++p) {
              const size_t at = r * c.ld + p * n;
              const auto count = static_cast<Real>(n);
              Real m = 0, v = 0, sum = 0, dot = 0;
              for (size_t j = 0; centred && j < n; ++j) m += x[at + j] / count;
              for (size_t j = 0; j < n; ++j) v += (x[at + j] - m) * (x[at + j] - m) / count;
              const Real inverse = 1 / std::sqrt(v + Real(0.25));
              const auto g = [&](size_t j) { return affine ? static_cast<Real>(gamma[j]) : 1; };
              for (size_t j = 0; j < n; ++j) {
                sum += centred ? dy[at + j] * g(j) / count : 0;
                dot += dy[at + j] * g(j) * (x[at + j] - m) * inverse / count;
              }
              for (size_t j = 0; j < n; ++j) {
                const Real xhat = (x[at + j] - m) * inverse;
                check_close(y[at + j], xhat * g(j) + (shift ? static_cast<Real>(beta[j]) : 0), slack);
                check_close(dx[at + j], inverse * (dy[at + j] * g(j) - sum - xhat * dot), slack);
                want_gamma[j] += dy[at + j] * xhat;
                want_beta[j] += 2 * dy[at + j];
              }
            }
          for (size_t j = 0; j < n; ++j) {
            check_close(d_gamma[j], want_gamma[j], slack);
            check_close(d_beta[j], want_beta[j], slack);
          }
        }
  });
}

TEST_CASE_TEMPLATE("penalties: their sum, and their gradient on top of what is there", T, float, double) {
  constexpr double kL1 = 0.25, kL2 = 0.5;
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (size_t n = 0; n <= kMostTail; ++n) {
      CAPTURE(n);
      auto p = random_values<T>(n, n);
      if (n > 1) p[1] = 0;  // has no slope
      const auto before = random_values<T>(n, n + 1);
      Guarded<T> g(before);
      Real want = 0;
      for (const T v : p) want += kL1 * std::fabs(static_cast<Real>(v)) + kL2 * static_cast<Real>(v) * v;
      const Real slack = static_cast<Real>(n + 1) * 4 * kEpsilon<T>;
      check_close(k.penalize(nullptr, p.data(), n, kL1, kL2), want, slack);
      check_close(k.penalize(g.data(), p.data(), n, kL1, kL2), want, slack);
      CHECK(g.intact());
      for (size_t j = 0; j < n; ++j) {
        const Real side = Real(p[j] > 0) - Real(p[j] < 0);
        check_close(g[j], before[j] + kL1 * side + 2 * kL2 * static_cast<Real>(p[j]), 4 * kEpsilon<T>);
      }
    }
  });
}

TEST_CASE_TEMPLATE("columns above a limit are scaled down to it, others stay", T, float, double) {
  constexpr size_t w = kPanel<T>, kHeight = 5, kPanels = 3;
  constexpr T limit = 1;
  for_each_isa<T>([&](const Kernels<T>& k) {
    auto before = random_values<T>(kHeight * kPanels * w, 8);
    for (size_t i = 0; i < kHeight; ++i) before[i * w] = 0;            // a column of norm 0
    for (size_t i = 0; i < kHeight; ++i) before[i * w + 1] *= T(0.1);  // one below the limit
    Guarded<T> after(before);
    k.limit_columns(after.data(), kHeight, kPanels, limit);
    CHECK(after.intact());
    for (size_t p = 0; p < kPanels; ++p)
      for (size_t j = 0; j < w; ++j) {
        Real squares = 0;
        const size_t column = p * kHeight * w + j;
        for (size_t i = 0; i < kHeight; ++i) squares += static_cast<Real>(before[column + i * w]) * before[column + i * w];
        const Real norm = std::sqrt(squares), scale = norm > limit ? limit / norm : 1;
        for (size_t i = 0; i < kHeight; ++i)
          check_close(after[column + i * w], before[column + i * w] * scale, norm > limit ? 8 * kEpsilon<T> : 0);
      }
  });
}

}  // namespace
}  // namespace nncore
