// The kernels of one instruction set, as a table of plain function pointers; the only thing the rest of the core sees of
// them.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace nncore {

// Matrices that the kernels like are cut into panels one cache line wide: panel p holds columns [p*w, (p+1)*w) with
// w = kPanel<T>. A weight [K, N] is stored as ceil(N / w) panels of K contiguous rows of w elements, zeros beyond column N.
// A row-major matrix is its own sequence of panels, with the leading dimension as row stride and w as panel stride.
template <class T>
constexpr size_t kPanel = 64 / sizeof(T);

// C[m, panels] (+)= A[m, k] B[k, panels] (+ bias). Every element of C is one chain of multiply-adds in ascending k, so the
// bits do not depend on blocking, on the other rows or on threads.
template <class T>
struct Gemm {
  size_t m, panels, k;
  const T* a;
  ptrdiff_t a_row, a_k;  // strides of A
  const T* b;
  ptrdiff_t b_k, b_panel;  // strides of B: next row of a panel, next panel
  T* c;
  ptrdiff_t c_row, c_panel;
  const T* bias;    // panels * kPanel<T> elements added at the end, or null
  bool accumulate;  // the chain starts at C instead of at zero
  T* scratch;       // gemm_scratch elements to copy operands into that lie badly, or null: then none is copied
};

// An elementwise activation. `attrs` are the attributes of its row in the op table, in that order.
template <class T>
struct Activation {
  const char* name;
  bool backward_reads_x, backward_reads_y;
  void (*forward)(T* y, const T* x, size_t n, const double* attrs);
  void (*backward)(T* dx, const T* x, const T* y, const T* dy, size_t n, const double* attrs);
};

// An op on whole rows of n elements, leading dimension ld for every array; or on columns of n elements, ld apart.
template <class T>
struct RowOp {
  const char* name;
  void (*forward)(T* y, const T* x, size_t rows, size_t n, size_t ld);
  void (*backward)(T* dx, const T* y, const T* dy, size_t rows, size_t n, size_t ld);
  void (*forward_columns)(T* y, const T* x, size_t n, size_t columns, size_t ld);
  void (*backward_columns)(T* dx, const T* y, const T* dy, size_t n, size_t columns, size_t ld);
};

// An op that makes one array of n elements from several, the parts of x, which begin `stride` apart.
template <class T>
struct PartOp {
  const char* name;
  size_t parts;  // or 0: the op's first attribute
  bool backward_reads_y;
  void (*forward)(T* y, const T* x, size_t parts, size_t n, size_t stride);
  void (*backward)(T* dx, const T* x, const T* y, const T* dy, size_t parts, size_t n, size_t stride);
};

// Vectors of n channels: `positions` of them, `step` apart, in each of `rows` samples, which are `ld` apart.
struct Channels {
  size_t rows, ld, positions, step, n;
};

// Normalisation of single vectors: see vectors.hpp.
template <class T>
struct VectorNormKernels {
  void (*forward)(T* y, T* statistics, size_t ld_statistics, const T* x, T epsilon, const T* gamma, const T* beta,
                  const Channels& c);
  void (*backward)(T* dx, const T* statistics, size_t ld_statistics, const T* x, const T* dy, const T* gamma,
                   const Channels& c);
};

constexpr int kMaxLossArrays = 2;

// A loss of rows of predictions. row_loss[r] is the sum over the row's parts; dpred = scale * d(sum of row losses)/d(pred);
// what lies between its rows is left alone. row_loss, values and dpred may be null: what only they need is not computed.
template <class T>
struct LossArgs {
  size_t rows, n;
  const T* pred;
  size_t ld_pred;
  const T* target;  // values [rows, ld_target], or null
  size_t ld_target;
  const int32_t* index;             // class of each row, or null; a row of a negative class costs nothing
  const double* attrs;              // those of the loss's row in the op table, in that order
  const T* arrays[kMaxLossArrays];  // its array options, n numbers each; null: not given
  double* row_loss;
  T* values;  // the parts of each row [rows, parts], contiguous, or null; for losses of one part they are the row losses
  T* dpred;
  size_t ld_dpred;
  T scale;
  const T* row_scale;  // one for each row instead of `scale`, or null; a row of scale 0 has gradient 0, come what may
};

