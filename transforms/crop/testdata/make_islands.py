"""Writes islands.json: the boxes of scattered voxels without their small islands, by SciPy.

islands_test.go scatters the same voxels by the same formula. Made with numpy 2.4.6 and SciPy 1.17.1: python make_islands.py
"""

import json
import pathlib

import numpy as np
from scipy import ndimage

SIZE = 128


def scattered(every, seed):
    """Voxels of a block of 40 x 60 x 50 at (50, 20, 70), one in so many."""
    i = np.arange(SIZE**3, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 1)):
        i = (i ^ (i >> np.uint32(shift))) * np.uint32(factor)
    land = (i % every == 0).reshape(SIZE, SIZE, SIZE)
    block = np.zeros_like(land)
    block[50:90, 20:80, 70:120] = land[50:90, 20:80, 70:120]
    return block


def box(land, share):
    labels, n = ndimage.label(land, structure=np.ones((3, 3, 3)))
    voxels = np.bincount(labels.ravel())[1:]
    kept = np.isin(labels, 1 + np.flatnonzero(voxels >= share * voxels.max()))
    return n, [[max(0, int(x.min()) - 1), min(SIZE, int(x.max()) + 1)] for x in np.nonzero(kept)]


cases = []
for every, seed in ((40, 1), (25, 2), (14, 3), (11, 4), (9, 5)):
    for share in (0.02, 0.1, 0.5, 1):
        n, ranges = box(scattered(every, seed), share)
        cases.append({"every": every, "seed": seed, "share": share, "islands": n, "box": ranges})
path = pathlib.Path(__file__).with_name("islands.json")
path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
