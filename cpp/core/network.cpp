// Building the ops of a graph, and laying out its parameters.
#include "core/network.hpp"

#include <algorithm>
#include <cmath>

#include "core/threads.hpp"

namespace nncore {

template <class T>
Network<T>::Network(const GraphDesc& graph, const Kernels<T>& kernels) : graph_(graph), kernels_(kernels) {
  const size_t count = graph_.nodes.size();
  consumers_.assign(count, 0);
  live_.assign(count, false);
  is_output_.assign(count, false);
  for (const int i : graph_.outputs) live_[static_cast<size_t>(i)] = is_output_[static_cast<size_t>(i)] = true;
  for (const int i : graph_.inputs) live_[static_cast<size_t>(i)] = true;
  for (size_t i = count; i-- > 0;) {
    if (!live_[i]) continue;
    for (const int j : graph_.nodes[i].inputs) {
      live_[static_cast<size_t>(j)] = true;
      ++consumers_[static_cast<size_t>(j)];
    }
  }

  size_t total = 0;
  for (const ParameterDesc& parameter : graph_.parameters) {
    layouts_.push_back(layout_of<T>(parameter.shape, parameter.trainable, total));
    if (layouts_.back().size > PTRDIFF_MAX / sizeof(T) - total) throw std::bad_alloc();
    total += layouts_.back().size;
  }
  values_ = Buffer<T>(total);
  users_.resize(layouts_.size());
  transposed_.resize(layouts_.size());

  for (size_t i = 0; i < count; ++i) {
    const NodeDesc& node = graph_.nodes[i];
    ops_.emplace_back();
    if (node.op == "input") continue;
    NodeInfo info{static_cast<uint32_t>(i), node.attrs, {}, {}, node.function, 1};
    for (const int j : node.inputs) {
      info.widths.push_back(width(static_cast<size_t>(j)));
      info.shapes.push_back(graph_.nodes[static_cast<size_t>(j)].shape);
    }
    const auto& first = graph_.nodes[static_cast<size_t>(node.inputs[0])].shape;
    if (!first.empty()) info.last_axis = static_cast<size_t>(first.back());
    ops_[i] = make_op<T>(node.op, kernels_, info);
    if (!live_[i]) continue;
    cost_ += ops_[i]->cost();
    for (const bool training : {false, true})
      if (ops_[i]->mixing(training) != Mixing::kNone) mixes_[training ? 1 : 0] = true;
    for (size_t slot = 0; slot < node.parameters.size(); ++slot)
      users_[static_cast<size_t>(node.parameters[slot])].emplace_back(i, slot);
  }
  plan_tasks();
  size_t chunks = 0;
  for (const ParameterLayout& layout : layouts_) {
    first_chunk_.push_back(chunks);
    chunks += panels_of<T>(layout.columns) * ((layout.rows + kChunkRows - 1) / kChunkRows);
  }
  penalties_.assign(chunks, 0);
  for (const ParameterDesc& p : graph_.parameters) regularized_ = regularized_ || (p.trainable && (p.l1 != 0 || p.l2 != 0));
}

template <class T>
size_t Network<T>::width(size_t node) const {
  size_t width = 1;
  for (const int64_t n : graph_.nodes[node].shape) width *= static_cast<size_t>(n);
  return width;
}

template <class T>
void Network<T>::plan_tasks() {
  // Heights that register tiles of 14 rows and panels of 16 both divide. The larger a tile, the more often what is read for
  // its gradient is used; but each thread should have several.
  constexpr size_t kVectorPanels = 32;
  struct {
    size_t rows, panels;
  } constexpr kTiles[] = {{224, 16}, {112, 8}, {112, 2}};
  for (size_t p = 0; p < layouts_.size(); ++p) {
    const ParameterLayout& layout = layouts_[p];
    const size_t panels = panels_of<T>(layout.columns), enough = 8 * static_cast<size_t>(max_threads());
    const auto count = [&](auto tile) { return (layout.rows / tile.rows) * (panels / tile.panels); };
    auto tile = kTiles[0];
    for (const auto& smaller : kTiles)
      if (count(tile) < enough) tile = smaller;
    if (layout.rows == 1) tile.panels = kVectorPanels;
    if (graph_.parameters[p].max_norm > 0) {
      if (layout.rows == 1) tile.panels = panels;
      tile.rows = layout.rows;
    }
    for (size_t panel = 0; panel < panels; panel += tile.panels)
      for (size_t row = 0; row < layout.rows; row += tile.rows)
        tasks_.push_back({p, {row, std::min(layout.rows, row + tile.rows), panel, std::min(panels, panel + tile.panels)}});
  }
}

// f(at, length, chunk) for each chunk of a tile: kChunkRows rows of one panel, of which every tile has whole ones. So what
// is summed by chunk does not depend on the tiles.
template <class T>
template <class F>
void Network<T>::for_chunks(const GradientTask& task, const F& f) const {
  const size_t rows = layouts_[task.parameter].rows, count = (rows + kChunkRows - 1) / kChunkRows;
  const Tile& t = task.tile;
  for (size_t panel = t.panel_begin; panel < t.panel_end; ++panel)
    for (size_t row = t.row_begin; row < t.row_end; row += kChunkRows)
      f((panel * rows + row) * kPanel<T>, std::min(kChunkRows, t.row_end - row) * kPanel<T>,
        first_chunk_[task.parameter] + panel * count + row / kChunkRows);
}

template <class T>
void Network<T>::penalize(const GradientTask& task, bool with_gradient, double factor) {
  const ParameterDesc& parameter = graph_.parameters[task.parameter];
  if (!parameter.trainable || (parameter.l1 == 0 && parameter.l2 == 0)) return;
  for_chunks(task, [&](size_t at, size_t length, size_t chunk) {
    penalties_[chunk] = kernels_.penalize(with_gradient ? gradient(task.parameter) + at : nullptr,
                                          value(task.parameter) + at, length, factor * parameter.l1, factor * parameter.l2);
  });
}

template <class T>
double Network<T>::penalty_of_tasks() const {
  double sum = 0;
  for (const double part : penalties_) sum += part;
  return sum;
}

template <class T>
double Network<T>::penalty() {
  for (const GradientTask& task : tasks_) penalize(task, false, 1);
  return penalty_of_tasks();
}

template <class T>
void Network<T>::constrain(const GradientTask& task) {
  const double limit = graph_.parameters[task.parameter].max_norm;
  if (limit <= 0) return;
  const ParameterLayout& layout = layouts_[task.parameter];
  T* values = value(task.parameter);
  if (layout.rows > 1 || layout.shape.size() == 2) {
    const size_t first = task.tile.panel_begin * layout.rows * kPanel<T>;
    kernels_.limit_columns(values + first, layout.rows, task.tile.panel_end - task.tile.panel_begin, static_cast<T>(limit));
    return;
  }
  const double norm = std::sqrt(kernels_.sum_squares(values, layout.columns));
  if (norm <= limit) return;
  const T scale = static_cast<T>(limit / norm);
  for (size_t j = 0; j < layout.columns; ++j) values[j] *= scale;
}

template <class T>
double Network<T>::task_cost(const GradientTask& task) {
  const Tile& t = task.tile;
  return static_cast<double>((t.row_end - t.row_begin) * (t.panel_end - t.panel_begin));
}

template <class T>
void Network<T>::allocate_gradients() {
  if (gradients_.size() != values_.size()) gradients_ = Buffer<T>(values_.size());
}

template <class T>
const T* Network<T>::require_transposed(size_t parameter) {
  Buffer<T>& copy = transposed_[parameter];
  if (copy.size() == 0) {
    const ParameterLayout& layout = layouts_[parameter];
    copy = Buffer<T>(layout.columns * panels_of<T>(layout.rows) * kPanel<T>);
    stale_ = true;
  }
  return copy.data();
}

template <class T>
void Network<T>::refresh_transposed(const GradientTask& task) {
  Buffer<T>& copy = transposed_[task.parameter];
  if (copy.size() == 0) return;
  const ParameterLayout& layout = layouts_[task.parameter];
  kernels_.transpose(copy.data(), value(task.parameter), layout.rows, layout.columns, task.tile.row_begin,
                     task.tile.row_end, task.tile.panel_begin, task.tile.panel_end);
}

template <class T>
void Network<T>::refresh_all_transposed() {
  if (!stale_) return;
  for (const GradientTask& task : tasks_) refresh_transposed(task);
  stale_ = false;
}

template class Network<float>;
template class Network<double>;

}  // namespace nncore
