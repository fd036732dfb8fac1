// Softmax and log-softmax against their definitions.
#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("kernels/rows");

namespace nncore {
namespace {

constexpr size_t kRows = 3;

template <class T>
const RowOp<T>& row_op(const Kernels<T>& kernels, const std::string& name) {
  for (int i = 0; i < kernels.row_op_count; ++i)
    if (name == kernels.row_ops[i].name) return kernels.row_ops[i];
  FAIL("no row op ", name);
  return kernels.row_ops[0];
}

// log softmax of a row
template <class T>
std::vector<Real> log_softmax(const T* x, size_t n) {
  Real most = x[0], sum = 0;
  for (size_t j = 1; j < n; ++j) most = std::max(most, static_cast<Real>(x[j]));
  for (size_t j = 0; j < n; ++j) sum += std::exp(static_cast<Real>(x[j]) - most);
  std::vector<Real> y(n);
  for (size_t j = 0; j < n; ++j) y[j] = static_cast<Real>(x[j]) - most - std::log(sum);
  return y;
}

TEST_CASE_TEMPLATE("the table holds what is tested here", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) { CHECK(kernels.row_op_count == 2); });
}

TEST_CASE_TEMPLATE("forward and backward", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const bool logarithm : {false, true})
      for (size_t n = 1; n <= kMostTail; ++n)
        for (const double spread : {1.0, 80.0}) {
          CAPTURE(logarithm);
          CAPTURE(n);
          CAPTURE(spread);
          const RowOp<T>& f = row_op(kernels, logarithm ? "log_softmax" : "softmax");
          const size_t ld = n + 2, size = (kRows - 1) * ld + n;  // without the last row's gap: nobody may read it
          const std::vector<T> x = random_values<T>(size, n, -spread, spread), dy = random_values<T>(size, n + 1);
          std::vector<T> y(size);
          Guarded<T> got(size), gradient(size);
          f.forward(got.data(), x.data(), kRows, n, ld);
          for (size_t r = 0; r < kRows; ++r) {
            const std::vector<Real> want = log_softmax(x.data() + r * ld, n);
            Real dot = 0, sum = 0;
            for (size_t j = 0; j < n; ++j) {
              const Real softmax = std::exp(want[j]);
              check_close(got[r * ld + j], logarithm ? want[j] : softmax,
                          static_cast<Real>(8 + n + 4 * spread) * kEpsilon<T>);
              y[r * ld + j] = static_cast<T>(logarithm ? want[j] : softmax);
              dot += softmax * dy[r * ld + j];
              sum += dy[r * ld + j];
            }
            f.backward(gradient.data() + r * ld, y.data() + r * ld, dy.data() + r * ld, 1, n, ld);
            for (size_t j = 0; j < n; ++j) {
              const Real softmax = std::exp(want[j]), dyj = dy[r * ld + j];
              const Real slack = static_cast<Real>(8 + 4 * n + (logarithm ? 4 * spread * n : 0)) * kEpsilon<T>;
              check_close(gradient[r * ld + j], logarithm ? dyj - softmax * sum : softmax * (dyj - dot), slack);
            }
            for (size_t j = n; j < ld && r + 1 < kRows; ++j) {
              CHECK(got.untouched(r * ld + j));
              CHECK(gradient.untouched(r * ld + j));
            }
          }
          CHECK(got.intact());
          CHECK(gradient.intact());

          Guarded<T> in_place(x), gradient_in_place(dy);
          f.forward(in_place.data(), in_place.data(), kRows, n, ld);
          f.backward(gradient_in_place.data(), y.data(), gradient_in_place.data(), kRows, n, ld);
          for (size_t r = 0; r < kRows; ++r) {
            CHECK(same_bits(in_place.data() + r * ld, got.data() + r * ld, n));
            CHECK(same_bits(gradient_in_place.data() + r * ld, gradient.data() + r * ld, n));
          }
          CHECK(in_place.intact());
        }
  });
}

TEST_CASE_TEMPLATE("large, infinite and NaN inputs", T, float, double) {
  constexpr T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    const RowOp<T>&softmax = row_op(kernels, "softmax"), &logarithm = row_op(kernels, "log_softmax");
    const std::vector<T> large = {std::numeric_limits<T>::max() / 2, -std::numeric_limits<T>::max() / 2, -infinity};
    T y[3];
    softmax.forward(y, large.data(), 1, 3, 3);
    CHECK(y[0] == 1);
    CHECK(y[1] == 0);
    CHECK(y[2] == 0);
    logarithm.forward(y, large.data(), 1, 3, 3);
    CHECK(y[0] == 0);
    CHECK(y[2] == -infinity);
    for (size_t n = 1; n <= kMostTail; ++n)
      for (const size_t bad : {size_t{0}, n / 2, n - 1}) {
        CAPTURE(n);
        CAPTURE(bad);
        std::vector<T> x = random_values<T>(n, n), out(n);
        x[bad] = nan;
        for (const RowOp<T>* f : {&softmax, &logarithm}) {
          f->forward(out.data(), x.data(), 1, n, n);
          CHECK(std::all_of(out.begin(), out.end(), [](T v) { return std::isnan(v); }));
        }
      }
  });
}

}  // namespace
}  // namespace nncore
