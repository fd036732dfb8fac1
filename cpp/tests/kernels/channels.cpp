// Batch normalisation's sums and maps over channels against their definitions, for every length of tail.
#include "support.hpp"

TEST_SUITE_BEGIN("kernels/channels");

namespace nncore {
namespace {

constexpr size_t kRows = 4, kPositions = 3;
constexpr double kEpsilonOf = 1e-3;

// Samples of kPositions vectors of n channels one behind the other, a gap after each sample.
struct Layout {
  explicit Layout(size_t n) : c{kRows, kPositions * n + 5, kPositions, n, n}, size(c.ld * (kRows - 1) + kPositions * n) {}
  template <class F>
  void each(const F& f) const {
    for (size_t r = 0; r < kRows; ++r)
      for (size_t p = 0; p < kPositions; ++p) f(r * c.ld + p * c.step);
  }
  Channels c;
  size_t size;
};

TEST_CASE_TEMPLATE("moments, normalisation and gradients", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (const bool affine : {false, true})
      for (size_t n = 1; n <= 5 * 16 + 1; ++n) {
        CAPTURE(n);
        const Layout layout(n);
        const auto x = random_values<T>(layout.size, n, -3, 3), dy = random_values<T>(layout.size, n + 1);
        const auto gamma = random_values<T>(n, 3, 0.5, 1.5), beta = random_values<T>(n, 4);
        const T *scale = affine ? gamma.data() : nullptr, *shift = affine ? beta.data() : nullptr;
        Guarded<T> mean(n), variance(n), y(layout.size), dx(layout.size), sums(n), dots(n);
        k.channel_moments(mean.data(), variance.data(), x.data(), layout.c);
        k.channel_normalize(y.data(), x.data(), mean.data(), variance.data(), static_cast<T>(kEpsilonOf), scale, shift,
                            layout.c);
        k.channel_backward(dx.data(), sums.data(), dots.data(), x.data(), dy.data(), mean.data(), variance.data(),
                           static_cast<T>(kEpsilonOf), scale, layout.c);
        CHECK(mean.intact());
        CHECK(variance.intact());
        CHECK(y.intact());
        CHECK(dx.intact());
        CHECK(sums.intact());
        CHECK(dots.intact());
        constexpr Real count = kRows * kPositions;
        constexpr Real slack = 64 * kEpsilon<T>;
        for (size_t j = 0; j < n; ++j) {
          Real m = 0, v = 0, sum = 0, dot = 0;
          layout.each([&](size_t at) { m += x[at + j] / count; });
          layout.each([&](size_t at) { v += (x[at + j] - m) * (x[at + j] - m) / count; });
          const Real inverse = 1 / std::sqrt(v + static_cast<Real>(T(kEpsilonOf)));
          layout.each([&](size_t at) {
            sum += dy[at + j];
            dot += dy[at + j] * (x[at + j] - m) * inverse;
          });
          const Real g = affine ? static_cast<Real>(gamma[j]) : 1, b = affine ? static_cast<Real>(beta[j]) : 0;
          check_close(mean[j], m, slack);
          check_close(variance[j], v, slack * 4);
          check_close(sums[j], sum, slack);
          check_close(dots[j], dot, slack * 4);
          layout.each([&](size_t at) {
            const Real xhat = (x[at + j] - m) * inverse;
            check_close(y[at + j], xhat * g + b, slack);
            check_close(dx[at + j], g * inverse * (dy[at + j] - sum / count - xhat * dot / count), slack);
          });
        }
        for (size_t r = 0; r + 1 < kRows; ++r)
          for (size_t j = kPositions * n; j < layout.c.ld; ++j) CHECK(y.untouched(r * layout.c.ld + j));
      }
  });
}

TEST_CASE_TEMPLATE("a channel's bits do not depend on the others in the call", T, float, double) {
  constexpr size_t n = 83;
  for_each_isa<T>([&](const Kernels<T>& k) {
    const Layout layout(n);
    const auto x = random_values<T>(layout.size, 1), dy = random_values<T>(layout.size, 2);
    std::vector<T> mean(n), variance(n), sums(n), dots(n), dx(layout.size);
    k.channel_moments(mean.data(), variance.data(), x.data(), layout.c);
    k.channel_backward(dx.data(), sums.data(), dots.data(), x.data(), dy.data(), mean.data(), variance.data(), T(0.1),
                       nullptr, layout.c);
    for (const size_t first : {size_t{0}, size_t{16}, size_t{64}}) {
      Channels part = layout.c;
      part.n = n - first < 32 ? n - first : 32;
      std::vector<T> own_mean(part.n), own_variance(part.n), own_sums(part.n), own_dots(part.n), own_dx(layout.size);
      k.channel_moments(own_mean.data(), own_variance.data(), x.data() + first, part);
      k.channel_backward(own_dx.data() + first, own_sums.data(), own_dots.data(), x.data() + first, dy.data() + first,
                         own_mean.data(), own_variance.data(), T(0.1), nullptr, part);
      CHECK(same_bits(own_mean.data(), mean.data() + first, part.n));
      CHECK(same_bits(own_variance.data(), variance.data() + first, part.n));
      CHECK(same_bits(own_sums.data(), sums.data() + first, part.n));
      CHECK(same_bits(own_dots.data(), dots.data() + first, part.n));
      layout.each([&](size_t at) { CHECK(same_bits(own_dx.data() + at + first, dx.data() + at + first, part.n)); });
    }
  });
}

}  // namespace
}  // namespace nncore
