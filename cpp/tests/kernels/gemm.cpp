// The matrix product against a scalar one, and its promise that bits do not depend on how the work is cut.
#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("kernels/gemm");

namespace nncore {
namespace {

constexpr size_t kRows = 30, kPanels = 9;
constexpr size_t kDepths[] = {0, 1, 2, 7, 130, 600};  // the last ones go beyond one and several blocks of depth

// A [kRows, k] times B [k, kPanels] in one of the two layouts that the ops use: rows of A apart and B in panels (forward
// and data gradient), or rows of A adjacent, B row-major and C in panels (weight gradient). All strides have gaps.
template <class T>
class Product {
 public:
  static constexpr size_t w = kPanel<T>, kColumns = kPanels * w;

  Product(size_t k, bool unit_rows) : k_(k), unit_rows_(unit_rows) {
    const std::vector<T> a = random_values<T>(kRows * k, 1), b = random_values<T>(k * kColumns, 2);
    a_row_ = unit_rows ? 1 : k + 3;
    a_k_ = unit_rows ? kRows + 5 : 1;
    b_k_ = unit_rows ? kColumns + 7 : w;
    b_panel_ = unit_rows ? w : k * w + 2;
    c_row_ = unit_rows ? w : kColumns + 11;
    c_panel_ = unit_rows ? kRows * w + 3 : w;
    if (k > 0) {
      a_.resize((kRows - 1) * a_row_ + (k - 1) * a_k_ + 1);
      b_.resize((kPanels - 1) * b_panel_ + (k - 1) * b_k_ + w);
    }
    sums_.resize(kRows * kColumns);
    magnitudes_.resize(kRows * kColumns);
    for (size_t q = 0; q < k; ++q) {
      for (size_t i = 0; i < kRows; ++i) a_[i * a_row_ + q * a_k_] = a[i * k + q];
      for (size_t j = 0; j < kColumns; ++j) b_[j / w * b_panel_ + q * b_k_ + j % w] = b[q * kColumns + j];
      for (size_t i = 0; i < kRows; ++i)
        for (size_t j = 0; j < kColumns; ++j) {
          const Real term = static_cast<Real>(a[i * k + q]) * static_cast<Real>(b[q * kColumns + j]);
          sums_[i * kColumns + j] += term;
          magnitudes_[i * kColumns + j] += std::fabs(term);
        }
    }
    bias_ = random_values<T>(kColumns, 3);
    before_ = random_values<T>((kRows - 1) * c_row_ + (kPanels - 1) * c_panel_ + w, 4);
  }

  // What C is before any product, gaps and all.
  const std::vector<T>& before() const { return before_; }
  size_t at(size_t row, size_t column) const { return row * c_row_ + column / w * c_panel_ + column % w; }

  // The product's rows [i, i + m) and panels [p, p + panels), of the depths [q, q + k).
  Gemm<T> block(size_t i, size_t m, size_t p, size_t panels, std::vector<T>& c, bool bias, bool accumulate, size_t q,
                size_t k) const {
    Gemm<T> g{};
    g.m = m;
    g.panels = panels;
    g.k = k;
    g.a = a_.data() + (k > 0 ? i * a_row_ + q * a_k_ : 0);
    g.a_row = static_cast<ptrdiff_t>(a_row_);
    g.a_k = static_cast<ptrdiff_t>(a_k_);
    g.b = b_.data() + (k > 0 ? p * b_panel_ + q * b_k_ : 0);
    g.b_k = static_cast<ptrdiff_t>(b_k_);
    g.b_panel = static_cast<ptrdiff_t>(b_panel_);
    g.c = c.data() + at(i, p * w);
    g.c_row = static_cast<ptrdiff_t>(c_row_);
    g.c_panel = static_cast<ptrdiff_t>(c_panel_);
    g.bias = bias ? bias_.data() + p * w : nullptr;
    g.accumulate = accumulate;
    return g;
  }
  Gemm<T> block(size_t i, size_t m, size_t p, size_t panels, std::vector<T>& c, bool bias, bool accumulate) const {
    return block(i, m, p, panels, c, bias, accumulate, 0, k_);
  }

  // Copies rows and panels from one C to another.
  void copy(size_t i, size_t m, size_t p, size_t panels, const std::vector<T>& from, std::vector<T>& to) const {
    for (size_t r = i; r < i + m; ++r)
      for (size_t column = p * w; column < (p + panels) * w; column += w)
        std::memcpy(to.data() + at(r, column), from.data() + at(r, column), w * sizeof(T));
  }

