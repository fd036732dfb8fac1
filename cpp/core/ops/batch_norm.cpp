// batch_norm: y = (x - mean) / sqrt(variance + epsilon) gamma + beta for each channel, the last axis of a sample.
//
// In training mean and variance are those of the batch, over all its rows and positions, and running averages of them are
// kept as parameters; otherwise, or if frozen, y is taken with those averages, and rows do not mix.
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
class BatchNorm final : public Op<T> {
 public:
  BatchNorm(const Kernels<T>& kernels, const NodeInfo& node)
      : kernels_(kernels),
        momentum_(static_cast<T>(node.attrs[0])),
        rest_(static_cast<T>(1 - node.attrs[0])),
        epsilon_(static_cast<T>(node.attrs[1])),
        frozen_(node.attrs[4] != 0),
        channels_(node.last_axis),
        positions_(node.widths[0] / node.last_axis) {
    int slot = 0;
    gamma_ = node.attrs[3] != 0 ? slot++ : kNone;
    beta_ = node.attrs[2] != 0 ? slot++ : kNone;
    mean_ = slot++;
    variance_ = slot;
  }

  bool backward_reads_x() const override { return true; }
  // Frozen, the gradient of gamma is taken from dy when dx is there already.
  bool in_place() const override { return !frozen_; }
  size_t batch_size() const override { return frozen_ ? 0 : 4 * stride(); }
  Mixing mixing(bool training) const override { return training && !frozen_ ? Mixing::kColumns : Mixing::kNone; }
  size_t columns() const override { return channels_; }
  double cost() const override { return 4 * static_cast<double>(channels_ * positions_); }

  // With the running averages.
  void forward(const Operands<T>& o, Rows rows, const Pass&) const override {
    kernels_.channel_normalize(o.y.row(rows.begin), o.x[0].row(rows.begin), value(o, mean_, 0), value(o, variance_, 0),
                               epsilon_, value(o, gamma_, 0), value(o, beta_, 0), block(o, rows.count(), channels_));
  }
  void backward(const Operands<T>& o, Rows rows) const override {
    if (!o.dx[0].data) return;
    kernels_.channel_normalize(o.dx[0].row(rows.begin), o.dy.row(rows.begin), nullptr, value(o, variance_, 0), epsilon_,
                               value(o, gamma_, 0), nullptr, block(o, rows.count(), channels_));
  }

  // With the batch's own statistics.
  void forward_batch(const Operands<T>& o, size_t rows, Columns columns, const Pass&) const override {
    if (rows == 0) return;
    const size_t first = columns.begin;
    const Channels c = block(o, rows, columns.count());
    T *mean = batch(o, kMean) + first, *variance = batch(o, kVariance) + first;
    kernels_.channel_moments(mean, variance, o.x[0].data + first, c);
    kernels_.channel_normalize(o.y.data + first, o.x[0].data + first, mean, variance, epsilon_, value(o, gamma_, first),
                               value(o, beta_, first), c);
  }
  // The sums on the way are the gradients of beta and gamma.
  void backward_batch(const Operands<T>& o, size_t rows, Columns columns) const override {
    const size_t first = columns.begin;
    kernels_.channel_backward(o.dx[0].data ? o.dx[0].data + first : nullptr, batch(o, kSum) + first, batch(o, kDot) + first,
                              o.x[0].data + first, o.dy.data + first, batch(o, kMean) + first, batch(o, kVariance) + first,
                              epsilon_, value(o, gamma_, first), block(o, rows, columns.count()));
  }

  void parameter_gradient(const Operands<T>& o, size_t rows, size_t slot, const Tile& tile, T* gradient,
                          bool accumulate) const override {
    if (static_cast<int>(slot) != gamma_ && static_cast<int>(slot) != beta_) return;  // state: its gradient stays zero
    constexpr size_t kChunk = 8 * kPanel<T>;
    const bool of_gamma = static_cast<int>(slot) == gamma_;
    const size_t last = tile.panel_end * kPanel<T> < channels_ ? tile.panel_end * kPanel<T> : channels_;
    for (size_t j = tile.panel_begin * kPanel<T>; j < last; j += kChunk) {
      const size_t n = last - j < kChunk ? last - j : kChunk;
      T sums[kChunk], dots[kChunk];
      const T* from = of_gamma ? dots : sums;
      if (frozen_) {
        kernels_.channel_backward(nullptr, sums, dots, o.x[0].data + j, o.dy.data + j, value(o, mean_, j),
                                  value(o, variance_, j), epsilon_, nullptr, block(o, rows, n));
      } else {
        from = batch(o, of_gamma ? kDot : kSum) + j;
      }
      if (accumulate) {
        kernels_.add(gradient + j, gradient + j, from, n);
      } else {
        std::memcpy(gradient + j, from, n * sizeof(T));
      }
    }
  }

  void commit(const Operands<T>& o, size_t) const override {
    if (frozen_) return;
    follow(o.parameters[static_cast<size_t>(mean_)].state, batch(o, kMean));
    follow(o.parameters[static_cast<size_t>(variance_)].state, batch(o, kVariance));
  }

 private:
  static constexpr int kNone = -1;
  enum Statistic { kMean, kVariance, kSum, kDot };

  size_t stride() const { return panels_of<T>(channels_) * kPanel<T>; }
  T* batch(const Operands<T>& o, Statistic which) const { return o.batch + static_cast<size_t>(which) * stride(); }
  static const T* value(const Operands<T>& o, int slot, size_t first) {
    return slot == kNone ? nullptr : o.parameters[static_cast<size_t>(slot)].value + first;
  }
  Channels block(const Operands<T>& o, size_t rows, size_t n) const { return {rows, o.x[0].ld, positions_, channels_, n}; }
  // average = momentum average + (1 - momentum) value
  void follow(T* average, const T* value) const {
    for (size_t j = 0; j < channels_; ++j) average[j] = momentum_ * average[j] + rest_ * value[j];
  }

  const Kernels<T>& kernels_;
  T momentum_, rest_, epsilon_;
  bool frozen_;
  size_t channels_, positions_;
  int gamma_, beta_, mean_, variance_;  // slots
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_batch_norm(const Kernels<T>& kernels, const NodeInfo& node) {
  return std::make_unique<BatchNorm<T>>(kernels, node);
}
template std::unique_ptr<Op<float>> make_batch_norm(const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_batch_norm(const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
