// Layout changes, sums, padding and conversions.
#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("kernels/matrix");

namespace nncore {
namespace {

constexpr size_t kSizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 33};

template <class T>
size_t panels_for(size_t n) {
  return (n + kPanel<T> - 1) / kPanel<T>;
}

// What pack() makes of the row-major matrix b [k, n].
template <class T>
std::vector<T> packed(const std::vector<T>& b, size_t k, size_t n) {
  constexpr size_t w = kPanel<T>;
  std::vector<T> panels(panels_for<T>(n) * k * w);
  for (size_t i = 0; i < k; ++i)
    for (size_t j = 0; j < n; ++j) panels[(j / w * k + i) * w + j % w] = b[i * n + j];
  return panels;
}

TEST_CASE_TEMPLATE("pack: any strides", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const size_t k : kSizes)
      for (const size_t n : kSizes) {
        CAPTURE(k);
        CAPTURE(n);
        const std::vector<T> b = random_values<T>(k * n, k * 100 + n), want = packed(b, k, n);
        const auto rows = static_cast<ptrdiff_t>(k), columns = static_cast<ptrdiff_t>(n);
        struct {
          ptrdiff_t row, column, first;
          size_t size;
        } const layouts[] = {
            {columns, 1, 0, k * n},                            // row-major
            {1, rows, 0, k * n},                               // transposed
            {2 * columns + 1, 2, 0, (2 * n + 1) * k + 2 * n},  // with gaps
            {-columns, -1, rows * columns - 1, k * n},         // backwards
        };
        for (const auto& layout : layouts) {
          std::vector<T> source(layout.size);
          for (ptrdiff_t i = 0; i < rows; ++i)
            for (ptrdiff_t j = 0; j < columns; ++j)
              source[static_cast<size_t>(layout.first + i * layout.row + j * layout.column)] =
                  b[static_cast<size_t>(i * columns + j)];
          Guarded<T> got(want.size());
          kernels.pack(got.data(), source.data() + (source.empty() ? 0 : layout.first), k, n, layout.row, layout.column);
          CHECK(same_bits(got.data(), want.data(), want.size()));
          CHECK(got.intact());
        }
      }
  });
}

TEST_CASE_TEMPLATE("transpose: a part of the panels", T, float, double) {
  constexpr size_t w = kPanel<T>;
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const size_t k : {size_t{1}, w - 1, w, 2 * w + 3, 3 * w})
      for (const size_t n : {size_t{1}, w, 2 * w + 1}) {
        const std::vector<T> b = random_values<T>(k * n, k * 100 + n), panels = packed(b, k, n);
        const size_t count = panels_for<T>(n);
        for (size_t k0 = 0; k0 < k; k0 += w)
          for (const size_t k1 : {std::min(k0 + w, k), k})
            for (size_t p0 = 0; p0 < count; ++p0)
              for (size_t p1 = p0; p1 <= count; ++p1) {
                CAPTURE(k);
                CAPTURE(n);
                CAPTURE(k0);
                CAPTURE(k1);
                CAPTURE(p0);
                CAPTURE(p1);
                Guarded<T> got(panels_for<T>(k) * n * w);
                kernels.transpose(got.data(), panels.data(), k, n, k0, k1, p0, p1);
                CHECK(got.intact());
                size_t wrong = 0;
                for (size_t i = 0; i < panels_for<T>(k) * w; ++i)
                  for (size_t j = 0; j < n; ++j) {
                    const size_t at = (i / w * n + j) * w + i % w;
                    const bool inside = i >= k0 && i < k1 && j / w >= p0 && j / w < p1;
                    if (inside ? got[at] != b[i * n + j] : !got.untouched(at)) ++wrong;
                  }
                CHECK(wrong == 0);
              }
      }
  });
}

TEST_CASE_TEMPLATE("column_sums: ascending rows in blocks of 64, these in double, to the bit", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (const size_t rows : {0, 1, 5, 64, 150})
      for (size_t n = 0; n <= kMostTail; ++n)
        for (const bool accumulate : {false, true}) {
          CAPTURE(rows);
          CAPTURE(n);
          const size_t ld = n + 3;
          const std::vector<T> x = random_values<T>(rows * ld, n), start = random_values<T>(n, n + 1);
          std::vector<T> want(n);
          for (size_t j = 0; j < n; ++j) {
            double total = accumulate ? static_cast<double>(start[j]) : 0;
            for (size_t r = 0; r < rows;) {
              T part = 0;
              for (const size_t end = std::min(r + 64, rows); r < end; ++r) part += x[r * ld + j];
              total += static_cast<double>(part);
            }
            want[j] = static_cast<T>(total);
          }
          Guarded<T> got(start);
          kernels.column_sums(got.data(), x.data(), rows, n, ld, accumulate);
          CHECK(same_bits(got.data(), want.data(), n));
          CHECK(got.intact());
        }
  });
}

