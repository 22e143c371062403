#!/usr/bin/env python3
"""Writes expected.json: which slices numpy picks, and volumes that the Python path makes of synthetic studies.

resample_test.go builds the same studies by the same formula. Made with numpy 2.4.6 and OpenCV 5.0.0:
    python make_expected.py --peer DIRECTORY > expected.json
DIRECTORY holds baseline.py, the Python path that cspine is compared with; its function resample is called.
Digests are the first 8 bytes of the sha256 of int32 picks, little endian, and of uint8 volumes, in C order.
"""
import argparse
import hashlib
import json
import sys

import numpy as np

STUDIES = [  # name, slices, sizes of the slices in turn, value type, edge of the volume
    ("uint16", 40, [(96, 80)], "uint16", 128),
    ("int16", 40, [(96, 80)], "int16", 128),
    ("many slices", 300, [(64, 64)], "int16", 128),
    ("sizes differ", 50, [(96, 80), (61, 203), (128, 128)], "uint16", 128),
    ("one slice", 1, [(96, 80)], "uint16", 32),
    ("small", 40, [(96, 80)], "int16", 32),
    ("small, enlarged", 7, [(24, 20)], "int16", 32),
]


def noise(rows, columns, seed):
    r, c = np.arange(rows, dtype=np.uint32)[:, None], np.arange(columns, dtype=np.uint32)[None]
    with np.errstate(over="ignore"):
        x = r * np.uint32(0x9E3779B1) + c * np.uint32(0x85EBCA77) + np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF)
        x = (x ^ x >> 15) * np.uint32(0x2C1B3C6D)
        x = (x ^ x >> 12) * np.uint32(0x297A2D39)
        return x ^ x >> 15


def ct(rows, columns, z):
    r, c = np.arange(rows)[:, None], np.arange(columns)[None]
    return abs(r * 21 % 2048 - 1024) + abs(c * 25 % 2048 - 1024) + 30 * z + (noise(rows, columns, z) >> 26).astype(np.int64)


def study(n, sizes, dtype):
    return [(ct(*sizes[z % len(sizes)], z) - (1024 if dtype == "int16" else 0)).astype(dtype) for z in range(n)]


def digest(b):
    return hashlib.sha256(b).hexdigest()[:16]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--peer", required=True, metavar="DIRECTORY")
    sys.path.insert(0, ap.parse_args().peer)
    import baseline

    out = dict(picks={}, volumes=[])
    for k in (128, 127, 33, 15, 5, 2):
        picks = [np.quantile(list(range(n)), np.linspace(0., 1., k)).round().astype("<i4") for n in range(1, 2001)]
        out["picks"][str(k)] = digest(np.concatenate(picks).tobytes())
    baseline.decoder = lambda slices: slices.__getitem__
    baseline.slice_paths = lambda slices: list(range(len(slices)))
    for name, n, sizes, dtype, edge in STUDIES:
        slices = study(n, sizes, dtype)
        for name_f in ("linear", "area"):
            baseline.SEG = edge
            v = np.ascontiguousarray(baseline.resample(slices, slices, "128", name_f))
            out["volumes"].append(dict(name=name, slices=n, sizes=sizes, dtype=dtype, edge=edge, filter=name_f, digest=digest(v.tobytes())))
    volumes = ",\n".join(json.dumps(v, separators=(",", ":")) for v in out["volumes"])
    print('{"picks":' + json.dumps(out["picks"]) + ',\n"volumes":[\n' + volumes + "\n]}")


if __name__ == "__main__":
    main()
