// Products with sums so long that parts of them are added up in double precision.
#include "core/long_sums.hpp"

#include "support.hpp"

TEST_SUITE_BEGIN("core/long_sums");

namespace nncore {
namespace {

TEST_CASE_TEMPLATE("sums of any length keep their digits", T, float, double) {
  constexpr size_t w = kPanel<T>;
  for (const size_t k : {kLongSum, kLongSum + 1, 3 * kLongSum + 100})
    for (const bool accumulate : {false, true}) {
      CAPTURE(k);
      CAPTURE(accumulate);
      const size_t m = kLongRows + 6, panels = kLongPanels + 1;  // in both directions a block and some more
      const std::vector<T> a = random_values<T>(k * m, 1, 0, 1), b = random_values<T>(k * panels * w, 2, 0, 1);
      const std::vector<T> start = random_values<T>(m * panels * w, 3, 0, static_cast<double>(k));
      for_each_isa<T>([&](const Kernels<T>& kernels) {
        Guarded<T> c(start);
        Gemm<T> g{};
        g.m = m;
        g.panels = panels;
        g.k = k;
        g.a = a.data();
        g.a_row = 1;
        g.a_k = static_cast<ptrdiff_t>(m);
        g.b = b.data();
        g.b_k = static_cast<ptrdiff_t>(panels * w);
        g.b_panel = static_cast<ptrdiff_t>(w);
        g.c = c.data();
        g.c_row = static_cast<ptrdiff_t>(w);
        g.c_panel = static_cast<ptrdiff_t>(m * w);
        g.accumulate = accumulate;
        multiply_long(kernels, g);
        CHECK(c.intact());
        for (const size_t row : {size_t{0}, kLongRows, m - 1})
          for (const size_t column : {size_t{0}, w * kLongPanels, w * panels - 1}) {
            const size_t at = (column / w * m + row) * w + column % w;
            Real sum = accumulate ? start[at] : 0;
            for (size_t i = 0; i < k; ++i) sum += Real(a[i * m + row]) * Real(b[i * panels * w + column]);
            CHECK(std::abs(Real(c[at]) - sum) <= (k > kLongSum && sizeof(T) == 4 ? 8 : 100) * kEpsilon<T> * sum);
          }
      });
    }
}

}  // namespace
}  // namespace nncore

TEST_SUITE_END();
