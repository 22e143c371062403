#!/usr/bin/env python3
"""Writes shared.json: what nibabel (5.4.2) reads from the NIfTI files of the public test data, every voxel of them.

    make_shared.py DATA     DATA is the folder that CSPINE_TESTDATA names

sha256 is of the scaled values as float64, little endian, the first index fastest. A file that nibabel refuses has the name of
its exception instead.
"""
import glob
import hashlib
import json
import os
import sys

import nibabel as nib
import numpy as np

data = sys.argv[1]
out = []
for path in sorted(glob.glob(os.path.join(data, "nifti", "*.nii*")) + glob.glob(os.path.join(data, "ct", "**", "*.nii*"), recursive=True)):
    name = os.path.relpath(path, data)
    try:
        img = nib.load(path)
        values = img.get_fdata(dtype=np.float64)
    except Exception as e:
        out.append(dict(file=name, refused=type(e).__name__))
        continue
    out.append(dict(file=name, shape=img.shape, dtype=img.get_data_dtype().newbyteorder("=").name, affine=img.affine[:3].tolist(),
                    sha256=hashlib.sha256(values.astype("<f8").tobytes(order="F")).hexdigest()))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "shared.json"), "w") as f:
    f.write("[\n" + ",\n".join(map(json.dumps, out)) + "\n]\n")
