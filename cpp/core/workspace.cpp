// Planning of buffers, and the three phases of a pass.
#include "core/workspace.hpp"

#include <algorithm>
#include <map>

namespace nncore {

template <class T>
bool Workspace<T>::can_overwrite_input(size_t node) const {
  const Op<T>& op = *network_.op(node);
  if (!op.in_place()) return false;
  const auto input = static_cast<size_t>(network_.graph().nodes[node].inputs[0]);
  if (network_.consumers(input) != 1 || network_.is_output(input)) return false;
  if (level_ == Level::kInference) return true;
  return !op.backward_reads_x() && !(network_.op(input) && network_.op(input)->backward_reads_y());
}

template <class T>
Matrix<T> Workspace<T>::allocate(size_t width) {
  const size_t ld = leading_dimension<T>(width);
  if (ld != 0 && capacity_ > SIZE_MAX / sizeof(T) / ld) throw std::bad_alloc();
  buffers_.emplace_back(capacity_ * ld);
  return {buffers_.back().data(), width, ld};
}

template <class T>
void Workspace<T>::prepare(size_t rows, Level level) {
  if (rows <= capacity_ && level == level_) return;
  capacity_ = std::max(rows, capacity_);
  level_ = level;
  buffers_.clear();
  try {
    operands_.assign(network_.node_count(), {});
    calls_.assign(network_.node_count(), {});
    allocate_forward();
    if (level_ == Level::kInference) return;
    allocate_backward();
    network_.allocate_gradients();
  } catch (...) {
    capacity_ = 0;
    level_ = Level::kNone;
    throw;
  }
}

template <class T>
void Workspace<T>::allocate_forward() {
  const auto& nodes = network_.graph().nodes;
  for (size_t i = 0; i < operands_.size(); ++i) {
    if (!network_.live(i)) continue;
    Operands<T>& o = operands_[i];
    for (const int j : nodes[i].inputs) o.x.push_back(operands_[static_cast<size_t>(j)].y);
    o.y = network_.op(i) && can_overwrite_input(i) ? o.x[0] : allocate(network_.width(i));
    if (network_.op(i) && network_.op(i)->work_width() > 0 && level_ != Level::kInference)
      o.work = allocate(network_.op(i)->work_width());
    for (const int p : nodes[i].parameters) {
      const auto index = static_cast<size_t>(p);
      const ParameterLayout& layout = network_.layout(index);
      o.parameters.push_back({network_.value(index), nullptr, network_.value(index), layout.rows, layout.columns});
    }
    if (network_.op(i) && network_.op(i)->batch_size() > 0 && level_ != Level::kInference) {
      buffers_.emplace_back(network_.op(i)->batch_size());
      o.batch = buffers_.back().data();
    }
  }
}

template <class T>
void Workspace<T>::allocate_backward() {
  const auto& nodes = network_.graph().nodes;
  const size_t count = operands_.size();
  // Which nodes need a gradient: those with a parameter to learn, and those downstream of one.
  std::vector<bool> wanted(count, false);
  for (size_t i = 0; i < count; ++i) {
    if (!network_.live(i)) continue;
    if (!network_.op(i)) wanted[i] = level_ == Level::kInputGradients;
    for (const int p : nodes[i].parameters)
      if (level_ == Level::kInputGradients || network_.layout(static_cast<size_t>(p)).trainable) wanted[i] = true;
    for (const int j : nodes[i].inputs)
      if (wanted[static_cast<size_t>(j)]) wanted[i] = true;
  }

  // From the outputs to the inputs, so that an op that may overwrite dy hands its buffer down.
  std::vector<bool> written(count);
  for (size_t i = 0; i < count; ++i) written[i] = network_.is_output(i);
  std::map<size_t, Matrix<T>> scratch;  // by width, so that a thread's rows are its own
  for (size_t i = count; i-- > 0;) {
    if (!network_.live(i)) continue;
    Operands<T>& o = operands_[i];
    if (!o.dy.data && (wanted[i] || network_.is_output(i))) o.dy = allocate(network_.width(i));
    if (!network_.op(i) || !o.dy.data) continue;
    o.dx.assign(o.x.size(), {});
    std::vector<size_t> later;  // inputs whose gradient another consumer has begun
    for (size_t slot = 0; slot < o.x.size(); ++slot) {
      const auto j = static_cast<size_t>(nodes[i].inputs[slot]);
      if (!wanted[j]) continue;
      Operands<T>& from = operands_[j];
      if (!from.dy.data)
        from.dy = network_.op(i)->in_place() && network_.consumers(j) == 1 && !network_.is_output(j)
                      ? o.dy
                      : allocate(network_.width(j));
      if (written[j]) {
        later.push_back(slot);
      } else {
        o.dx[slot] = from.dy;
        written[j] = true;
      }
    }
    const bool any = std::any_of(o.dx.begin(), o.dx.end(), [](const Matrix<T>& dx) { return dx.data != nullptr; });
    for (size_t slot = 0; (any || !later.empty()) && slot < o.parameters.size(); ++slot)
      if (network_.op(i)->reads_transposed(slot))
        o.parameters[slot].transposed = network_.require_transposed(static_cast<size_t>(nodes[i].parameters[slot]));
    if (any || later.empty()) calls_[i].push_back({o, {}, {}});
    for (const size_t slot : later) {
      const Matrix<T>& target = operands_[static_cast<size_t>(nodes[i].inputs[slot])].dy;
      Matrix<T>& rows = scratch[target.width];
      if (!rows.data) rows = allocate(target.width);
      Call call{o, rows, target};
      call.operands.dx.assign(o.x.size(), {});
      call.operands.dx[slot] = rows;
      calls_[i].push_back(call);
    }
  }
}

// An op that mixes rows, between two barriers: what other threads did to its rows has happened, and they see what it did.
template <class T>
template <class F>
void Workspace<T>::mix(const Team& team, size_t node, Mixing mixing, const Pass& pass, const F& call) const {
  team.barrier();
  Columns columns{0, network_.op(node)->columns()};
  if (mixing == Mixing::kColumns) {
    team.share(columns.end, kPanel<T>, columns.begin, columns.end);
    if (columns.count() > 0) call(columns);
  } else if (team.rank == 0 && !pass.faults->any()) {
    try {
      call(columns);
    } catch (...) {
      pass.faults->report(0, std::current_exception());
    }
  }
  team.barrier();
}

template <class T>
void Workspace<T>::forward(const Team& team, size_t rows, Rows mine, const Pass& pass) const {
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (!network_.op(i) || !network_.live(i)) continue;
    const Op<T>& op = *network_.op(i);
    const Operands<T>& o = operands_[i];
    Mixing mixing = op.mixing(pass.training);
    if (mixing == Mixing::kNone && pass.few_rows && op.takes_columns()) mixing = Mixing::kColumns;
    if (mixing == Mixing::kNone) {
      op.forward(o, mine, pass);
    } else {
      mix(team, i, mixing, pass, [&](Columns columns) { op.forward_batch(o, rows, columns, pass); });
    }
  }
}