// What the mean of a loss is taken over.
enum class LossParts : int { kRow, kElements, kHalf };  // one part for each row, for each element, for each two elements

template <class T>
struct Loss {
  const char* name;
  LossParts parts;
  bool class_mean;  // with class indices, a row's share in the mean is the weight of its class, arrays[0]
  void (*run)(const LossArgs<T>& args);
};

template <class T>
size_t part_count(const Loss<T>& loss, size_t n) {
  return loss.parts == LossParts::kRow ? 1 : loss.parts == LossParts::kHalf ? n / 2 : n;
}

constexpr int kMaxCoefficients = 16;
constexpr int kMaxStates = 3;

// The first coefficients mean the same for every rule: before its own arithmetic g = clip(scale g, -limit, limit),
// p = keep p, g += decay p. Its caller may set scale, limit and ratio, which prepare leaves at 1, infinity and 1.
enum Coefficient : int { kScale, kLimit, kKeep, kDecay, kRatio, kFirstOwn };

// An optimizer's update rule. prepare turns hyper-parameters (the row's order; the learning rate is the first) and
// t = 1, 2, ... into the coefficients.
template <class T>
struct Rule {
  const char* name;
  int states;
  void (*prepare)(double* coefficients, const double* hyper, double t);
  void (*update)(T* p, const T* g, T* const* states, size_t n, const double* coefficients);
  // Null for a rule in which elements do not mix. Otherwise what comes before update, which then leaves the states alone:
  // new states, and sums[0] += sum of p^2, sums[1] += sum of d^2 for the direction d of the step. The ratio is
  // trust_ratio() of the sums of the whole parameter.
  void (*norms)(const T* p, const T* g, T* const* states, size_t n, const double* coefficients, double* sums);
};

enum class Source : int { kF32, kF64, kU8, kI8, kU16, kI16, kU32, kI32, kU64, kI64, kCount };

constexpr int kMaxActivations = 32;
constexpr int kMaxRowOps = 8;
constexpr int kMaxPartOps = 4;
constexpr int kMaxLosses = 24;
constexpr int kMaxRules = 24;

template <class T>
struct Kernels {
  void (*gemm)(const Gemm<T>& args);
  size_t gemm_scratch, gemm_depth;  // gemm_depth: elements of k that it takes at a time
  // Panels from a matrix [k, n] with any strides; zeros beyond column n.
  void (*pack)(T* panels, const T* b, size_t k, size_t n, ptrdiff_t row, ptrdiff_t col);
  // Products of a single row and outer products: see single.hpp.
  void (*row_by_rows)(T* y, const T* x, ptrdiff_t x_step, const T* b, ptrdiff_t ld, size_t k, size_t n);
  void (*row_by_columns)(T* y, const T* x, const T* b, ptrdiff_t ld, size_t k, size_t n);
  void (*outer_product)(T* c, ptrdiff_t ld, const T* a, ptrdiff_t a_step, const T* b, size_t m, size_t n);
  // transposed panels [n, k] of rows [k0, k1) x panels [p0, p1) of panels [k, n]; k0 and, but at the end, k1 whole panels.
  void (*transpose)(T* transposed, const T* panels, size_t k, size_t n, size_t k0, size_t k1, size_t p0, size_t p1);
  // sums[j] (+)= sum over rows of x[r, j], in ascending r, j < n.
  void (*column_sums)(T* sums, const T* x, size_t rows, size_t n, size_t ld, bool accumulate);
  void (*add)(T* y, const T* a, const T* b, size_t n);
  // y = x[0] * x[1] * ... and y = (x[0] + x[1] + ...) / divisor, of `count` arrays from left to right; y may be any of
  // them.
  void (*product)(T* y, const T* const* x, size_t count, size_t n);
  void (*sum_over)(T* y, const T* const* x, size_t count, T divisor, size_t n);
  void (*zero_padding)(T* x, size_t rows, size_t n, size_t ld);
  // mask[j] = 0 or scale for row `row`, from Philox 4x32-10 with counter (j / 4, row, step, node).
  void (*dropout_mask)(T* mask, size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node, uint32_t threshold,
                       T scale);
  void (*apply_mask)(T* y, const T* x, const T* mask, size_t n);  // y = mask != 0 ? x * mask : 0
  void (*convert[static_cast<int>(Source::kCount)])(T* y, const void* x, size_t n);

