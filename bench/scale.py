#!/usr/bin/env python3
"""A run over many studies of which nothing changed: seconds, memory and files read, of plan and prepare.

    bench/scale.py [--studies N] [--slices N] [--repeat N] --cspine .build/cspine DIR

DIR gets the studies and the store, made once. The studies are phantoms with their label files whose slices are blank, so that
tensors take hardly any room: 2,000 make 22,000 artifacts and need about 3 GB. The pipeline is the real one. Cold, with nothing known, it is
timed once; warm --repeat times, after one more run.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import time

PIXELS = b"\xe0\x7f\x10\x00OW"  # tag and VR of explicit little endian; two bytes and the length follow


def blank(folder):
    for name in glob.iglob(os.path.join(folder, "train_images", "*", "*.dcm")):
        with open(name, "r+b") as f:
            data = f.read()
            at = data.rindex(PIXELS) + len(PIXELS) + 6
            f.seek(at)
            f.write(bytes(len(data) - at))


def run(command):
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as p:
        out = p.stdout.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = status
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return seconds, usage.ru_maxrss / 1024, json.loads(out)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--studies", type=int, default=2000)
    ap.add_argument("--slices", type=int, default=16)
    ap.add_argument("--repeat", type=int, default=5)
    ap.add_argument("--cspine", required=True)
    ap.add_argument("dir")
    o = ap.parse_args()
    data, store = os.path.join(o.dir, "data"), os.path.join(o.dir, "store")
    if not os.path.exists(data):
        subprocess.run([o.cspine, "phantom", "--out", data + ".tmp", "--studies", str(o.studies), "--masks", str(o.studies), "--slices", str(o.slices),
                        "--size", "64", "--syntax", "explicit"], check=True, stdout=subprocess.DEVNULL)
        blank(data + ".tmp")
        os.rename(data + ".tmp", data)
    flags = ["--data", data, "--store", store, "--segmenter", "labels", "--run", "scale", "--json"]
    seconds, rss, s = run([o.cspine, "prepare", *flags])
    print(f"prepare, cold: {seconds:.1f} s, {rss:.0f} MiB, {s['studies']} studies, {s['crops']} crops, {s['misses']} computed, {s['hits']} found", flush=True)
    run([o.cspine, "prepare", *flags])
    for command in ("plan", "prepare"):
        times, sizes = [], []
        for _ in range(o.repeat):
            seconds, rss, s = run([o.cspine, command, *flags])
            times.append(seconds)
            sizes.append(rss)
        left = sum(step["run"] + step["depends"] for step in s["steps"]) if command == "plan" else s["misses"]
        print(f"{command}, warm: median {statistics.median(times):.2f} s (from {min(times):.2f} to {max(times):.2f}), {max(sizes):.0f} MiB, {left} to compute", flush=True)


if __name__ == "__main__":
    main()
