#!/usr/bin/env python3
"""Makes expected.json: images coded by OpenJPEG, and the SHA-256 of what OpenJPEG decodes them to, as 16 bits, little endian, signed samples
as two's complement.

Needs numpy, pylibjpeg-openjpeg (here 2.6.0) and the program opj_compress (Debian's libopenjp2-tools, here 2.5.0). make_expected.py > expected.json
"""
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import openjpeg

r = np.random.default_rng(1)
work = pathlib.Path(tempfile.mkdtemp())


def image(rows, columns, bits, signed, kind="slope"):
    y, x = np.mgrid[0:rows, 0:columns]
    most = 2**bits - 1
    if kind == "noise":
        a = r.integers(0, most + 1, (rows, columns))
    elif kind == "flat":
        a = np.full((rows, columns), most // 3)
    elif kind == "disc":  # much that is nothing, and an edge
        a = np.where((y - rows / 2) ** 2 + (x - columns / 2) ** 2 < (min(rows, columns) / 3) ** 2, most - (x + y) % 3, 0)
        a = np.clip(a, 0, most)
    else:
        a = np.clip((x * 3 + y * 2) * most / (3 * columns + 2 * rows) + r.normal(0, min(most / 60, 6) + 0.3, (rows, columns)), 0, most).astype(int)
    return a - 2 ** (bits - 1) if signed else a


def coded(rows, columns, bits, signed, options, kind="slope", box=False):
    a = image(rows, columns, bits, signed, kind)
    if not options:
        data = openjpeg.utils.encode_array(a.astype(("<i" if signed else "<u") + ("2" if bits > 8 else "1")), bits_stored=bits, codec_format=int(box))
        b = openjpeg.decode(data).astype(int)
    else:  # of 8 bits and more: others come out changed
        kind = ("<i" if signed else "<u") + ("2" if bits > 8 else "1")
        raw, out, back = work / "a.rawl", work / "a.j2k", work / "b.rawl"
        raw.write_bytes(a.astype(kind).tobytes())
        for f in (out, back):
            f.unlink(missing_ok=True)
        form = f"{columns},{rows},1,{bits},{'s' if signed else 'u'}"
        subprocess.run(["opj_compress", "-i", raw, "-o", out, "-F", form, *options.split()], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["opj_decompress", "-i", out, "-o", back], check=True, stdout=subprocess.DEVNULL)
        data, b = out.read_bytes(), np.frombuffer(back.read_bytes(), kind).astype(int).reshape(a.shape)
    if "-r" not in options and "-q" not in options:
        assert (a == b).all(), options
    return data, (b & 0xFFFF).astype("<u2").tobytes()


cases = []


def case(options="", rows=47, columns=60, bits=10, signed=False, kind="slope", box=False):
    try:
        data, samples = coded(rows, columns, bits, signed, options, kind, box)
    except subprocess.CalledProcessError:  # it does not code such an image
        print(rows, columns, bits, options, file=sys.stderr)
        return
    cases.append(
        {
            "name": f"{kind}, {rows}x{columns}, {bits} bits{' signed' * signed}{', jp2' * box} {options}".strip(),
            "rows": rows,
            "columns": columns,
            "bits": bits,
            "signed": signed,
            "image": base64.b64encode(data).decode(),
            "sha256": hashlib.sha256(samples).hexdigest(),
        }
    )


for bits in range(1, 17):
    for signed in (False, True)[: 1 + (bits > 1)]:
        case(rows=32, columns=35, bits=bits, signed=signed)
for kind in ("noise", "flat", "disc"):
    for bits in (8, 12, 16):
        case(kind=kind, rows=37, columns=41, bits=bits, signed=bits == 16)
case(box=True)
case(box=True, bits=16, signed=True, rows=33)
for rows, columns in ((1, 1), (1, 60), (60, 1), (2, 2), (2, 3), (3, 2), (5, 1), (7, 9), (65, 33), (4, 130)):
    for levels in (1, 2, 6, 33):
        if 2 ** (levels - 1) <= min(rows, columns):
            case(f"-n {levels}", rows=rows, columns=columns)
for order in ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL"):
    case(f"-p {order} -r 20,5,1 -n 4 -c [16,16],[8,8],[8,4] -b 8,8")
    case(f"-p {order} -r 10,1 -n 3 -c [32,32] -t 33,20 -d 7,5 -T 3,2 -SOP -EPH -b 16,16")
    case(f"-p {order} -r 30,8 -n 3 -d 13,1 -TP R -c [32,32],[16,16],[16,16] -b 4,4")
for style in (1, 2, 4, 8, 16, 32, 5, 9, 13, 36, 40, 58, 63):
    case(f"-M {style} -b 16,16 -n 3")
    case(f"-M {style} -r 12,6,2,1 -b 32,32 -n 3", kind="noise", bits=12, rows=40, columns=40)
for w, h in ((4, 4), (64, 64), (4, 64), (64, 4), (32, 16), (4, 256), (256, 4), (1024, 4)):
    case(f"-b {w},{h} -n 2", rows=70, columns=40)
for x, y in ((1, 0), (0, 1), (1, 1), (3, 2), (100, 31)):
    case(f"-d {x},{y} -n 4", rows=21, columns=18)
    case(f"-d {x},{y} -n 2 -t 7,6", rows=21, columns=18)
for rate in ("-r 40", "-r 10", "-r 4", "-q 30,40", "-r 60,30,15,8 -b 16,16", "-r 9 -M 8", "-r 9 -n 3 -d 3,3 -t 30,30"):
    case(rate)
    case(rate, bits=16, signed=True)
for w in (9, 17, 32, 33):  # every parity at every resolution
    for x in range(5):
        case(f"-d {x},{x * 3 % 5} -n 4 -b 16,16", rows=w, columns=41 - w)
for options in ("-TLM -PLT", "-TP L -r 9,3,1", "-TP R -t 32,32", "-GuardBits 7", "-GuardBits 1", "-C a_comment", "-t 16,16 -n 4", "-t 1,9 -n 1", "-c [8,4],[4,8] -n 2 -b 4,4"):
    case(options, rows=37)
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
