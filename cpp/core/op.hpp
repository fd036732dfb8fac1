// What the executor knows of an op: traits for planning, and forward, backward and parameter gradients on ranges of rows,
// or of columns where an op mixes rows.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/faults.hpp"
#include "core/graph.hpp"
#include "core/memory.hpp"
#include "kernels/kernel_table.hpp"

namespace nncore {

// A node as the op's constructor sees it.
struct NodeInfo {
  uint32_t index;                            // position in the graph
  std::vector<double> attrs;                 // in the order of the op's row in the op table
  std::vector<size_t> widths;                // elements per sample of each input
  std::vector<std::vector<int64_t>> shapes;  // per sample, of each input
  std::shared_ptr<BatchFunction> function;   // of op "python"
  size_t last_axis;                          // length of the last axis of the first input
};

struct Pass {
  bool training;
  uint64_t seed;
  uint32_t draw;          // which training pass this is: the step of the Philox counter
  Faults* faults;         // where an op reports input that it cannot take; it goes on with any values then
  bool few_rows = false;  // fewer than threads, which then share the columns of the ops that can do so
};

// How the result of an op for one row depends on the other rows of the batch.
enum class Mixing {
  kNone,     // not at all: each thread carries its own rows through the op
  kColumns,  // a column of the result needs the same columns of all rows: threads share the columns
  kBatch,    // in any way: one thread calls the op for the whole batch
};

struct Columns {
  size_t begin, end;
  size_t count() const { return end - begin; }
};

template <class T>
struct Parameter {
  const T* value = nullptr;       // panels [rows, columns]
  const T* transposed = nullptr;  // panels [columns, rows], kept for ops that ask for it
  T* state = nullptr;             // the value, for an op that keeps what it learns itself there: see Op::commit
  size_t rows = 0, columns = 0;
};

// A node's arrays. x: inputs, y: output, dx and dy: their gradients, work: the op's own, per row, batch: the op's own, per
// batch.
template <class T>
struct Operands {
  std::vector<Matrix<T>> x, dx;
  Matrix<T> y, dy, work;
  T* batch = nullptr;
  std::vector<Parameter<T>> parameters;
};

// A block of a parameter: rows x panels.
struct Tile {
  size_t row_begin, row_end, panel_begin, panel_end;
};

template <class T>
class Op {
 public:
  virtual ~Op() = default;

  virtual bool backward_reads_x() const { return false; }
  virtual bool backward_reads_y() const { return false; }
  // y may overwrite x, and dx may overwrite dy.
  virtual bool in_place() const { return false; }
  // Needs a transposed copy of its parameter `slot` for the gradient of its input.
  virtual bool reads_transposed(size_t slot) const {
    (void)slot;
    return false;
  }
  virtual size_t work_width() const { return 0; }
  virtual size_t batch_size() const { return 0; }
  virtual Mixing mixing(bool training) const {
    (void)training;
    return Mixing::kNone;
  }
  // What threads share for an op of Mixing::kColumns.
  virtual size_t columns() const { return 0; }
  // Whether forward_batch does columns of an op that mixes no rows too: for fewer rows than threads.
  virtual bool takes_columns() const { return false; }

  // y = f(x), for some rows.
  virtual void forward(const Operands<T>& o, Rows rows, const Pass& pass) const = 0;
  // dx[i] = (df/dx[i])^T dy for every dx[i] that has data, for some rows; overwrites.
  virtual void backward(const Operands<T>& o, Rows rows) const = 0;
  // The same where the op mixes rows: for all rows, and for some columns (kColumns) or once with all (kBatch). What a call
  // for the whole batch throws, its caller reports.
  virtual void forward_batch(const Operands<T>& o, size_t rows, Columns columns, const Pass& pass) const {
    (void)o, (void)rows, (void)columns, (void)pass;
  }
  virtual void backward_batch(const Operands<T>& o, size_t rows, Columns columns) const {
    (void)o, (void)rows, (void)columns;
  }
  // Takes what a training pass over a batch has taught the op itself into the state of its parameters. Called once for each
  // such pass that counts, by one thread, when no other runs the op.
  virtual void commit(const Operands<T>& o, size_t rows) const { (void)o, (void)rows; }
  // gradient (+)= (df/dparameter)^T dy over all rows, for one tile of parameter `slot`; `gradient` is the whole
  // parameter's.
  virtual void parameter_gradient(const Operands<T>& o, size_t rows, size_t slot, const Tile& tile, T* gradient,
                                  bool accumulate) const {
    (void)o, (void)rows, (void)slot, (void)tile, (void)gradient, (void)accumulate;
  }
  // Multiply-adds of a forward pass per row.
  virtual double cost() const { return 0; }
};

template <class T>
using OpFactory = std::unique_ptr<Op<T>> (*)(const Kernels<T>& kernels, const NodeInfo& node);

// The op called `name`; std::invalid_argument if there is none. Activations come from the kernel table, the others from the
// list in ops/registry.cpp.
template <class T>
std::unique_ptr<Op<T>> make_op(const std::string& name, const Kernels<T>& kernels, const NodeInfo& node);

// All names that make_op knows.
std::vector<std::string> op_names();

}  // namespace nncore
