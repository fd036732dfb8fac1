// A graph with its ops and its parameters: arenas of values and gradients, and the tiles that training works through.
#pragma once
#include <memory>
#include <utility>
#include <vector>

#include "core/graph.hpp"
#include "core/memory.hpp"
#include "core/op.hpp"

namespace nncore {

// One piece of the parameter-gradient phase.
struct GradientTask {
  size_t parameter;
  Tile tile;
};

template <class T>
class Network {
 public:
  Network(const GraphDesc& graph, const Kernels<T>& kernels);

  const GraphDesc& graph() const { return graph_; }
  const Kernels<T>& kernels() const { return kernels_; }

  // Nodes. Those that no output depends on are not live: nothing is computed for them.
  size_t node_count() const { return ops_.size(); }
  const Op<T>* op(size_t node) const { return ops_[node].get(); }  // null for inputs
  size_t width(size_t node) const;                                 // elements per sample
  bool live(size_t node) const { return live_[node]; }
  bool is_output(size_t node) const { return is_output_[node]; }
  int consumers(size_t node) const { return consumers_[node]; }
  // Multiply-adds of a forward pass per row.
  double cost() const { return cost_; }
  // Whether some live op mixes rows.
  bool mixes(bool training) const { return mixes_[training ? 1 : 0]; }

  // Parameters, as panels in one arena; gradients beside them.
  size_t arena_size() const { return values_.size(); }
  const ParameterLayout& layout(size_t parameter) const { return layouts_[parameter]; }
  T* value(size_t parameter) { return values_.data() + layouts_[parameter].offset; }
  T* gradient(size_t parameter) { return gradients_.data() + layouts_[parameter].offset; }
  void allocate_gradients();
  // Which nodes use a parameter, and as which slot.
  const std::vector<std::pair<size_t, size_t>>& users(size_t parameter) const { return users_[parameter]; }

  // Tiles that cover every parameter; they may be worked on in any order and by any threads.
  const std::vector<GradientTask>& tasks() const { return tasks_; }
  static double task_cost(const GradientTask& task);

  // f(at, length) for each contiguous run of a tile; `at` counts from the parameter's beginning.
  template <class F>
  void for_runs(const GradientTask& task, const F& f) const;

  // Penalties on trainable parameters. The tasks may be worked on by any threads, each adds its penalty's gradient to the
  // parameter's; what they came to is added up in one order, whatever the tasks. `factor` scales both.
  bool regularized() const { return regularized_; }
  void regularize(const GradientTask& task, double factor = 1) { penalize(task, true, factor); }
  double penalty_of_tasks() const;
  double penalty();  // of the parameters as they are
  // Brings the parameter of a task within its limits. Where there are some, a tile has all that they concern.
  void constrain(const GradientTask& task);

  // Transposed copies of the parameters whose op asked for one. Who changes values brings the copies up to date: tile by
  // tile, or all at the next refresh after mark_changed().
  const T* require_transposed(size_t parameter);
  void refresh_transposed(const GradientTask& task);
  void mark_changed() { stale_ = true; }
  void refresh_all_transposed();

 private:
  static constexpr size_t kChunkRows = 112;  // divides the height of every tile

  void plan_tasks();
  template <class F>
  void for_chunks(const GradientTask& task, const F& f) const;
  void penalize(const GradientTask& task, bool with_gradient, double factor);

  const GraphDesc graph_;
  const Kernels<T>& kernels_;
  std::vector<std::unique_ptr<Op<T>>> ops_;
  std::vector<bool> live_, is_output_;
  std::vector<int> consumers_;
  double cost_ = 0;
  bool mixes_[2] = {false, false};  // in inference, in training

  std::vector<ParameterLayout> layouts_;
  std::vector<std::vector<std::pair<size_t, size_t>>> users_;
  std::vector<GradientTask> tasks_;
  bool regularized_ = false;
  std::vector<size_t> first_chunk_;  // by parameter
  std::vector<double> penalties_;    // by chunk
  Buffer<T> values_, gradients_;
  std::vector<Buffer<T>> transposed_;  // by parameter; empty without
  bool stale_ = true;
};

template <class T>
template <class F>
void Network<T>::for_runs(const GradientTask& task, const F& f) const {
  constexpr size_t w = kPanel<T>;
  const Tile& t = task.tile;
  const size_t rows = layouts_[task.parameter].rows;
  const bool whole = t.row_end - t.row_begin == rows;  // then the tile's panels are one run
  const size_t runs = whole ? 1 : t.panel_end - t.panel_begin;
  const size_t length = (whole ? (t.panel_end - t.panel_begin) * rows : t.row_end - t.row_begin) * w;
  for (size_t i = 0; i < runs; ++i) f(((t.panel_begin + i) * rows + t.row_begin) * w, length);
}

}  // namespace nncore
