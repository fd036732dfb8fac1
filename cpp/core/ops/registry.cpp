// The list of native ops.
#include <stdexcept>

#include "core/cpu.hpp"
#include "core/ops/factories.hpp"

namespace nncore {
namespace {

template <class T>
struct Named {
  const char* name;
  OpFactory<T> make;
};

template <class T>
constexpr Named<T> kOps[] = {
    {"dense", make_dense<T>},
    {"dropout", make_dropout<T>},
    {"add", make_add<T>},
    {"multiply", make_multiply<T>},
    {"average", make_average<T>},
    {"concatenate", make_concatenate<T>},
    {"flatten", make_flatten<T>},
    {"batch_norm", make_batch_norm<T>},
    {"reshape", make_flatten<T>},
    {"layer_norm", make_layer_norm<T>},
    {"rms_norm", make_rms_norm<T>},
    {"gaussian_noise", make_gaussian_noise<T>},
    {"alpha_dropout", make_alpha_dropout<T>},
    {"embedding", make_embedding<T>},
    {"one_hot", make_one_hot<T>},
    {"prelu", make_prelu<T>},
    {"rrelu", make_rrelu<T>},
};

}  // namespace

template <class T>
std::unique_ptr<Op<T>> make_op(const std::string& name, const Kernels<T>& kernels, const NodeInfo& node) {
  for (int i = 0; i < kernels.activation_count; ++i)
    if (name == kernels.activations[i].name) return make_activation(kernels, node, i);
  for (int i = 0; i < kernels.row_op_count; ++i)
    if (name == kernels.row_ops[i].name) return make_row_op(kernels, node, i);
  for (int i = 0; i < kernels.part_op_count; ++i)
    if (name == kernels.part_ops[i].name) return make_part_op(kernels, node, i);
  for (const auto& op : kOps<T>)
    if (name == op.name) return op.make(kernels, node);
  if (node.function) return make_function(kernels, node);
  throw std::invalid_argument("op: the native engine has no op called '" + name + "'");
}

std::vector<std::string> op_names() {
  const Kernels<float>& k = active_kernels().f32;
  std::vector<std::string> names;
  for (int i = 0; i < k.activation_count; ++i) names.emplace_back(k.activations[i].name);
  for (int i = 0; i < k.row_op_count; ++i) names.emplace_back(k.row_ops[i].name);
  for (int i = 0; i < k.part_op_count; ++i) names.emplace_back(k.part_ops[i].name);
  for (const auto& op : kOps<float>) names.emplace_back(op.name);
  return names;
}

template std::unique_ptr<Op<float>> make_op(const std::string&, const Kernels<float>&, const NodeInfo&);
template std::unique_ptr<Op<double>> make_op(const std::string&, const Kernels<double>&, const NodeInfo&);

}  // namespace nncore
