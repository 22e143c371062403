#!/usr/bin/env python3
"""What C's zstd makes of crops, level by level, on one core: zstd_levels.py 'work/crops/*.npy'

Prints size and crops a second of the codec alone. Compare with `go test -bench Append ./internal/planezstd`. Needs
numpy and pyarrow.
"""
import glob
import sys
import time

import numpy as np
import pyarrow as pa

crops = [np.load(p).tobytes() for p in sorted(glob.glob(sys.argv[1]))]
raw = sum(map(len, crops))
for level in (1, 2, 3):
    codec = pa.Codec("zstd", compression_level=level)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        size = sum(len(codec.compress(x, asbytes=True)) for x in crops)
        seconds.append(time.perf_counter() - start)
    print(f"level {level}: {size / raw:.4f} of the size, {len(crops) / sorted(seconds)[2]:.1f} crops/s")
