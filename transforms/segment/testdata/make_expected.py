#!/usr/bin/env python3
"""Makes expected.json: what the reference's way with label images gives (numpy 2, OpenCV 5), for a synthetic label image.

The label image is array[x, y, z] with the reference's axes (columns, rows reversed, slices reversed); the test makes the same by
the same integer formula, in any other order of the axes, and brings it to the slices by affines instead.
"""
import hashlib
import json
import os

import cv2
import numpy as np

SEG = 128


def labels(nx, ny, nz):
    """Eight ellipsoids, the eighth being no cervical vertebra; they touch, the first is drawn first."""
    x, y, z = np.ogrid[:nx, :ny, :nz]
    lab = np.zeros((nx, ny, nz), np.uint8)
    for v in range(8, 0, -1):
        cx, cy, cz = nx * (30 + 4 * v) // 100, ny * (70 - 3 * v) // 100, nz * (100 - 11 * v) // 100
        rx, ry, rz = nx // 7, ny // 9 + v, nz // 11
        inside = (x - cx) ** 2 * (ry * rz) ** 2 + (y - cy) ** 2 * (rx * rz) ** 2 + (z - cz) ** 2 * (rx * ry) ** 2 < (rx * ry * rz) ** 2
        lab[inside] = v
    return lab


def mask(lab):
    lab = lab.transpose(1, 0, 2)[::-1, :, ::-1]
    idx = np.quantile(list(range(lab.shape[2])), np.linspace(0., 1., SEG)).round().astype(int)
    msk = np.zeros((7, SEG, SEG, SEG), np.uint8)
    for j, k in enumerate(idx):
        cut = lab[:, :, k]
        for v in np.unique(cut[(cut > 0) & (cut < 8)]):
            msk[int(v) - 1, :, :, j] = cv2.resize((cut == v).astype(np.uint8) * 255, (SEG, SEG), interpolation=cv2.INTER_AREA)
    return msk


out = []
for shape in ((256, 256, 60), (200, 260, 70), (128, 384, 140), (100, 90, 40)):
    m = mask(labels(*shape))
    out.append(dict(shape=shape, sha256=hashlib.sha256(m.tobytes()).hexdigest(), sums=[int(m[v].sum()) for v in range(7)]))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected.json"), "w") as f:
    f.write("[\n" + ",\n".join(map(json.dumps, out)) + "\n]\n")