  void check_values(const std::vector<T>& c, bool bias, bool accumulate) const {
    for (size_t i = 0; i < kRows; ++i)
      for (size_t j = 0; j < kColumns; ++j) {
        const Real start = accumulate ? static_cast<Real>(before_[at(i, j)]) : 0;
        const Real shift = bias ? static_cast<Real>(bias_[j]) : 0;
        const Real size = magnitudes_[i * kColumns + j] + std::fabs(start) + std::fabs(shift);
        check_close(c[at(i, j)], start + sums_[i * kColumns + j] + shift, static_cast<Real>(k_ + 2) * kEpsilon<T> * size);
      }
  }

 private:
  size_t k_;
  bool unit_rows_;
  size_t a_row_, a_k_, b_k_, b_panel_, c_row_, c_panel_;
  std::vector<T> a_, b_, bias_, before_;
  std::vector<Real> sums_, magnitudes_;
};

TEST_CASE_TEMPLATE("gemm: values, and bits of every block", T, float, double) {
  for (const size_t k : kDepths)
    for (const bool unit_rows : {false, true}) {
      CAPTURE(k);
      CAPTURE(unit_rows);
      const Product<T> product(k, unit_rows);
      for_each_isa<T>([&](const Kernels<T>& kernels) {
        std::vector<T> whole[4];  // by (bias, accumulate)
        for (size_t kind = 0; kind < 4; ++kind) {
          const bool bias = kind & 1, accumulate = kind & 2;
          CAPTURE(bias);
          CAPTURE(accumulate);
          whole[kind] = product.before();
          kernels.gemm(product.block(0, kRows, 0, kPanels, whole[kind], bias, accumulate));
          product.check_values(whole[kind], bias, accumulate);
          std::vector<T> gaps = whole[kind];
          product.copy(0, kRows, 0, kPanels, product.before(), gaps);
          CHECK_MESSAGE(same_bits(gaps, product.before()), "written outside C");

          // In two pieces of depth: the chain goes on where it was.
          for (const size_t first : {size_t{1}, k / 2}) {
            if (first >= k) continue;
            std::vector<T> pieces = product.before();
            kernels.gemm(product.block(0, kRows, 0, kPanels, pieces, false, accumulate, 0, first));
            kernels.gemm(product.block(0, kRows, 0, kPanels, pieces, bias, true, first, k - first));
            CHECK(same_bits(pieces, whole[kind]));
          }
        }
        // Every size of block, from the first rows and panels or from the last, has the bits of the whole.
        std::vector<T> got, want;
        for (size_t m = 1; m <= kRows; ++m)
          for (size_t panels = 1; panels <= kPanels; ++panels) {
            const size_t kind = (m + panels + k / 2) % 4;
            const bool last = (m ^ panels) & 1;
            const size_t i = last ? kRows - m : 0, p = last ? kPanels - panels : 0;
            got = want = product.before();
            kernels.gemm(product.block(i, m, p, panels, got, kind & 1, kind & 2));
            product.copy(i, m, p, panels, whole[kind], want);
            if (same_bits(got, want)) continue;
            FAIL_CHECK("rows ", i, " + ", m, ", panels ", p, " + ", panels, ", bias ", kind & 1, ", accumulate ", kind & 2);
          }
      });
    }
}

TEST_CASE_TEMPLATE("gemm: more rows than a cache block", T, float, double) {
  constexpr size_t kMany = 353, k = 40, w = kPanel<T>, panels = 3;
  const std::vector<T> a = random_values<T>(kMany * k, 5), b = random_values<T>(k * panels * w, 6);
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    std::vector<T> whole(kMany * panels * w), pieces(whole.size());
    Gemm<T> g{};
    g.m = kMany;
    g.panels = panels;
    g.k = k;
    g.a = a.data();
    g.a_row = k;
    g.a_k = 1;
    g.b = b.data();
    g.b_k = w;
    g.b_panel = k * w;
    g.c = whole.data();
    g.c_row = panels * w;
    g.c_panel = w;
    kernels.gemm(g);
    for (size_t i = 0; i < kMany; i += 50) {
      g.m = std::min<size_t>(50, kMany - i);
      g.a = a.data() + i * k;
      g.c = pieces.data() + i * panels * w;
      kernels.gemm(g);
    }
    CHECK(same_bits(whole, pieces));
  });
}

TEST_CASE_TEMPLATE("gemm: nothing to do", T, float, double) {
  const Product<T> product(7, false);
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    std::vector<T> c = product.before();
    kernels.gemm(product.block(0, 0, 0, kPanels, c, true, false));
    kernels.gemm(product.block(0, kRows, 0, 0, c, true, false));
    CHECK(same_bits(c, product.before()));
  });
}

}  // namespace
}  // namespace nncore
