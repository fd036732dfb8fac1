// Targets, losses and metrics of the batches of a run, each thread for its own rows, summed by one thread in row order.
#pragma once
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
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
  Scoring(const Kernels<T>& kernels, const Workspace<T>& workspace, const Objective& objective, const RunOptions& options,
          size_t block, size_t width, int threads)
      : kernels_(kernels),
        workspace_(workspace),
        objective_(objective),
        options_(options),
        training_(options.optimizer != nullptr),
        loss_(find_named(kernels.losses, static_cast<size_t>(kernels.loss_count), objective.loss, "loss")),
        block_(block),
        width_(width),
        parts_(part_count(loss_, width)),
        target_width_(loss_.parts == LossParts::kHalf ? parts_ : width),
        faults_(static_cast<size_t>(threads)) {
    const bool indices = objective.target.indices;
    if (indices && loss_.parts != LossParts::kRow)
      throw std::invalid_argument("target: loss '" + objective.loss + "' expects target values, got class indices");
    if (objective.target.array.rows > 0 && objective.target.array.width != (indices ? 1 : target_width_))
      throw std::invalid_argument("target: expected " + std::to_string(target_width_) + " numbers for each sample, got " +
                                  std::to_string(objective.target.array.width));
    for (const std::string& name : objective.metrics) {
      metrics_.push_back(&find_named(kMetrics<T>, std::size(kMetrics<T>), name, "metrics"));
      if (indices && !metrics_.back()->takes_indices)
        throw std::invalid_argument("metrics: '" + name + "' expects target values, got class indices");
    }
    prepare_arrays();
    uneven_ = objective.sample_weight || (indices && (objective.ignored || class_weights()));
    start_outcome();
    row_loss_ = Buffer<double>(block);
    row_metrics_ = Buffer<double>(block * metrics_.size());
    row_scale_ = Buffer<T>(uneven_ ? block : 0);
    indices_ = Buffer<int32_t>(indices ? block : 0);
    values_ = Buffer<T>(indices ? 0 : block * target_width_);
  }

  // Losses and metrics of the rows `mine` of the batch that begins at sample `at` and has `rows` rows; while training, also
  // the gradient of the batch's loss. Says whether any row of the whole batch has a share in it: all threads get one
  // answer.
  bool score(int rank, size_t at, size_t rows, Rows mine) {
    Fault& fault = faults_[static_cast<size_t>(rank)];
    const double total = batch_share(at, rows), scale = !objective_.mean ? 1.0 : total > 0 ? 1.0 / total : 0.0;
    for (size_t r = mine.begin; r < mine.end; ++r) {
      load_target(sample(at + r), r, fault);
      if (uneven_) row_scale_.data()[r] = static_cast<T>(share(sample(at + r)).metric * scale);
    }
    if (mine.count() == 0) return total > 0;

    const bool indices = objective_.target.indices;
    const Matrix<T>& prediction = workspace_.output(0);
    LossArgs<T> args{};
    args.rows = mine.count();
    args.n = width_;
    args.pred = prediction.row(mine.begin);
    args.ld_pred = prediction.ld;
    args.target = indices ? nullptr : values_.data() + mine.begin * target_width_;
    args.ld_target = target_width_;
    args.index = indices ? indices_.data() + mine.begin : nullptr;
    args.attrs = objective_.attrs.data();
    for (size_t i = 0; i < arrays_.size(); ++i) args.arrays[i] = arrays_[i].size() ? arrays_[i].data() : nullptr;
    args.row_loss = row_loss_.data() + mine.begin;
    if (training_) {
      args.dpred = workspace_.output_gradient(0).row(mine.begin);
      args.ld_dpred = workspace_.output_gradient(0).ld;
    }
    args.scale = static_cast<T>(scale);
    args.row_scale = uneven_ ? row_scale_.data() + mine.begin : nullptr;
    loss_.run(args);

    for (size_t r = mine.begin; r < mine.end; ++r) {
      if (indices && indices_.data()[r] < 0) row_loss_.data()[r] = nothing(prediction.row(r));
      if (!std::isfinite(row_loss_.data()[r]) && fault.kind == Fault::kNone)
        fault = {Fault::kNotFinite, sample(at + r), 0, row_loss_.data()[r]};
      const T* values = indices ? nullptr : values_.data() + r * target_width_;
      const int32_t index = indices ? indices_.data()[r] : 0;
      for (size_t m = 0; m < metrics_.size(); ++m)
        row_metrics_.data()[m * block_ + r] = metrics_[m]->of_row(prediction.row(r), values, index, target_width_);
    }
    return total > 0;
  }

  // The sum of the shares of the batch at sample `at`.
  double weight(size_t at, size_t rows) const { return batch_share(at, rows) / static_cast<double>(parts_); }

  // Whether any thread met a bad label or a loss that is not finite. The same answer for all threads after a barrier.
  bool failed() const {
    return std::any_of(faults_.begin(), faults_.end(), [](const Fault& fault) { return fault.kind != Fault::kNone; });
  }

  // Adds the batch at sample `at` to the outcome. Called by one thread.
  void collect(size_t at, size_t rows) {
    const auto sum = [&](const double* values) {
      double total = 0;
      for (size_t r = 0; r < rows; ++r) total += uneven_ ? share(sample(at + r)).metric * values[r] : values[r];
      return total;
    };
    outcome_.loss += sum(row_loss_.data()) / static_cast<double>(parts_);
    last_weight_ = weight(at, rows);
    outcome_.loss_weight += last_weight_;
    for (size_t m = 0; m < metrics_.size(); ++m) outcome_.metrics[m] += sum(row_metrics_.data() + m * block_);
    if (uneven_) {
      for (size_t r = 0; r < rows; ++r) outcome_.metric_weight += share(sample(at + r)).metric;
    } else {
      outcome_.metric_weight += static_cast<double>(rows);
    }
    outcome_.samples += rows;
    outcome_.position += rows;
    // Evaluation works in blocks of its own size; its caller thinks in batches.
    outcome_.steps = training_ ? outcome_.steps + 1 : (outcome_.samples + options_.batch_size - 1) / options_.batch_size;
  }

  // The penalty on the parameters is a part of the batch's mean loss. Called by one thread after collect().
  void add_penalty(double penalty) { outcome_.loss += penalty * last_weight_; }

  // To be called once, at the end; the counters stay.
  RunOutcome take_outcome() { return std::move(outcome_); }

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

  // What a sample counts for in the mean of a metric, and in that of the loss.
  struct Share {
    double metric, loss;
  };

  size_t sample(size_t position) const { return options_.order ? static_cast<size_t>(options_.order[position]) : position; }

  void prepare_arrays() {
    if (objective_.arrays.size() > kMaxLossArrays) throw std::invalid_argument("arrays: too many");
    for (const std::vector<double>& array : objective_.arrays) {
      if (!array.empty() && array.size() != width_)
        throw std::invalid_argument("arrays: expected one number for each column");
      arrays_.emplace_back(array.size());
      for (size_t j = 0; j < array.size(); ++j) arrays_.back().data()[j] = static_cast<T>(array[j]);
    }
  }

  void start_outcome() {
    const size_t count = metrics_.size();
    outcome_.position = options_.start;
    outcome_.metrics.assign(count, 0.0);
    const std::vector<double>& sums = options_.sums;
    if (sums.empty()) return;
    if (sums.size() != 3 + count)
      throw std::invalid_argument("sums: expected those of the loss, the metrics and two weights");
    outcome_.loss = sums[0];
    std::copy_n(sums.begin() + 1, count, outcome_.metrics.begin());
    outcome_.loss_weight = sums[1 + count];
    outcome_.metric_weight = sums[2 + count];
  }

  bool class_weights() const {
    return objective_.target.indices && loss_.class_mean && !objective_.arrays.empty() && !objective_.arrays[0].empty();
  }

  bool is_ignored(int64_t label) const { return objective_.ignored && label == *objective_.ignored; }

  bool is_class(int64_t label) const { return label >= 0 && static_cast<uint64_t>(label) < width_; }

  Share share(size_t at) const {
    const double weight = objective_.sample_weight ? objective_.sample_weight[at] : 1.0;
    if (!objective_.target.indices) return {weight, weight};
    const int64_t label = read_integer(objective_.target.array, at);
    if (is_ignored(label)) return {0.0, 0.0};
    return {weight,
            class_weights() && is_class(label) ? weight * objective_.arrays[0][static_cast<size_t>(label)] : weight};
  }

  // The denominator of the mean loss of a batch. Each thread adds it up for itself, in row order, so none waits.
  double batch_share(size_t at, size_t rows) const {
    double total = static_cast<double>(rows);
    if (uneven_) {
      total = 0;
      for (size_t r = 0; r < rows; ++r) total += share(sample(at + r)).loss;
    }
    return total * static_cast<double>(parts_);
  }

  // The loss of a row to ignore: 0, or NaN where the prediction is not finite, whose activations would reach the weights.
  double nothing(const T* prediction) const {
    double sum = 0;
    for (size_t j = 0; j < width_; ++j) sum += static_cast<double>(prediction[j]) * 0.0;
    return sum;
  }

  void load_target(size_t from, size_t row, Fault& fault) {
    const TargetArray& target = objective_.target;
    if (!target.indices) {
      convert_row(kernels_, values_.data() + row * target_width_, target.array, from);
      return;
    }
    const int64_t label = read_integer(target.array, from);
    const bool ignore = is_ignored(label), good = ignore || is_class(label);
    if (!good && fault.kind == Fault::kNone) fault = {Fault::kBadLabel, from, label, 0};
    indices_.data()[row] = ignore ? -1 : good ? static_cast<int32_t>(label) : 0;
  }

  const Kernels<T>& kernels_;
  const Workspace<T>& workspace_;
  const Objective& objective_;
  const RunOptions& options_;
  const bool training_;
  const Loss<T>& loss_;
  std::vector<const Metric<T>*> metrics_;
  size_t block_, width_, parts_, target_width_;
  bool uneven_ = false;  // rows have different shares
  std::vector<Buffer<T>> arrays_;
  Buffer<double> row_loss_, row_metrics_;  // metrics: block_ numbers for each
  Buffer<T> row_scale_;
  Buffer<int32_t> indices_;
  Buffer<T> values_;
  std::vector<Fault> faults_;  // by thread
  RunOutcome outcome_;
  double last_weight_ = 0;  // of the batch that was collected last
};

}  // namespace nncore
