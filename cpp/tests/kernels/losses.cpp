// Losses against their definitions: values, row sums and gradients, with targets of both kinds.
#include <algorithm>

#include "losses.hpp"

TEST_SUITE_BEGIN("kernels/losses");

namespace nncore {
namespace {

TEST_CASE_TEMPLATE("the table holds what is tested here", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    CHECK(kernels.loss_count == 18);
    CHECK(loss(kernels, "mse").parts == LossParts::kElements);
    CHECK(loss(kernels, "bce_with_logits").parts == LossParts::kElements);
    CHECK(loss(kernels, "cross_entropy").parts == LossParts::kRow);
  });
}

TEST_CASE_TEMPLATE("elementwise losses", T, float, double) {
  constexpr T scale = static_cast<T>(0.75);
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const bool logits : {false, true})
      for (size_t n = 1; n <= kMostTail; ++n)
        for (const double spread : {3.0, 200.0}) {
          CAPTURE(logits);
          CAPTURE(n);
          CAPTURE(spread);
          const Loss<T>& f = loss(kernels, logits ? "bce_with_logits" : "mse");
          const Samples<T> rows(n, spread);
          Results<T> all(n);
          f.run(arguments(rows, all, false, true, true, scale));
          all.check_guards();
          for (size_t r = 0; r < kRows; ++r) {
            Real sum = 0, magnitude = 0;
            for (size_t j = 0; j < n; ++j) {
              const Real p = rows.p(r, j), t = rows.t(r, j);
              const Real value =
                  logits ? std::max(p, Real(0)) - p * t + std::log1p(std::exp(-std::fabs(p))) : (p - t) * (p - t);
              const Real gradient = logits ? 1 / (1 + std::exp(-p)) - t : 2 * (p - t);
              const Real slack = 8 * kEpsilon<T> * std::max(logits ? std::fabs(p) : value, Real(1));
              check_close(all.values[r * n + j], value, slack);
              check_close(all.d(r, j), gradient * scale, 8 * kEpsilon<T> * std::max(std::fabs(gradient), Real(1)));
              sum += all.values[r * n + j];
              magnitude += std::fabs(static_cast<Real>(all.values[r * n + j]));
            }
            check_close(all.row_loss[r], sum, static_cast<Real>(n) * kEpsilon<double> * magnitude);  // summed in double
          }
          for (const bool with_values : {false, true}) {
            Results<T> some(n);
            f.run(arguments(rows, some, false, with_values, !with_values, scale));
            CHECK(same_bits(some.row_loss.data(), all.row_loss.data(), kRows));
            if (with_values) {
              CHECK(same_bits(some.values.data(), all.values.data(), kRows * n));
            } else {
              CHECK(same_bits(some.dpred.data(), all.dpred.data(), all.dpred.size()));
            }
            some.check_guards();
          }
        }
  });
}

TEST_CASE_TEMPLATE("a gradient asked for alone is the one that comes with the values", T, float, double) {
  constexpr double attrs[] = {0, 1, 0.5, 0.5};
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (int i = 0; i < kernels.loss_count; ++i)
      for (const size_t n : {size_t{2}, kMostTail}) {
        const Loss<T>& f = kernels.losses[i];
        CAPTURE(f.name);
        CAPTURE(n);
        const bool by_index = std::string(f.name) == "nll" || std::string(f.name) == "multi_margin";
        const Samples<T> rows(n, 0.5);
        Results<T> all(n), alone(n);
        LossArgs<T> args = arguments(rows, all, by_index, false, true, T(0.75));
        args.attrs = attrs;
        f.run(args);
        args.row_loss = nullptr;
        args.dpred = alone.dpred.data();
        f.run(args);
        for (size_t r = 0; r < kRows; ++r)
          CHECK(same_bits(alone.dpred.data() + r * (n + 2), all.dpred.data() + r * (n + 2), n));
        alone.check_guards();
      }
  });
}

