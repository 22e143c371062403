#!/usr/bin/env python3
"""Milliseconds to decode a 512x512 CT slice, cspine against pydicom, each in one process on one core, in turn.

    go build -o slices ./bench/slices
    python bench/dicom_versus.py --slices ./slices FILES...

FILES are CT slices in any form that pydicom reads, such as those of one series. Each is written anew in every transfer syntax below, by
GDCM, CharLS and OpenJPEG, into --work. Both programs then read these files; that they see the same values is checked first.

Two ways are timed. "file": from a path to samples, the header read each time (pydicom's dcmread and pixel_array). "pixels": the header is
known; pydicom has the encoded bytes in memory and decodes by its fastest plugin, cspine reads them from the file each time.

A last column says how many slices a second two goroutines on two cores decode, to those of one on one.

    python bench/dicom_versus.py --slices ./slices --differences FILES...

says instead by how much the values of other files differ at most, and in what part of the samples.

Needs numpy, pydicom 3, pylibjpeg-libjpeg, pylibjpeg-openjpeg, python-gdcm, pyjpegls.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "JPEG Lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


def make(files, work):
    """Writes each slice in every syntax, and returns the paths."""
    import gdcm

    made = {name: [] for name in SYNTAXES}
    for i, source in enumerate(files):
        d = pydicom.dcmread(source)
        pixels = get_decoder(d.file_meta.TransferSyntaxUID).as_array(d, raw=True)[0]
        d.PixelData = pixels.tobytes()
        d["PixelData"].VR = "OW"
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        plain = work / f"{i:03}-plain.dcm"
        d.save_as(plain, implicit_vr=False, little_endian=True)
        for name, uid in SYNTAXES.items():
            path = work / f"{i:03}-{uid}.dcm"
            if uid == ExplicitVRLittleEndian:
                path.write_bytes(plain.read_bytes())
            elif uid == JPEGLosslessSV1:
                reader = gdcm.ImageReader()
                reader.SetFileName(str(plain))
                assert reader.Read()
                change = gdcm.ImageChangeTransferSyntax()
                change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
                change.SetInput(reader.GetImage())
                assert change.Change()
                fragments = change.GetOutput().GetDataElement().GetSequenceOfFragments()
                frame = b"".join(
                    fragments.GetFragment(k).GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
                    for k in range(fragments.GetNumberOfFragments())
                )
                coded = pydicom.dcmread(plain)
                coded.PixelData = encapsulate([frame])
                coded["PixelData"].VR, coded["PixelData"].is_undefined_length = "OB", True
                coded.file_meta.TransferSyntaxUID = uid
                coded.save_as(path)
            else:
                coded = pydicom.dcmread(plain)
                coded.compress(uid, encoding_plugin="pyjpegls" if uid == JPEGLSLossless else "pylibjpeg", generate_instance_uid=False)
                coded.save_as(path)
            made[name].append(path)
        plain.unlink()
    return made


def read_file(path):
    return pydicom.dcmread(path).pixel_array


def decode(way, plugin, rounds, paths):
    """Times one way in this process, and prints milliseconds a slice."""
    if way == "pixels":
        sets = [pydicom.dcmread(p) for p in paths]
        decoder = get_decoder(sets[0].file_meta.TransferSyntaxUID)
        one = lambda d: decoder.as_array(d, raw=True, decoding_plugin=plugin)
    else:
        sets, one = paths, read_file
    for r in range(rounds + 1):
        if r == 1:
            begin = time.perf_counter()
        for d in sets:
            one(d)
    print(json.dumps({"ms": 1000 * (time.perf_counter() - begin) / (rounds * len(sets))}))


def run(command, core):
    pin = lambda: os.sched_setaffinity(0, {core}) if core is not None else None
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, preexec_fn=pin).stdout
    return json.loads(out)


def samples(program, path):
    return np.frombuffer(subprocess.run([program, "-samples", path], check=True, stdout=subprocess.PIPE).stdout, "<i4")


def python(way, plugin, rounds, paths):
    return [sys.executable, __file__, "--decode", way, "--plugin", plugin, "--rounds", str(rounds), *paths]


def differences(program, files):
    for path in files:
        d = pydicom.dcmread(path)
        theirs = get_decoder(d.file_meta.TransferSyntaxUID).as_array(d, raw=True)[0].astype(int)
        if d.get("NumberOfFrames", 1) > 4:
            theirs = theirs[:4]
        off = np.abs(samples(program, path).astype(int) - theirs.ravel())
        print(f"{path}: at most {off.max()}, {(off > 0).mean():.2%} of the samples differ")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("files", nargs="+")
    ap.add_argument("--slices", help="the program that go build made")
    ap.add_argument("--work", default="dicom-versus", help="folder for the slices that are made")
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--rounds", type=int, default=10)
    ap.add_argument("--core", type=int, default=0)
    ap.add_argument("--differences", action="store_true")
    ap.add_argument("--decode", help=argparse.SUPPRESS)
    ap.add_argument("--plugin", default="", help=argparse.SUPPRESS)
    o = ap.parse_args()
    if o.decode:
        return decode(o.decode, o.plugin, o.rounds, o.files)
    program = os.path.abspath(o.slices)
    if o.differences:
        return differences(program, o.files)
    work = pathlib.Path(o.work)
    work.mkdir(parents=True, exist_ok=True)
    for name, paths in make(o.files, work).items():
        paths = [str(p) for p in paths]
        for p in paths:
            d = pydicom.dcmread(p)
            theirs = get_decoder(d.file_meta.TransferSyntaxUID).as_array(d, raw=True)[0].astype(int)
            assert (samples(program, p) == theirs.ravel()).all(), f"{p}: other samples"
        plugins = get_decoder(SYNTAXES[name]).available_plugins or ("",)
        rate = {p: run(python("pixels", p, 2, paths), o.core)["ms"] for p in plugins}
        best = min(rate, key=rate.get)
        tried = ", ".join(f"{p} {ms:.2f} ms" for p, ms in sorted(rate.items(), key=lambda r: r[1]) if p)
        size = statistics.mean(os.path.getsize(p) for p in paths)
        print(f"{name}: {len(paths)} slices of {size / 1024:.0f} KiB{'; plugins: ' + tried if tried else ''}", flush=True)
        for way in ("file", "pixels"):
            cspine = [program, "-rounds", str(o.rounds), *(["-header"] if way == "file" else []), *paths]
            ours, theirs = [], []
            for i in range(o.pairs):
                ours.append(run(cspine, o.core)["ms"])
                theirs.append(run(python(way, best, o.rounds, paths), o.core)["ms"])
            q = [b / a for a, b in zip(ours, theirs)]
            print(f"  {way:6}: cspine {statistics.median(ours):.3f} ms, pydicom {statistics.median(theirs):.3f} ms; pydicom / cspine "
                  f"{statistics.median(q):.2f} (from {min(q):.2f} to {max(q):.2f})", flush=True)
        s = run([program, "-rounds", str(o.rounds), "-scaling", "2", *paths], None)
        print(f"  two cores / one: {s['scaling']:.2f} (from {s['from']:.2f} to {s['to']:.2f})", flush=True)


if __name__ == "__main__":
    main()
