// Targets, losses and metrics of the batches of a run, each thread for its own rows, summed by one thread in row order.
#pragma once
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/engine.hpp"
#include "core/metrics.hpp"
#include "core/samples.hpp"
#include "core/workspace.hpp"

namespace nncore {

template <class T>
class Scoring {
 public:
  // For batches of at most `block` rows whose predictions are `width` wide, shared among at most `threads` threads.
  // `workspace` need not be prepared yet.
  Scoring(const Kernels<T>& kernels, const Workspace<T>& workspace, const TargetArray& target, const RunOptions& options,
          size_t block, size_t width, int threads)
      : kernels_(kernels),
        workspace_(workspace),
        target_(target),
        options_(options),
        training_(options.optimizer != nullptr),
        loss_(find_named(kernels.losses, static_cast<size_t>(kernels.loss_count), options.loss, "loss")),
        block_(block),
        width_(width),
        faults_(static_cast<size_t>(threads)) {
    if (target.indices && loss_.elementwise)
      throw std::invalid_argument("target: loss '" + options.loss + "' expects target values, got class indices");
    for (const std::string& name : options.metrics) {
      metrics_.push_back(&find_named(kMetrics<T>, std::size(kMetrics<T>), name, "metrics"));
      if (target.indices && !metrics_.back()->takes_indices)
        throw std::invalid_argument("metrics: '" + name + "' expects target values, got class indices");
    }
    outcome_.position = options.start;
    if (!options.sums.empty() && options.sums.size() != 1 + metrics_.size())
      throw std::invalid_argument("sums: expected one for the loss and one for each metric");
    outcome_.metrics.assign(metrics_.size(), 0.0);
    if (!options.sums.empty()) {
      outcome_.loss = options.sums[0];
      std::copy(options.sums.begin() + 1, options.sums.end(), outcome_.metrics.begin());
    }
    row_loss_ = Buffer<double>(block);
    row_metrics_ = Buffer<double>(block * metrics_.size());
    indices_ = Buffer<int32_t>(target.indices ? block : 0);
    values_ = Buffer<T>(target.indices ? 0 : block * width_);
  }

  // Losses and metrics of the rows `mine` of the batch that begins at sample `at` and has `rows` rows; while training, also
  // the gradient of the batch's loss.
  void score(int rank, size_t at, size_t rows, Rows mine) {
    Fault& fault = faults_[static_cast<size_t>(rank)];
    for (size_t r = mine.begin; r < mine.end; ++r) load_target(sample(at + r), r, fault);
    if (mine.count() == 0) return;

    const Matrix<T>& prediction = workspace_.output(0);
    const double parts = loss_.elementwise ? static_cast<double>(width_) : 1.0;
    LossArgs<T> args{};
    args.rows = mine.count();
    args.n = width_;
    args.pred = prediction.row(mine.begin);
    args.ld_pred = prediction.ld;
    args.target = target_.indices ? nullptr : values_.data() + mine.begin * width_;
    args.ld_target = width_;
    args.index = target_.indices ? indices_.data() + mine.begin : nullptr;
    args.row_loss = row_loss_.data() + mine.begin;
    if (training_) {
      args.dpred = workspace_.output_gradient(0).row(mine.begin);
      args.ld_dpred = workspace_.output_gradient(0).ld;
    }
    args.scale = static_cast<T>(options_.mean ? 1.0 / (static_cast<double>(rows) * parts) : 1.0);
    loss_.run(args);

    for (size_t r = mine.begin; r < mine.end; ++r) {
      if (!std::isfinite(row_loss_.data()[r]) && fault.kind == Fault::kNone)
        fault = {Fault::kNotFinite, sample(at + r), 0, row_loss_.data()[r]};
      const T* values = target_.indices ? nullptr : values_.data() + r * width_;
      const int32_t index = target_.indices ? indices_.data()[r] : 0;
      for (size_t m = 0; m < metrics_.size(); ++m)
        row_metrics_.data()[m * block_ + r] = metrics_[m]->of_row(prediction.row(r), values, index, width_);
    }
  }

  // Whether any thread met a bad label or a loss that is not finite. The same answer for all threads after a barrier.
  bool failed() const {
    return std::any_of(faults_.begin(), faults_.end(), [](const Fault& fault) { return fault.kind != Fault::kNone; });
  }

  // Adds a batch to the outcome. Called by one thread.
  void collect(size_t rows) {
    const auto sum = [rows](const double* values) {
      double total = 0;
      for (size_t r = 0; r < rows; ++r) total += values[r];
      return total;
    };
    outcome_.loss += sum(row_loss_.data()) / (loss_.elementwise ? static_cast<double>(width_) : 1.0);
    for (size_t m = 0; m < metrics_.size(); ++m) outcome_.metrics[m] += sum(row_metrics_.data() + m * block_);
    outcome_.samples += rows;
    outcome_.position += rows;
    // Evaluation works in blocks of its own size; its caller thinks in batches.
    outcome_.steps = training_ ? outcome_.steps + 1 : (outcome_.samples + options_.batch_size - 1) / options_.batch_size;
  }

  const RunOutcome& outcome() const { return outcome_; }

  void throw_if_failed() const {
    for (const Fault& fault : faults_) {
      if (fault.kind == Fault::kBadLabel)
        throw std::invalid_argument("target: expected class indices in [0, " + std::to_string(width_ - 1) + "], got " +
                                    std::to_string(fault.label) + " in row " + std::to_string(fault.sample));
      if (fault.kind == Fault::kNotFinite)
        throw DivergenceError("the loss of batch " + std::to_string(outcome_.position / options_.batch_size) + " is " +
                              (std::isnan(fault.loss) ? "nan" : std::to_string(fault.loss)) + " (sample " +
                              std::to_string(fault.sample) + ")" + (training_ ? "; its update has not been made" : ""));
    }
  }

 private:
  // What a thread found wrong; on a cache line of its own.
  struct alignas(64) Fault {
    enum Kind { kNone, kBadLabel, kNotFinite } kind = kNone;
    size_t sample = 0;
    int64_t label = 0;
    double loss = 0;
  };

  size_t sample(size_t position) const { return options_.order ? static_cast<size_t>(options_.order[position]) : position; }

  void load_target(size_t from, size_t row, Fault& fault) {
    if (!target_.indices) {
      convert_row(kernels_, values_.data() + row * width_, target_.array, from);
      return;
    }
    const int64_t label = read_integer(target_.array, from);
    const bool good = label >= 0 && static_cast<uint64_t>(label) < width_;
    if (!good && fault.kind == Fault::kNone) fault = {Fault::kBadLabel, from, label, 0};
    indices_.data()[row] = good ? static_cast<int32_t>(label) : 0;
  }

  const Kernels<T>& kernels_;
  const Workspace<T>& workspace_;
  const TargetArray& target_;
  const RunOptions& options_;
  const bool training_;
  const Loss<T>& loss_;
  std::vector<const Metric<T>*> metrics_;
  size_t block_, width_;
  Buffer<double> row_loss_, row_metrics_;  // metrics: block_ numbers for each
  Buffer<int32_t> indices_;
  Buffer<T> values_;
  std::vector<Fault> faults_;  // by thread
  RunOutcome outcome_;
};

}  // namespace nncore
