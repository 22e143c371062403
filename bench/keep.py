#!/usr/bin/env python3
"""How many crops each tolerance of 'prepare --keep-crops' keeps when one segmenter takes another's place.

    bench/keep.py --cspine .build/cspine --data STUDIES --was OLD.onnx --now NEW.onnx DIR

It makes the crops of OLD in DIR, then those of NEW with a tolerance that keeps every crop, and reads each vertebra's measured agreement from
the kept crops' records: what any other tolerance would have kept follows from it.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

DICE = (0.99, 0.98, 0.97, 0.95, 0.93, 0.90)
BOX = (0, 1, 2, 3, 5)  # mm


def prepare(o, segmenter, *flags):
    subprocess.run([o.cspine, "prepare", "--data", o.data, "--store", os.path.join(o.dir, "store"), "--segmenter", segmenter, "--run", "keep", "--json", *flags],
                   check=True, stdout=subprocess.DEVNULL)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--cspine", required=True)
    ap.add_argument("--data", required=True)
    ap.add_argument("--was", required=True)
    ap.add_argument("--now", required=True)
    ap.add_argument("dir")
    o = ap.parse_args()
    prepare(o, o.was)
    prepare(o, o.now, "--keep-crops", "dice=0.0001,box=1000mm")
    agreements = []
    for file in pathlib.Path(o.dir, "store", "records").glob("*/*"):
        record = json.loads(file.read_text())
        if record["recipe"]["transform"] == "kept_crop":
            agreements.append(record["note"])
    n = len(agreements)
    dice, box = [a["dice"] for a in agreements], [a["box_mm"] for a in agreements]
    print(f"{n} vertebrae, dice median {statistics.median(dice):.3f}, least {min(dice):.3f}; box median {statistics.median(box):.2f} mm, most {max(box):.2f} mm")
    print("| dice | " + " | ".join(f"box {b} mm" for b in BOX) + " |")
    for d in DICE:
        print(f"| {d} | " + " | ".join(f"{sum(a['dice'] >= d and a['box_mm'] <= b for a in agreements) / n:.1%}" for b in BOX) + " |")


if __name__ == "__main__":
    main()
