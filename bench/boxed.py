#!/usr/bin/env python3
"""Gives an untrained segmenter plausible boxes: boxed.py IN.onnx OUT.onnx

The network of a speed test has no training, so its masks say nothing and crops made from them are not the usual
work. This adds to its output, scaled to nothing, one block of ones for each level, of a vertebra's size and where
one lies in a neck. All of the network still runs. Needs numpy and onnx.
"""
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

m = onnx.load(sys.argv[1])
g = m.graph
y = g.output[0].name
for node in g.node:
    node.output[:] = ["raw_" + y if o == y else o for o in node.output]


def ramp(name, axis, ranges):
    a = np.zeros((1, 7) + tuple(128 if i == axis else 1 for i in range(3)), np.float32)
    for level, (lo, hi) in enumerate(ranges):
        np.moveaxis(a[0, level], axis, 0)[lo:hi] = 1
    g.initializer.append(numpy_helper.from_array(a, name))
    return name


rows = ramp("box_rows", 0, [(56, 80)] * 7)
columns = ramp("box_columns", 1, [(46, 80)] * 7)
slices = ramp("box_slices", 2, [(14 + 13 * i, 30 + 13 * i) for i in range(7)])
g.initializer.append(numpy_helper.from_array(np.array(1e-9, np.float32), "box_nothing"))
g.node.extend([
    helper.make_node("Mul", [rows, columns], ["box_plane"]),
    helper.make_node("Mul", ["box_plane", slices], ["box"]),
    helper.make_node("Mul", ["raw_" + y, "box_nothing"], ["box_faint"]),
    helper.make_node("Max", ["box_faint", "box"], [y]),
])
onnx.checker.check_model(m)
onnx.save(m, sys.argv[2])