TEST_CASE_TEMPLATE("add: in place of either operand too", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (size_t n = 0; n <= kMostTail; ++n) {
      CAPTURE(n);
      const std::vector<T> a = random_values<T>(n, 1), b = random_values<T>(n, 2);
      std::vector<T> want(n);
      for (size_t j = 0; j < n; ++j) want[j] = a[j] + b[j];
      Guarded<T> apart(n), left(a), right(b);
      kernels.add(apart.data(), a.data(), b.data(), n);
      kernels.add(left.data(), left.data(), b.data(), n);
      kernels.add(right.data(), a.data(), right.data(), n);
      for (Guarded<T>* got : {&apart, &left, &right}) {
        CHECK(same_bits(got->data(), want.data(), n));
        CHECK(got->intact());
      }
    }
  });
}

TEST_CASE_TEMPLATE("product and sum_over: from left to right, in place of any operand too", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (size_t count = 2; count <= 4; ++count)
      for (size_t n = 0; n <= kMostTail; ++n) {
        CAPTURE(count);
        CAPTURE(n);
        std::vector<std::vector<T>> x;
        std::vector<const T*> from;
        for (size_t i = 0; i < count; ++i) x.push_back(random_values<T>(n, i + 1));
        for (const auto& values : x) from.push_back(values.data());
        std::vector<T> product(x[0]), mean(x[0]);
        for (size_t j = 0; j < n; ++j) {
          for (size_t i = 1; i < count; ++i) product[j] *= x[i][j], mean[j] += x[i][j];
          mean[j] /= static_cast<T>(count);
        }
        for (size_t target = 0; target <= count; ++target) {  // the last: none of the operands
          Guarded<T> one(target < count ? x[target] : x[0]), two(target < count ? x[target] : x[0]);
          std::vector<const T*> a(from), b(from);
          if (target < count) a[target] = one.data(), b[target] = two.data();
          kernels.product(one.data(), a.data(), count, n);
          kernels.sum_over(two.data(), b.data(), count, static_cast<T>(count), n);
          CHECK(same_bits(one.data(), product.data(), n));
          CHECK(same_bits(two.data(), mean.data(), n));
          CHECK(one.intact());
          CHECK(two.intact());
        }
      }
  });
}

TEST_CASE_TEMPLATE("zero_padding: up to the end of the last panel", T, float, double) {
  constexpr size_t w = kPanel<T>, rows = 3;
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (size_t n = 1; n <= 2 * w; ++n)
      for (const size_t ld : {n, (n + w - 1) / w * w, (n + w - 1) / w * w + w}) {
        CAPTURE(n);
        CAPTURE(ld);
        Guarded<T> x(rows * ld);
        kernels.zero_padding(x.data(), rows, n, ld);
        CHECK(x.intact());
        size_t wrong = 0;
        for (size_t i = 0; i < rows * ld; ++i) {
          const bool padding = i % ld >= n && i % ld < (n + w - 1) / w * w;
          if (padding ? x[i] != 0 : !x.untouched(i)) ++wrong;
        }
        CHECK(wrong == 0);
      }
  });
}

// The converter from S: extremes and small numbers in every position.
template <class T, class S>
void check_convert(const Kernels<T>& kernels, Source source) {
  CAPTURE(static_cast<int>(source));
  const S extremes[] = {0, 1, 100, std::numeric_limits<S>::max(), std::numeric_limits<S>::lowest(), static_cast<S>(77.5)};
  for (size_t n = 0; n <= kMostTail; ++n) {
    std::vector<S> x(n);
    std::vector<T> want(n);
    for (size_t j = 0; j < n; ++j) {
      x[j] = extremes[(j + n) % std::size(extremes)];
      // A double beyond the range of float is left to the next test.
      if (std::is_same_v<S, double> && std::is_same_v<T, float> && std::fabs(static_cast<double>(x[j])) > 1e30)
        x[j] = S(-3.25);
      want[j] = static_cast<T>(x[j]);
    }
    Guarded<T> got(n);
    kernels.convert[static_cast<size_t>(source)](got.data(), x.data(), n);
    CHECK(same_bits(got.data(), want.data(), n));
    CHECK(got.intact());
  }
}

TEST_CASE_TEMPLATE("convert: every source", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    check_convert<T, float>(kernels, Source::kF32);
    check_convert<T, double>(kernels, Source::kF64);
    check_convert<T, uint8_t>(kernels, Source::kU8);
    check_convert<T, int8_t>(kernels, Source::kI8);
    check_convert<T, uint16_t>(kernels, Source::kU16);
    check_convert<T, int16_t>(kernels, Source::kI16);
    check_convert<T, uint32_t>(kernels, Source::kU32);
    check_convert<T, int32_t>(kernels, Source::kI32);
    check_convert<T, uint64_t>(kernels, Source::kU64);
    check_convert<T, int64_t>(kernels, Source::kI64);
  });
}

TEST_CASE("convert: doubles too large for float become infinite") {
  for_each_isa<float>([&](const Kernels<float>& kernels) {
    const double x[] = {1e300, -1e300, std::numeric_limits<double>::quiet_NaN()};
    float y[3];
    kernels.convert[static_cast<size_t>(Source::kF64)](y, x, 3);
    CHECK(y[0] == std::numeric_limits<float>::infinity());
    CHECK(y[1] == -std::numeric_limits<float>::infinity());
    CHECK(std::isnan(y[2]));
  });
}

}  // namespace
}  // namespace nncore