template <class T>
void Workspace<T>::backward(const Team& team, size_t rows, Rows mine, const Pass& pass) const {
  for (size_t i = calls_.size(); i-- > 0;)
    for (const Call& call : calls_[i]) {
      const Op<T>& op = *network_.op(i);
      if (const Mixing mixing = op.mixing(pass.training); mixing == Mixing::kNone) {
        op.backward(call.operands, mine);
      } else {
        mix(team, i, mixing, pass, [&](Columns columns) { op.backward_batch(call.operands, rows, columns); });
      }
      if (call.target.data)
        network_.kernels().add(call.target.row(mine.begin), call.target.row(mine.begin), call.scratch.row(mine.begin),
                               mine.count() * call.target.ld);
    }
}

template <class T>
void Workspace<T>::commit(size_t rows) const {
  if (rows == 0) return;
  for (size_t i = 0; i < operands_.size(); ++i)
    if (network_.op(i) && network_.live(i)) network_.op(i)->commit(operands_[i], rows);
}

template <class T>
void Workspace<T>::parameter_gradient(const GradientTask& task, size_t rows) const {
  bool accumulate = false;
  for (const auto& [node, slot] : network_.users(task.parameter)) {
    network_.op(node)->parameter_gradient(operands_[node], rows, slot, task.tile, network_.gradient(task.parameter),
                                          accumulate);
    accumulate = true;
  }
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace nncore
