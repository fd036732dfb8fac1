// Normalisations of whole arrays: what the kernels give on one thread, to the bit, with any number of threads.
#include "core/norms.hpp"

#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("core/norms");

namespace nncore {
namespace {

template <class T>
struct Arrays {
  Arrays(size_t vectors, size_t channels)
      : count(vectors),
        n(channels),
        x(random_values<T>(count * n, 1, -3, 3)),
        dy(random_values<T>(count * n, 2)),
        gamma(random_values<T>(n, 3, 0.5, 1.5)),
        beta(random_values<T>(n, 4)),
        mean(random_values<T>(n, 5)),
        variance(random_values<T>(n, 6, 0.5, 1.5)) {}
  size_t count, n;
  std::vector<T> x, dy, gamma, beta, mean, variance;
};

// Results between guards: y, dx, dgamma, dbeta.
template <class T>
struct Results {
  explicit Results(const Arrays<T>& a) : y(a.x.size()), dx(a.x.size()), dgamma(a.n), dbeta(a.n) {}
  NormGradients<T> gradients() { return {dx.data(), dgamma.data(), dbeta.data()}; }
  void check_equal(Results& other) {
    for (auto [one, two] : {std::pair{&y, &other.y}, {&dx, &other.dx}, {&dgamma, &other.dgamma}, {&dbeta, &other.dbeta}}) {
      CHECK(one->intact());
      CHECK(same_bits(one->data(), two->data(), one->size()));
    }
  }
  Guarded<T> y, dx, dgamma, dbeta;
};

constexpr struct {
  size_t count, n;
} kSizes[] = {{1, 1}, {5, 3}, {7, 64}, {3000, 70}, {40, 3000}};

TEST_CASE_TEMPLATE("layer_norm and rms_norm", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (const auto& size : kSizes)
      for (const VectorNormKernels<T>* own : {&k.layer_norm, &k.rms_norm}) {
        const Arrays<T> a(size.count, size.n);
        CAPTURE(size.n);
        Results<T> want(a);
        const Channels c{a.count, a.n, 1, a.n, a.n};
        std::vector<T> statistics(2 * a.count);
        own->forward(want.y.data(), statistics.data(), 2, a.x.data(), T(0.25), a.gamma.data(), a.beta.data(), c);
        own->backward(want.dx.data(), statistics.data(), 2, a.x.data(), a.dy.data(), a.gamma.data(), c);
        std::fill_n(want.dgamma.data(), a.n, T(0));
        std::fill_n(want.dbeta.data(), a.n, T(0));
        std::vector<T> sums(a.n);
        for (size_t at = 0; at < a.count; at += 1024) {  // what is added up in one go, whatever the threads
          const size_t end = std::min(at + 1024, a.count);
          for (const bool of_gamma : {true, false}) {
            for (size_t v = at; v < end; v += 32) {
              const Channels few{std::min<size_t>(32, end - v), a.n, 1, a.n, a.n};
              k.vector_gradient(sums.data(), statistics.data() + 2 * v, 2, of_gamma ? a.x.data() + v * a.n : nullptr,
                                a.dy.data() + v * a.n, few, v > at);
            }
            for (size_t j = 0; j < a.n; ++j) (of_gamma ? want.dgamma : want.dbeta).data()[j] += sums[j];
          }
        }
        for (const int threads : {1, 2, 4}) {
          const ThreadLimit limit(threads);
          Results<T> got(a);
          vector_norm_forward(*own, got.y.data(), a.x.data(), a.count, a.n, T(0.25), {a.gamma.data(), a.beta.data()});
          vector_norm_backward(k, *own, got.gradients(), a.x.data(), a.dy.data(), a.count, a.n, T(0.25), a.gamma.data());
          got.check_equal(want);
        }
      }
  });
}

TEST_CASE_TEMPLATE("batch_norm, by moments of the batch and by others", T, float, double) {
  for_each_isa<T>([&](const Kernels<T>& k) {
    for (const auto& size : kSizes)
      for (const bool given : {false, true}) {
        const Arrays<T> a(size.count, size.n);
        CAPTURE(size.n);
        CAPTURE(given);
        Results<T> want(a);
        const Channels c{a.count, a.n, 1, a.n, a.n};
        std::vector<T> mean(a.mean), variance(a.variance);
        if (!given) k.channel_moments(mean.data(), variance.data(), a.x.data(), c);
        k.channel_normalize(want.y.data(), a.x.data(), mean.data(), variance.data(), T(0.25), a.gamma.data(), a.beta.data(),
                            c);
        k.channel_backward(given ? nullptr : want.dx.data(), want.dbeta.data(), want.dgamma.data(), a.x.data(), a.dy.data(),
                           mean.data(), variance.data(), T(0.25), a.gamma.data(), c);
        if (given)
          for (size_t i = 0; i < a.x.size(); ++i)  // the moments are constants then
            want.dx.data()[i] = a.dy[i] * a.gamma[i % a.n] / std::sqrt(a.variance[i % a.n] + T(0.25));
        const T *m = given ? a.mean.data() : nullptr, *v = given ? a.variance.data() : nullptr;
        for (const int threads : {1, 2, 4}) {
          const ThreadLimit limit(threads);
          Results<T> got(a);
          batch_norm_forward(k, got.y.data(), a.x.data(), a.count, a.n, m, v, T(0.25), {a.gamma.data(), a.beta.data()});
          batch_norm_backward(k, got.gradients(), a.x.data(), a.dy.data(), a.count, a.n, m, v, T(0.25), a.gamma.data());
          if (given)
            for (size_t i = 0; i < a.x.size(); ++i) {
              check_close(got.dx[i], want.dx[i], 8 * kEpsilon<T>);
              got.dx.data()[i] = want.dx[i];
            }
          got.check_equal(want);
        }
      }
  });
}

TEST_CASE_TEMPLATE("nothing to normalise", T, float, double) {
  const Kernels<T>& k = kernels_of<T>(active_kernels());
  const Arrays<T> a(0, 5);
  Results<T> got(a);
  vector_norm_backward(k, k.layer_norm, got.gradients(), a.x.data(), a.dy.data(), 0, a.n, T(1), a.gamma.data());
  for (size_t j = 0; j < a.n; ++j) CHECK((got.dgamma[j] == 0 && got.dbeta[j] == 0));
  Results<T> batch(a);
  batch_norm_forward(k, batch.y.data(), a.x.data(), 0, a.n, static_cast<const T*>(nullptr), static_cast<const T*>(nullptr),
                     T(1), {nullptr, nullptr});
  batch_norm_backward(k, batch.gradients(), a.x.data(), a.dy.data(), 0, a.n, static_cast<const T*>(nullptr),
                      static_cast<const T*>(nullptr), T(1), a.gamma.data());
  for (size_t j = 0; j < a.n; ++j) CHECK((batch.dgamma[j] == 0 && batch.dbeta[j] == 0));
}

}  // namespace
}  // namespace nncore
