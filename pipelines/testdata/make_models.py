#!/usr/bin/env python3
"""Makes the two small segmenters of the tests: one 1x1x1 convolution and a sigmoid, [1,1,128,128,128] → [1,7,128,128,128].

Each level is "brighter than its threshold"; the second model differs from the first in C3's threshold alone.
Needs numpy and onnx. make_models.py DIR
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def segmenter(thresholds):
    steep = 200.0
    w = np.full((7, 1, 1, 1, 1), steep, np.float32)
    b = (-steep * np.array(thresholds)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["z"], kernel_shape=[1, 1, 1]), helper.make_node("Sigmoid", ["z"], ["y"])]
    graph = helper.make_graph(nodes, "threshold", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 128, 128, 128])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 7, 128, 128, 128])],
                              [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, producer_name="cspine", opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


first = [0.60, 0.62, 0.64, 0.66, 0.68, 0.70, 0.72]
second = list(first)
second[2] = 0.75
onnx.save(segmenter(first), sys.argv[1] + "/first.onnx")
onnx.save(segmenter(second), sys.argv[1] + "/second.onnx")
