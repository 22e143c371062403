#!/usr/bin/env python3
"""Makes expected.json: images coded by CharLS, and the SHA-256 of what CharLS decodes them to, uint16 little endian.

Needs numpy and pyjpegls. make_expected.py > expected.json
"""
import base64
import hashlib
import json

import jpeg_ls
import numpy as np

r = np.random.default_rng(1)


def image(kind, rows, columns, most):
    y, x = np.mgrid[0:rows, 0:columns]
    if kind == "noise":
        return r.integers(0, most + 1, (rows, columns))
    if kind == "flat":
        return np.full((rows, columns), most // 3)
    if kind == "steps":  # runs, and what interrupts them
        return (x // 7 + y // 5) % 3 * (most // 2)
    slope = (x * 3 + y * 2) * most / (3 * columns + 2 * rows)
    return np.clip(slope + r.normal(0, most / 100 + 0.3, (rows, columns)), 0, most)


cases = []
for bits in (2, 3, 4, 7, 8, 9, 10, 12, 13, 15, 16):
    for near in (0, 1, 3):
        most = 2**bits - 1
        if near > most // 2:
            continue
        for kind in ("noise", "flat", "steps", "slope"):
            for rows, columns in ((1, 60), (70, 1), (3, 31), (13, 21)):
                if (rows, columns) != (13, 21) and (near != 0 or kind != "slope"):
                    continue
                a = np.ascontiguousarray(image(kind, rows, columns, most).astype(np.uint8 if bits <= 8 else np.uint16))
                try:
                    coded = bytes(jpeg_ls.encode_buffer(a.tobytes(), rows, columns, 1, bits, lossy_error=near))
                except RuntimeError:  # it gives an image as much room as its samples have
                    continue
                b = np.frombuffer(jpeg_ls.decode_buffer(coded)[0], a.dtype).reshape(rows, columns)
                assert np.abs(b.astype(int) - a.astype(int)).max() <= near
                cases.append(
                    {
                        "name": f"{kind}, {bits} bits, off by {near}, {rows}x{columns}",
                        "rows": rows,
                        "columns": columns,
                        "bits": bits,
                        "image": base64.b64encode(coded).decode(),
                        "sha256": hashlib.sha256(b.astype("<u2").tobytes()).hexdigest(),
                    }
                )
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
