// Philox 4x32-10 against published numbers, and the dropout masks drawn from it.
#include "support.hpp"

TEST_SUITE_BEGIN("kernels/random");

namespace nncore {
namespace {

TEST_CASE("philox: the known answers of Random123") {
  const uint32_t counters[] = {0,           0,           0,           0,           0xffffffffu, 0xffffffffu,
                               0xffffffffu, 0xffffffffu, 0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u};
  const uint32_t keys[] = {0, 0, 0xffffffffu, 0xffffffffu, 0xa4093822u, 0x299f31d0u};
  const uint32_t want[] = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u, 0x408f276du, 0x41c83b0eu,
                           0xa20bc7c6u, 0x6d5451fdu, 0xd16cfe09u, 0x94fdcceb,  0x5001e420u, 0x24126ea1u};
  for (const std::string& isa : supported_isas()) {
    CAPTURE(isa);
    select_isa(isa);
    for (const size_t n : {0, 1, 2, 3}) {
      std::vector<uint32_t> words(4 * n + 1, 7u);
      active_kernels().philox(words.data(), counters, keys, n);
      CHECK(same_bits(words.data(), want, 4 * n));
      CHECK(words.back() == 7u);
    }
  }
  select_isa(supported_isas().front());
}

TEST_CASE_TEMPLATE("dropout_mask: element j is word j % 4 of counter (j / 4, row, step, node)", T, float, double) {
  constexpr uint64_t seed = 0x0123456789abcdefu;
  constexpr uint32_t row = 5, step = 0xfffffff0u, node = 3, threshold = 0x60000000u;
  constexpr T scale = static_cast<T>(1.6);
  constexpr size_t kMost = 261;
  std::vector<T> want(kMost);
  for (size_t j = 0; j < kMost; ++j) {
    const uint32_t counter[] = {static_cast<uint32_t>(j / 4), row, step, node};
    const uint32_t key[] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    uint32_t words[4];
    active_kernels().philox(words, counter, key, 1);
    want[j] = words[j % 4] >= threshold ? scale : 0;
  }
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (size_t n = 0; n <= kMost; n += n < 70 ? 1 : 19) {
      CAPTURE(n);
      Guarded<T> mask(n);
      kernels.dropout_mask(mask.data(), n, seed, row, step, node, threshold, scale);
      CHECK(same_bits(mask.data(), want.data(), n));
      CHECK(mask.intact());
    }
    // The bounds of the rate: nothing is dropped below 0, and the threshold itself is kept.
    T mask[64];
    kernels.dropout_mask(mask, 64, seed, row, step, node, 0, 1);
    for (const T m : mask) CHECK(m == 1);
  });
}

TEST_CASE_TEMPLATE("apply_mask: what is dropped is zero, whatever it was", T, float, double) {
  constexpr T nan = std::numeric_limits<T>::quiet_NaN(), infinity = std::numeric_limits<T>::infinity();
  for_each_isa<T>([&](const Kernels<T>& kernels) {
    for (size_t n = 0; n <= kMostTail; ++n) {
      CAPTURE(n);
      std::vector<T> x = random_values<T>(n, n), mask(n), want(n);
      for (size_t j = 0; j < n; ++j) {
        mask[j] = (j * 7 + n) % 3 == 0 ? 0 : static_cast<T>(1.25);
        if (mask[j] == 0 && j % 2 == 0) x[j] = j % 4 == 0 ? nan : infinity;
        want[j] = mask[j] == 0 ? 0 : x[j] * mask[j];
      }
      Guarded<T> apart(n), in_place(x);
      kernels.apply_mask(apart.data(), x.data(), mask.data(), n);
      kernels.apply_mask(in_place.data(), in_place.data(), mask.data(), n);
      for (Guarded<T>* got : {&apart, &in_place}) {
        CHECK(same_bits(got->data(), want.data(), n));
        CHECK(got->intact());
      }
    }
  });
}

}  // namespace
}  // namespace nncore
