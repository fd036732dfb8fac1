// Buffers, leading dimensions and parameter layouts.
#include "core/memory.hpp"

#include <algorithm>

#include "support.hpp"

TEST_SUITE_BEGIN("core/memory");

namespace nncore {
namespace {

TEST_CASE_TEMPLATE("Buffer: zeroed, aligned, movable", T, float, double, int32_t) {
  for (const size_t size : {1, 15, 16, 17, 1000}) {
    CAPTURE(size);
    Buffer<T> buffer(size);
    CHECK(buffer.size() == size);
    CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % 64 == 0);
    CHECK(std::all_of(buffer.data(), buffer.data() + size, [](T x) { return x == 0; }));
    buffer.data()[size - 1] = 7;
    T* const data = buffer.data();

    Buffer<T> moved(std::move(buffer));
    CHECK(moved.data() == data);
    Buffer<T> assigned(3);
    assigned = std::move(moved);
    CHECK(assigned.data() == data);
    CHECK(assigned.size() == size);
    CHECK(assigned.data()[size - 1] == 7);
  }
  CHECK(Buffer<T>().data() == nullptr);
  CHECK(Buffer<T>(0).size() == 0);
}

TEST_CASE("Buffer: sizes beyond memory are refused, also where the number of bytes overflows") {
  CHECK_THROWS_AS(Buffer<double>{SIZE_MAX}, std::bad_alloc);
  CHECK_THROWS_AS(Buffer<double>{SIZE_MAX / 8}, std::bad_alloc);
  CHECK_THROWS_AS(Buffer<double>{SIZE_MAX / 8 + 2}, std::bad_alloc);
}

TEST_CASE_TEMPLATE("leading_dimension: whole panels, never a multiple of 1 KiB", T, float, double) {
  for (size_t width = 0; width <= 2100; ++width) {
    CAPTURE(width);
    const size_t ld = leading_dimension<T>(width);
    CHECK(ld >= width);
    CHECK(ld < width + 2 * kPanel<T> + 1);
    CHECK(ld % kPanel<T> == 0);
    CHECK(ld * sizeof(T) % 1024 != 0);
  }
}

TEST_CASE_TEMPLATE("layout_of: matrices by rows, any other shape as one row", T, float, double) {
  constexpr size_t w = kPanel<T>;
  const struct {
    std::vector<int64_t> shape;
    size_t rows, columns, size;
  } cases[] = {
      {{3, 2}, 3, 2, 3 * w},
      {{3, static_cast<int64_t>(w) + 1}, 3, w + 1, 6 * w},
      {{static_cast<int64_t>(w)}, 1, w, w},
      {{2, 3, 4}, 1, 24, (24 + w - 1) / w * w},
      {{}, 1, 1, w},
      {{0}, 1, 0, 0},
      {{0, 5}, 0, 5, 0},
  };
  for (const auto& c : cases) {
    const ParameterLayout layout = layout_of<T>(c.shape, true, 160);
    CHECK(layout.rows == c.rows);
    CHECK(layout.columns == c.columns);
    CHECK(layout.size == c.size);
    CHECK(layout.offset == 160);
    CHECK(layout.shape == c.shape);
  }
}

TEST_CASE_TEMPLATE("unpack(pack(x)) == x", T, float, double) {
  for_each_isa<T>([](const Kernels<T>& kernels) {
    for (const size_t rows : {1, 2, 17})
      for (size_t columns = 0; columns <= kMostTail; ++columns) {
        CAPTURE(rows);
        CAPTURE(columns);
        const std::vector<T> x = random_values<T>(rows * columns, columns);
        const ParameterLayout layout = layout_of<T>({static_cast<int64_t>(rows), static_cast<int64_t>(columns)}, true, 0);
        std::vector<T> panels(layout.size);
        kernels.pack(panels.data(), x.data(), rows, columns, static_cast<ptrdiff_t>(columns), 1);
        Guarded<T> back(x.size());
        unpack(back.data(), panels.data(), rows, columns);
        CHECK(same_bits(back.data(), x.data(), x.size()));
        CHECK(back.intact());
      }
  });
}

}  // namespace
}  // namespace nncore
