#!/usr/bin/env python3
"""Compares cspine's volumes and crops with the Python path's, array by array.

    equal.py OURS THEIRS        folders of <uid>.npy (volumes), or of <uid>_C1.npy … and <uid>_0.npy … (crops)

Ours come from `cspine export --format npy`. Prints the greatest difference and the share of values within one
grey level; ends with status 1 if a volume differs by more than 1 anywhere or a crop by more than 1 in more than
0.1 % of its values. Needs numpy.
"""
import glob
import os
import sys

import numpy as np

ours, theirs = sys.argv[1:3]
bad = n = 0
exact = True
for path in sorted(glob.glob(os.path.join(ours, "*.npy"))):
    name = os.path.basename(path)[:-4]
    crop = name[-3:-1] == "_C"
    other = os.path.join(theirs, f"{name[:-2]}{int(name[-1]) - 1}.npy" if crop else name + ".npy")
    if not os.path.exists(other):
        continue
    a, b = np.load(path).astype(int), np.load(other).astype(int)
    if a.shape != b.shape:
        sys.exit(f"{name}: shape {a.shape}, theirs {b.shape}")
    d = np.abs(a - b)
    within = (d <= 1).mean()
    n += 1
    exact &= not d.any()
    if (within < 0.999) if crop else (d.max() > 1):
        bad += 1
        print(f"{name}: greatest difference {d.max()}, within one level {within:.6f}")
print(f"{n} arrays compared, {bad} outside the bounds, {'all' if exact else 'not all'} exactly equal")
sys.exit(1 if bad or not n else 0)
