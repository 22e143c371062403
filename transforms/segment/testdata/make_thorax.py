#!/usr/bin/env python3
"""Makes thorax.json from the shared test data's ct/thorax-j2k: each slice's place, as pydicom reads it. Argument: the data's folder."""
import glob
import json
import os
import sys

import pydicom

out = []
for path in sorted(glob.glob(os.path.join(sys.argv[1], "ct", "thorax-j2k", "*"))):
    d = pydicom.dcmread(path, stop_before_pixels=True)
    out.append(dict(position=[float(v) for v in d.ImagePositionPatient], orientation=[float(v) for v in d.ImageOrientationPatient],
                    spacing=[float(v) for v in d.PixelSpacing]))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "thorax.json"), "w") as f:
    f.write("[\n" + ",\n".join(map(json.dumps, out)) + "\n]\n")
