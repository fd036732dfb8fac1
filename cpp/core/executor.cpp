// Planning of buffers, and the three phases of a pass.
#include "core/executor.hpp"

#include <algorithm>
#include <map>

namespace nncore {

template <class T>
Executor<T>::Executor(const GraphDesc& graph, const Kernels<T>& kernels) : graph_(graph), kernels_(kernels) {
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
    total += layouts_.back().size;
  }
  values_ = Buffer<T>(total);
  users_.resize(layouts_.size());
  transposed_offset_.assign(layouts_.size(), SIZE_MAX);

  for (size_t i = 0; i < count; ++i) {
    const NodeDesc& node = graph_.nodes[i];
    ops_.emplace_back();
    if (node.op == "input") continue;
    NodeInfo info{static_cast<uint32_t>(i), node.attrs, {}, 1};
    for (const int j : node.inputs) info.widths.push_back(width_of(static_cast<size_t>(j)));
    const auto& first = graph_.nodes[static_cast<size_t>(node.inputs[0])].shape;
    if (!first.empty()) info.last_axis = static_cast<size_t>(first.back());
    ops_[i] = make_op<T>(node.op, kernels_, info);
    if (!live_[i]) continue;
    cost_ += ops_[i]->cost();
    for (size_t slot = 0; slot < node.parameters.size(); ++slot)
      users_[static_cast<size_t>(node.parameters[slot])].emplace_back(i, slot);
  }
  plan_tasks();
}

template <class T>
size_t Executor<T>::width_of(size_t node) const {
  size_t width = 1;
  for (const int64_t n : graph_.nodes[node].shape) width *= static_cast<size_t>(n);
  return width;
}

template <class T>
void Executor<T>::plan_tasks() {
  constexpr size_t kTileRows = 112;  // 8 register tiles of 14 rows and 7 panels of 16: little waste either way
  constexpr size_t kTilePanels = 2, kVectorPanels = 32;
  for (size_t p = 0; p < layouts_.size(); ++p) {
    const ParameterLayout& layout = layouts_[p];
    const size_t panels = panels_of<T>(layout.columns), step = layout.rows > 1 ? kTilePanels : kVectorPanels;
    for (size_t panel = 0; panel < panels; panel += step)
      for (size_t row = 0; row < layout.rows; row += kTileRows)
        tasks_.push_back({p, {row, std::min(layout.rows, row + kTileRows), panel, std::min(panels, panel + step)}});
  }
}

template <class T>
double Executor<T>::task_cost(const GradientTask& task) const {
  const Tile& t = task.tile;
  return static_cast<double>((t.row_end - t.row_begin) * (t.panel_end - t.panel_begin));
}

template <class T>
bool Executor<T>::can_overwrite_input(size_t node) const {
  if (!ops_[node]->in_place()) return false;
  const auto input = static_cast<size_t>(graph_.nodes[node].inputs[0]);
  if (consumers_[input] != 1 || is_output_[input]) return false;
  if (level_ == Level::kInference) return true;
  return !ops_[node]->backward_reads_x() && !(ops_[input] && ops_[input]->backward_reads_y());
}

template <class T>
Matrix<T> Executor<T>::allocate(size_t width) {
  const size_t ld = leading_dimension<T>(width);
  if (ld != 0 && capacity_ > SIZE_MAX / sizeof(T) / ld) throw std::bad_alloc();
  buffers_.emplace_back(capacity_ * ld);
  return {buffers_.back().data(), width, ld};
}

template <class T>
void Executor<T>::prepare(size_t rows, Level level) {
  if (rows <= capacity_ && (level == level_ || (level == Level::kInference && level_ != Level::kNone))) return;
  capacity_ = std::max(rows, capacity_);
  if (level != Level::kInference || level_ == Level::kNone) level_ = level;
  operands_.assign(graph_.nodes.size(), {});
  calls_.assign(graph_.nodes.size(), {});
  buffers_.clear();
  try {
    allocate_forward();
    if (level_ == Level::kInference) return;
    allocate_backward();
    allocate_transposed();
    if (gradients_.size() != values_.size()) gradients_ = Buffer<T>(values_.size());
  } catch (...) {
    capacity_ = 0;
    level_ = Level::kNone;
    throw;
  }
}

template <class T>
void Executor<T>::allocate_forward() {
  for (size_t i = 0; i < operands_.size(); ++i) {
    if (!live_[i]) continue;
    Operands<T>& o = operands_[i];
    for (const int j : graph_.nodes[i].inputs) o.x.push_back(operands_[static_cast<size_t>(j)].y);
    o.y = ops_[i] && can_overwrite_input(i) ? o.x[0] : allocate(width_of(i));
    if (ops_[i] && ops_[i]->work_width() > 0 && level_ != Level::kInference) o.work = allocate(ops_[i]->work_width());
    for (const int p : graph_.nodes[i].parameters) {
      const auto index = static_cast<size_t>(p);
      o.parameters.push_back({value(index), nullptr, layouts_[index].rows, layouts_[index].columns});
    }
  }
}

