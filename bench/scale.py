#!/usr/bin/env python3
"""A run over many studies of which nothing changed: seconds, memory and requests, of plan and prepare.

    bench/scale.py [--studies N] [--slices N] [--repeat N] [--tiny] [--store URL] --cspine .build/cspine DIR

DIR gets the studies and the store, made once. The studies are phantoms with their label files whose slices are blank, so that tensors are
small once stored: 2,000 make 22,000 artifacts and need 900 MB. The pipeline is the real one. Cold, with nothing known, it is timed once;
warm --repeat times, after one more run.

--tiny writes a cspine whose volumes have an edge of 32 voxels and whose crops one of 8 pixels to --cspine, and takes slices of 32 pixels;
a local store of it flushes nothing. Making an artifact then costs little more than keeping it, and 100,000 studies are an hour's work.

In a bucket, and counting its requests:

    go build -o bucket ./bench/bucket
    bucket --late 30ms bench/scale.py --tiny --cspine tiny --store URL DIR
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request

PIXELS = b"\xe0\x7f\x10\x00OW"  # tag and VR of explicit little endian; two bytes and the length follow
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TINY = {  # what a cspine of small tensors has otherwise
    "transforms/crop/crop.go": [("\tSize = 224\n", "\tSize = 8\n"), ("\tGrid = 128\n", "\tGrid = 32\n")],
    "transforms/resample/resample.go": [("\to.Size = 128\n", "\to.Size = 32\n")],
    "transforms/segment/segment.go": [("const Size = 128\n", "const Size = 32\n")],
    "transforms/shard/dofn.go": [("{15, 6, 224, 224}", "{15, 6, 8, 8}")],
    "artifacts/filedriver.go": [("!opts.NoFlush", "false")],
}


def build_tiny(binary):
    with tempfile.TemporaryDirectory() as scratch:
        replace = {}
        for file, changes in TINY.items():
            path = os.path.join(ROOT, file)
            with open(path) as f:
                text = f.read()
            for old, new in changes:
                if text.count(old) != 1:
                    raise SystemExit(f"{file} has {old!r} {text.count(old)} times")
                text = text.replace(old, new)
            replace[path] = os.path.join(scratch, file.replace("/", "-"))
            with open(replace[path], "w") as f:
                f.write(text)
        overlay = os.path.join(scratch, "overlay.json")
        with open(overlay, "w") as f:
            json.dump({"Replace": replace}, f)
        subprocess.run(["go", "build", "-overlay", overlay, "-o", os.path.abspath(binary), "./cmd/cspine"], check=True, cwd=ROOT)


def blank(folder):
    for name in glob.iglob(os.path.join(folder, "train_images", "*", "*.dcm")):
        with open(name, "r+b") as f:
            data = f.read()
            at = data.rindex(PIXELS) + len(PIXELS) + 6
            f.seek(at)
            f.write(bytes(len(data) - at))


def counted():
    url = os.environ.get("BUCKET_COUNTS")
    if not url:
        return {}
    with urllib.request.urlopen(url) as answer:
        counts = json.load(answer)
    return counts["requests"] | {"bytes sent": counts["sent"], "bytes received": counts["received"]}


def run(command):
    before, start = counted(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as p:
        out = p.stdout.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = status
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    asked = {kind: n - before.get(kind, 0) for kind, n in counted().items()}
    return seconds, usage.ru_maxrss / 1024, json.loads(out), ", ".join(f"{n} {kind}" for kind, n in sorted(asked.items()) if n)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--studies", type=int, default=2000)
    ap.add_argument("--slices", type=int, default=16)
    ap.add_argument("--repeat", type=int, default=5)
    ap.add_argument("--tiny", action="store_true")
    ap.add_argument("--store")
    ap.add_argument("--cspine", required=True)
    ap.add_argument("dir")
    o = ap.parse_args()
    data, store = os.path.join(o.dir, "data"), o.store or os.path.join(o.dir, "store")
    if o.tiny:
        build_tiny(o.cspine)
    if not os.path.exists(data):
        subprocess.run([o.cspine, "phantom", "--out", data + ".tmp", "--studies", str(o.studies), "--masks", str(o.studies), "--slices", str(o.slices),
                        "--size", "32" if o.tiny else "64", "--syntax", "explicit"], check=True, stdout=subprocess.DEVNULL)
        blank(data + ".tmp")
        os.rename(data + ".tmp", data)
    flags = ["--data", data, "--store", store, "--segmenter", "labels", "--run", "scale", "--json"]
    seconds, rss, s, asked = run([o.cspine, "prepare", *flags])
    print(f"prepare, cold: {seconds:.1f} s, {rss:.0f} MiB, {s['studies']} studies, {s['crops']} crops, {s['misses']} computed, {s['hits']} found; {asked}", flush=True)
    run([o.cspine, "prepare", *flags])
    for command in ("plan", "prepare"):
        times, sizes = [], []
        for _ in range(o.repeat):
            seconds, rss, s, asked = run([o.cspine, command, *flags])
            times.append(seconds)
            sizes.append(rss)
        left = sum(step["run"] + step["depends"] for step in s["steps"]) if command == "plan" else s["misses"]
        print(f"{command}, warm: median {statistics.median(times):.2f} s (from {min(times):.2f} to {max(times):.2f}), {max(sizes):.0f} MiB, {left} to compute; {asked}", flush=True)


if __name__ == "__main__":
    main()
