"""Writes tiny.onnx: a segmenter of 8x8x8 volumes with a batch normalisation, small enough to be trained by a test (onnx 1.23.2)."""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(2)
hidden = 6
weights = {
    "conv1.weight": rng.normal(0, (2 / 27) ** 0.5, (hidden, 1, 3, 3, 3)),
    "bn.weight": np.ones(hidden), "bn.bias": np.zeros(hidden), "bn.mean": np.zeros(hidden), "bn.var": np.ones(hidden),
    "conv2.weight": rng.normal(0, (2 / hidden) ** 0.5, (7, hidden, 1, 1, 1)), "conv2.bias": np.full(7, -2.0),
}
nodes = [
    helper.make_node("Conv", ["input", "conv1.weight"], ["a"], "conv1", kernel_shape=[3, 3, 3], pads=[1] * 6),
    helper.make_node("BatchNormalization", ["a", "bn.weight", "bn.bias", "bn.mean", "bn.var"], ["b"], "bn", epsilon=1e-5),
    helper.make_node("Relu", ["b"], ["c"], "relu"),
    helper.make_node("Conv", ["c", "conv2.weight", "conv2.bias"], ["d"], "conv2", kernel_shape=[1, 1, 1]),
    helper.make_node("Sigmoid", ["d"], ["probabilities"], "sigmoid"),
]
graph = helper.make_graph(
    nodes, "tiny", [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8, 8])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 7, 8, 8, 8])],
    [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="make_model.py")
onnx.checker.check_model(model)
onnx.save(model, pathlib.Path(__file__).with_name("tiny.onnx"))
