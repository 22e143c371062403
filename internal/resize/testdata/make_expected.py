#!/usr/bin/env python3
"""Writes expected.json: what cv2.resize makes of planes that resize_test.go builds by the same formula.

Made with OpenCV 5.0.0 (PyPI opencv-python-headless, x86-64, Intel IPP on) and numpy 2.4.6:
    python make_expected.py > expected.json
A digest is the first 8 bytes of the sha256 of the values as little-endian int32, row by row.
"""
import hashlib
import json

import cv2
import numpy as np

SIZES = [((512, 512), (128, 128)), ((512, 512), (224, 224)), ((500, 500), (128, 128)), ((96, 80), (128, 128)), ((61, 203), (128, 128)),
         ((31, 9), (224, 224)), ((448, 448), (224, 224)), ((256, 256), (128, 128)), ((1, 211), (5, 128)), ((211, 1), (128, 7)), ((1, 1), (4, 4)),
         ((128, 128), (128, 128)), ((300, 100), (128, 128)), ((100, 300), (128, 128)), ((640, 512), (128, 128)), ((768, 768), (128, 128)),
         ((512, 512), (127, 129)), ((97, 101), (224, 223)), ((1024, 768), (128, 128)), ((2, 2), (3, 5)), ((512, 384), (512, 128))]


def noise(rows, columns, seed):
    r, c = np.arange(rows, dtype=np.uint32)[:, None], np.arange(columns, dtype=np.uint32)[None]
    with np.errstate(over="ignore"):
        x = r * np.uint32(0x9E3779B1) + c * np.uint32(0x85EBCA77) + np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF)
        x = (x ^ x >> 15) * np.uint32(0x2C1B3C6D)
        x = (x ^ x >> 12) * np.uint32(0x297A2D39)
        return x ^ x >> 15


def ct(rows, columns, seed):
    """Ramps that rise and fall, with 6 bits of noise: 0 … 2110."""
    r, c = np.arange(rows)[:, None], np.arange(columns)[None]
    return abs(r * 7 % 2048 - 1024) + abs(c * 5 % 2048 - 1024) + (noise(rows, columns, seed) >> 26).astype(np.int64)


def plane(kind, dtype, rows, columns, seed):
    if kind == "ct":
        x = ct(rows, columns, seed)
        return {"uint8": x >> 4, "uint16": x, "int16": x - 1024}[dtype].astype(dtype)
    x = noise(rows, columns, seed)
    return {"uint8": x >> 24, "uint16": x >> 16, "int16": (x >> 16).astype(np.int64) - 32768}[dtype].astype(dtype)


def digest(x):
    return hashlib.sha256(np.ascontiguousarray(x, dtype="<i4").tobytes()).hexdigest()[:16]


def main():
    cases = []
    for seed, ((rows, columns), (to_rows, to_columns)) in enumerate(SIZES):
        for kind in ("noise", "ct"):
            for dtype in ("uint8", "uint16", "int16"):
                for name, flag in (("linear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)):
                    y = cv2.resize(plane(kind, dtype, rows, columns, seed), (to_columns, to_rows), interpolation=flag)
                    case = dict(kind=kind, dtype=dtype, filter=name, rows=rows, columns=columns, seed=seed, to_rows=to_rows, to_columns=to_columns,
                                digest=digest(y))
                    cases.append(case)
    print("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
