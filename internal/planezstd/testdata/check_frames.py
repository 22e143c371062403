"""Checks that every X.zst of a folder is a zstd frame of what X.raw holds, by the zstd inside pyarrow.

usage: check_frames.py FOLDER
"""
import glob
import sys

import pyarrow as pa

names = sorted(glob.glob(sys.argv[1] + "/*.zst"))
for name in names:
    want = open(name[:-4] + ".raw", "rb").read()
    got = pa.Codec("zstd").decompress(open(name, "rb").read(), len(want)).to_pybytes() if want else b""
    assert got == want, name
print(len(names), "frames exact")
