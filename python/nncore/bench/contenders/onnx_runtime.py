"""ONNX Runtime: inference."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from nncore.bench import case
from nncore.bench.case import Case, Contender
from nncore.bench.workloads import Network

__all__ = ["OnnxRuntime"]

_Session = Any  # this file is read where ONNX Runtime is not installed


class OnnxRuntime(Contender):
    """A session of one graph of `Gemm` and `Relu`."""

    modules = ("onnxruntime", "onnx")
    kinds: tuple[str, ...] = ("predict", "start")

    def __init__(self, threads: int) -> None:
        import onnxruntime

        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.runtime = onnxruntime

    def _session(self, net: Network) -> _Session:
        from onnx import TensorProto, helper, numpy_helper

        constants, nodes, name = [], [], "x"
        arrays = case.weights(net)
        for i in range(0, len(arrays), 2):
            constants += [numpy_helper.from_array(arrays[i + j], f"{kind}{i}") for j, kind in enumerate("wb")]
            last = i + 2 == len(arrays)
            nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], ["y" if last else f"z{i}"]))
            if not last:
                nodes.append(helper.make_node("Relu", [f"z{i}"], [f"h{i}"]))
            name = f"h{i}"
        tensors = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size])
            for name, size in (("x", net.sizes[0]), ("y", net.sizes[-1]))
        ]
        graph = helper.make_graph(nodes, "network", tensors[:1], tensors[1:], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return self.runtime.InferenceSession(model.SerializeToString(), self.options, ["CPUExecutionProvider"])

    def predict(self, spec: Network) -> Case:
        """`run` from and to NumPy arrays."""
        run = partial(self._session(spec).run, None, {"x": case.batch(spec)[0]})
        return Case(run, lambda: case.log_probabilities(spec, np.asarray(run()[0])))