TEST_CASE_TEMPLATE("cross entropy", T, float, double) {
  constexpr T scale = static_cast<T>(0.75);
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    const Loss<T>& f = loss(kernels, "cross_entropy");
    for (const bool by_index : {false, true})
      for (size_t n = 1; n <= kMostTail; ++n)
        for (const double spread : {3.0, 200.0}) {
          CAPTURE(by_index);
          CAPTURE(n);
          CAPTURE(spread);
          const Samples<T> rows(n, spread);
          Results<T> all(n);
          f.run(arguments(rows, all, by_index, false, true, scale));
          all.check_guards();
          for (size_t r = 0; r < kRows; ++r) {
            Real most = rows.p(r, 0), sum = 0, total = 0, want = 0, magnitude = 1;
            for (size_t j = 1; j < n; ++j) most = std::max(most, rows.p(r, j));
            for (size_t j = 0; j < n; ++j) sum += std::exp(rows.p(r, j) - most);
            const auto weight = [&](size_t j) {
              return by_index ? Real(static_cast<size_t>(rows.index[r]) == j) : rows.t(r, j);
            };
            for (size_t j = 0; j < n; ++j) {
              const Real term = weight(j) * (std::log(sum) - (rows.p(r, j) - most));
              total += weight(j);
              want += term;
              magnitude += std::fabs(term);
            }
            const Real slack = static_cast<Real>(8 + n) * kEpsilon<T>;
            check_close(all.row_loss[r], want, slack * (magnitude + (total + 1) * static_cast<Real>(spread)));
            for (size_t j = 0; j < n; ++j) {
              const Real softmax = std::exp(rows.p(r, j) - most) / sum;
              check_close(all.d(r, j), static_cast<Real>(scale) * (softmax * total - weight(j)),
                          (slack + 2 * static_cast<Real>(spread) * kEpsilon<T>)*(total + 1));
            }
          }
          Results<T> value_only(n);
          f.run(arguments(rows, value_only, by_index, false, false, scale));
          CHECK(same_bits(value_only.row_loss.data(), all.row_loss.data(), kRows));
          value_only.check_guards();
        }
  });
}

TEST_CASE_TEMPLATE("cross entropy: an impossible class of no weight costs nothing", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  const std::vector<T> pred = {0, -infinity, 0}, target = {static_cast<T>(0.5), 0, static_cast<T>(0.5)};
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    LossArgs<T> args{};
    args.rows = 1;
    args.n = args.ld_pred = args.ld_target = args.ld_dpred = 3;
    args.pred = pred.data();
    args.target = target.data();
    args.attrs = kEntropyAttrs;
    args.scale = 1;
    double row_loss = 0;
    T dpred[3];
    args.row_loss = &row_loss;
    args.dpred = dpred;
    loss(kernels, "cross_entropy").run(args);
    check_close(row_loss, std::log(Real(2)), 4 * kEpsilon<T>);
    for (const T d : dpred) CHECK(d == 0);

    const int32_t impossible = 1;
    args.target = nullptr;
    args.index = &impossible;
    loss(kernels, "cross_entropy").run(args);
    CHECK(row_loss == std::numeric_limits<double>::infinity());
  });
}

TEST_CASE_TEMPLATE("NaN in a prediction shows in its row's loss, and only there", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const char* name : {"mse", "bce_with_logits", "cross_entropy"})
      for (size_t n = 1; n <= kMostTail; ++n) {
        CAPTURE(name);
        CAPTURE(n);
        Samples<T> rows(n, 3);
        rows.pred[n + 3 + n - 1] = std::numeric_limits<T>::quiet_NaN();  // the last column of row 1
        Results<T> results(n);
        loss(kernels, name).run(arguments(rows, results, false, false, true, T(1)));
        CHECK(std::isfinite(results.row_loss[0]));
        CHECK(std::isnan(results.row_loss[1]));
        CHECK(std::isfinite(results.row_loss[2]));
      }
  });
}

}  // namespace
}  // namespace nncore
