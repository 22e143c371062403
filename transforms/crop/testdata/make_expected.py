#!/usr/bin/env python3
"""Writes expected.json: boxes, places and crops that the Python path makes of synthetic studies and masks.

crop_test.go builds the same studies and masks by the same formulas. Made with numpy 2.4.6 and OpenCV 5.0.0:
    python make_expected.py --peer DIRECTORY > expected.json
DIRECTORY holds baseline.py, the Python path that cspine is compared with; its functions boxes and
crop_vertebra are called. Digests are the first 8 bytes of the sha256 of int32 places, little endian, and of
uint8 crops, in C order.
"""
import argparse
import hashlib
import json
import sys

import numpy as np

STUDIES = [  # name, slices, rows, columns, value type
    ("unsigned, to the edges", 40, 512, 512, "uint16"),
    ("signed, to the edges", 40, 512, 512, "int16"),
    ("fewer slices than places", 9, 512, 512, "int16"),
    ("odd size", 150, 161, 203, "int16"),
    ("large", 20, 640, 768, "uint16"),
]

# row, column, slice of the centre in the mask; squared distance that halves nothing but ends it; peak
VERTEBRAE = [(60, 64, 0, 300, 255), (30, 90, 30, 400, 255), (0, 64, 50, 500, 200), (64, 127, 70, 450, 255), (90, 20, 85, 200, 40), (64, 64, 100, 0, 0),
             (70, 60, 127, 900, 255)]


def noise(rows, columns, seed):
    r, c = np.arange(rows, dtype=np.uint32)[:, None], np.arange(columns, dtype=np.uint32)[None]
    with np.errstate(over="ignore"):
        x = r * np.uint32(0x9E3779B1) + c * np.uint32(0x85EBCA77) + np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF)
        x = (x ^ x >> 15) * np.uint32(0x2C1B3C6D)
        x = (x ^ x >> 12) * np.uint32(0x297A2D39)
        return x ^ x >> 15


def ct(rows, columns, z, dtype):
    r, c = np.arange(rows)[:, None], np.arange(columns)[None]
    v = abs(r * 21 % 2048 - 1024) + abs(c * 25 % 2048 - 1024) + 30 * (z // 3) + (noise(rows, columns, z) >> 26).astype(np.int64)
    return (v - 1024 if dtype == "int16" else v + 7).astype(dtype)


def mask():
    out = np.zeros((7, 128, 128, 128), np.uint8)
    r, c, s = np.ogrid[:128, :128, :128]
    for level, (row, column, slice_, far, peak) in enumerate(VERTEBRAE):
        if peak:
            d = (r - row) ** 2 + (c - column) ** 2 + 4 * (s - slice_) ** 2
            out[level] = np.maximum(0, peak - d * peak // far)
    return out


def digest(b):
    return hashlib.sha256(b).hexdigest()[:16]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--peer", required=True, metavar="DIRECTORY")
    sys.path.insert(0, ap.parse_args().peer)
    import baseline

    places = []
    for n in list(range(1, 130)) + [200, 241, 300, 333, 512, 700, 1001]:
        for z1 in range(0, 128, 3):
            for z2 in (z1 + 1, z1 + 2, z1 + 7, z1 + 15, z1 + 20, z1 + 33):
                a, b = int(z1 / 128 * n), int(z2 / 128 * n)
                if z2 <= 128 and a < b:
                    places += [np.linspace(a, b - 1, 15).astype(int), np.linspace(z1, z2 - 1, 15).astype(int)]
    out = dict(places=digest(np.concatenate(places).astype("<i4").tobytes()), boxes=[], crops=[])
    m = mask().astype(np.float32) / 255
    for level in range(7):
        b = baseline.boxes(m, level)
        out["boxes"].append(None if b is None else [[int(x), int(y)] for x, y in b])
    for name, n, rows, columns, dtype in STUDIES:
        slices = [ct(rows, columns, z, dtype) for z in range(n)]

        def get(i):
            if i < 0:
                raise IndexError(i)
            return slices[i]

        digests = []
        for level in range(7):
            b = baseline.boxes(m, level)
            edge = b is not None and (int(b[2][0] / 128 * n) < 2 or int(b[2][1] / 128 * n) > n - 2)
            if b is None or edge and (rows, columns) != (512, 512):  # the Python path cannot: its missing neighbour is 512x512
                digests.append("")
            elif int(b[2][0] / 128 * n) >= int(b[2][1] / 128 * n):
                digests.append("empty")
            else:
                digests.append(digest(baseline.crop_vertebra(m, level, n, get).tobytes()))
        out["crops"].append(dict(name=name, slices=n, rows=rows, columns=columns, dtype=dtype, digests=digests))
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
