// Normal numbers against the quantiles of their words, and the maps of noise and alpha dropout.
#include "support.hpp"

TEST_SUITE_BEGIN("kernels/noise");

namespace nncore {
namespace {

// The share of normal numbers below x.
Real distribution(Real x) { return std::erfc(-x * 0.707106781186547524400844L) / 2; }

TEST_CASE_TEMPLATE("normals: each is the quantile of the word that dropout draws there", T, float, double) {
  constexpr uint64_t kSeed = 0x123456789abcdef0u;
  constexpr uint32_t kRow = 5, kStep = 7, kNode = 11;
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (size_t n = 0; n <= 2 * kMostTail; ++n) {
      CAPTURE(n);
      Guarded<T> drawn(n);
      k.normals(drawn.data(), n, kSeed, kRow, kStep, kNode);
      CHECK(drawn.intact());
      for (size_t j = 0; j < n; ++j) {
        uint32_t words[4];
        const uint32_t counter[] = {static_cast<uint32_t>(j / 4), kRow, kStep, kNode};
        const uint32_t key[] = {static_cast<uint32_t>(kSeed), static_cast<uint32_t>(kSeed >> 32)};
        active_kernels().philox(words, counter, key, 1);
        const uint32_t word = words[j % 4];
        const Real rest = (static_cast<Real>(word & 0x7fffffffu) + Real(0.5)) / 4294967296.0L;  // of one half, beyond |x|
        CHECK((drawn[j] < 0) == (word >> 31 == 1));
        // In the tail beyond |x|; an error e of x changes it by the density times e.
        const Real x = std::fabs(static_cast<Real>(drawn[j])), density = std::exp(-x * x / 2) * 0.39894228040143267794L;
        check_close(distribution(-x), rest, 8 * kEpsilon<T> * (density * (1 + x) + rest));
      }
    }
  });
}

TEST_CASE_TEMPLATE("add_scaled and apply_alpha_mask, in place too", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (size_t n = 0; n <= kMostTail; ++n) {
      CAPTURE(n);
      const auto x = random_values<T>(n, n), noise = random_values<T>(n, n + 1);
      auto mask = random_values<T>(n, n + 2, 0.5, 1.5);
      for (size_t j = 0; j < n; j += 3) mask[j] = 0;
      Guarded<T> y(n), masked(n), in_place(x);
      k.add_scaled(y.data(), x.data(), noise.data(), T(0.3), n);
      k.apply_alpha_mask(masked.data(), x.data(), mask.data(), T(0.25), T(-1.5), n);
      k.apply_alpha_mask(in_place.data(), in_place.data(), mask.data(), T(0.25), T(-1.5), n);
      CHECK(y.intact());
      CHECK(masked.intact());
      CHECK(same_bits(in_place.data(), masked.data(), n));
      for (size_t j = 0; j < n; ++j) {
        check_close(y[j], x[j] + static_cast<Real>(T(0.3)) * noise[j], 2 * kEpsilon<T>);
        const Real kept = static_cast<Real>(x[j]) * mask[j] + Real(0.25);
        check_close(masked[j], mask[j] == 0 ? Real(-1.5) : kept, 4 * kEpsilon<T>);
      }
    }
  });
}

}  // namespace
}  // namespace nncore