template <class T>
void Executor<T>::allocate_backward() {
  const size_t count = operands_.size();
  // Which nodes need a gradient: those with a parameter to learn, and those downstream of one.
  std::vector<bool> wanted(count, false);
  for (size_t i = 0; i < count; ++i) {
    if (!live_[i]) continue;
    if (!ops_[i]) wanted[i] = level_ == Level::kInputGradients;
    for (const int p : graph_.nodes[i].parameters)
      if (level_ == Level::kInputGradients || layouts_[static_cast<size_t>(p)].trainable) wanted[i] = true;
    for (const int j : graph_.nodes[i].inputs)
      if (wanted[static_cast<size_t>(j)]) wanted[i] = true;
  }

  // From the outputs to the inputs, so that an op that may overwrite dy hands its buffer down.
  std::vector<bool> written = is_output_;
  std::map<size_t, Matrix<T>> scratch;  // by width, so that a thread's rows are its own
  for (size_t i = count; i-- > 0;) {
    if (!live_[i]) continue;
    Operands<T>& o = operands_[i];
    if (!o.dy.data && (wanted[i] || is_output_[i])) o.dy = allocate(width_of(i));
    if (!ops_[i] || !o.dy.data) continue;
    o.dx.assign(o.x.size(), {});
    std::vector<size_t> later;  // inputs whose gradient another consumer has begun
    for (size_t slot = 0; slot < o.x.size(); ++slot) {
      const auto j = static_cast<size_t>(graph_.nodes[i].inputs[slot]);
      if (!wanted[j]) continue;
      Operands<T>& from = operands_[j];
      if (!from.dy.data) from.dy = ops_[i]->in_place() && consumers_[j] == 1 && !is_output_[j] ? o.dy : allocate(width_of(j));
      if (written[j]) {
        later.push_back(slot);
      } else {
        o.dx[slot] = from.dy;
        written[j] = true;
      }
    }
    const bool any = std::any_of(o.dx.begin(), o.dx.end(), [](const Matrix<T>& dx) { return dx.data != nullptr; });
    if (any || later.empty()) calls_[i].push_back({o, {}, {}});
    for (const size_t slot : later) {
      const Matrix<T>& target = operands_[static_cast<size_t>(graph_.nodes[i].inputs[slot])].dy;
      Matrix<T>& rows = scratch[target.width];
      if (!rows.data) rows = allocate(target.width);
      Call call{o, rows, target};
      call.operands.dx.assign(o.x.size(), {});
      call.operands.dx[slot] = rows;
      calls_[i].push_back(call);
    }
  }
}

template <class T>
void Executor<T>::allocate_transposed() {
  transposed_offset_.assign(layouts_.size(), SIZE_MAX);
  size_t total = 0;
  const auto each_use = [&](auto f) {
    for (auto& calls : calls_)
      for (Call& call : calls) {
        const auto i = static_cast<size_t>(&calls - calls_.data());
        const bool any =
            std::any_of(call.operands.dx.begin(), call.operands.dx.end(), [](const Matrix<T>& dx) { return dx.data; });
        for (size_t slot = 0; any && slot < call.operands.parameters.size(); ++slot)
          if (ops_[i]->reads_transposed(slot))
            f(static_cast<size_t>(graph_.nodes[i].parameters[slot]), call.operands.parameters[slot]);
      }
  };
  each_use([&](size_t p, Parameter<T>&) {
    if (transposed_offset_[p] != SIZE_MAX) return;
    transposed_offset_[p] = total;
    total += layouts_[p].columns * panels_of<T>(layouts_[p].rows) * kPanel<T>;
  });
  if (total != transposed_.size()) transposed_ = Buffer<T>(total);
  each_use([&](size_t p, Parameter<T>& parameter) { parameter.transposed = transposed_.data() + transposed_offset_[p]; });
  transposed_stale_ = true;
}

template <class T>
void Executor<T>::forward(Rows rows, const Pass& pass) const {
  for (size_t i = 0; i < ops_.size(); ++i)
    if (ops_[i] && live_[i]) ops_[i]->forward(operands_[i], rows, pass);
}

template <class T>
void Executor<T>::backward(Rows rows) const {
  for (size_t i = ops_.size(); i-- > 0;)
    for (const Call& call : calls_[i]) {
      ops_[i]->backward(call.operands, rows);
      if (call.target.data)
        kernels_.add(call.target.row(rows.begin), call.target.row(rows.begin), call.scratch.row(rows.begin),
                     rows.count() * call.target.ld);
    }
}

template <class T>
void Executor<T>::gradient(const GradientTask& task, size_t rows) {
  bool accumulate = false;
  for (const auto& [node, slot] : users_[task.parameter]) {
    ops_[node]->parameter_gradient(operands_[node], rows, slot, task.tile, gradient_of(task.parameter), accumulate);
    accumulate = true;
  }
}

template <class T>
void Executor<T>::refresh_transposed(const GradientTask& task) {
  const size_t offset = transposed_offset_[task.parameter];
  if (offset == SIZE_MAX) return;
  const ParameterLayout& layout = layouts_[task.parameter];
  kernels_.transpose(transposed_.data() + offset, value(task.parameter), layout.rows, layout.columns, task.tile.row_begin,
                     task.tile.row_end, task.tile.panel_begin, task.tile.panel_end);
}

template <class T>
void Executor<T>::refresh_all_transposed() {
  if (!transposed_stale_) return;
  for (const GradientTask& task : tasks_) refresh_transposed(task);
  transposed_stale_ = false;
}

template class Executor<float>;
template class Executor<double>;

}  // namespace nncore