  // Batch normalisation, channel by channel: see channels.hpp.
  void (*channel_moments)(T* mean, T* variance, const T* x, const Channels& c);
  void (*channel_normalize)(T* y, const T* x, const T* mean, const T* variance, T epsilon, const T* gamma, const T* beta,
                            const Channels& c);
  void (*channel_backward)(T* dx, T* sums, T* dots, const T* x, const T* dy, const T* mean, const T* variance, T epsilon,
                           const T* gamma, const Channels& c);
  // Layer and RMS normalisation, vector by vector, and penalties on weights: see vectors.hpp.
  VectorNormKernels<T> layer_norm, rms_norm;
  void (*vector_gradient)(T* gradient, const T* statistics, size_t ld_statistics, const T* x, const T* dy,
                          const Channels& c, bool accumulate);
  double (*penalize)(T* g, const T* p, size_t n, double l1, double l2);
  void (*limit_columns)(T* panels, size_t rows, size_t count, T limit);
  // Noise: see noise.hpp.
  void (*normals)(T* out, size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node);
  void (*add_scaled)(T* y, const T* x, const T* noise, T scale, size_t n);
  void (*apply_alpha_mask)(T* y, const T* x, const T* mask, T shift, T dropped, size_t n);

  Activation<T> activations[kMaxActivations];
  int activation_count;
  RowOp<T> row_ops[kMaxRowOps];
  int row_op_count;
  PartOp<T> part_ops[kMaxPartOps];
  int part_op_count;
  // Slopes where x <= 0: alpha[j], or alpha[0] for all.
  void (*prelu)(T* y, const T* x, const T* alpha, bool shared, size_t n);
  void (*prelu_backward)(T* dx, const T* x, const T* dy, const T* alpha, bool shared, size_t n);
  // dalpha[j] (+)= sum over rows of x dy where x <= 0, in ascending order; and the same sum over one array of n elements.
  void (*prelu_slopes)(T* dalpha, const T* x, const T* dy, size_t rows, size_t n, size_t ld, bool accumulate);
  double (*prelu_slope)(const T* x, const T* dy, size_t n);
  // slopes[j] = 1 where x > 0, else a number between lower and upper, drawn as the words of dropout_mask are.
  void (*rrelu_slopes)(T* slopes, const T* x, size_t n, uint64_t seed, uint32_t row, uint32_t step, uint32_t node,
                       double lower, double upper);
  Loss<T> losses[kMaxLosses];
  int loss_count;
  double (*sum_squares)(const T* x, size_t n);
  void (*blend)(T* y, const T* x, size_t n, double keep);  // y = keep y + (1 - keep) x
  Rule<T> rules[kMaxRules];
  int rule_count;
};

struct KernelTable {
  const char* isa;
  // n blocks of Philox 4x32-10: words [n, 4] from counters [n, 4] and keys [n, 2].
  void (*philox)(uint32_t* words, const uint32_t* counters, const uint32_t* keys, size_t n);
  Kernels<float> f32;
  Kernels<double> f64;
};

template <class T>
const Kernels<T>& kernels_of(const KernelTable& table);
template <>
inline const Kernels<float>& kernels_of<float>(const KernelTable& table) {
  return table.f32;
}
template <>
inline const Kernels<double>& kernels_of<double>(const KernelTable& table) {
  return table.f64;
}

// One for each instruction set that this build targets; each fills the whole table.
void fill_baseline(KernelTable& table);
void fill_avx2(KernelTable& table);
void fill_avx512(KernelTable& table);

}  // namespace nncore
