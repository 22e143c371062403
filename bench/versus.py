#!/usr/bin/env python3
"""Times two commands in turn, A B A B …, and prints medians and the median of the pairwise ratios B/A.

    bench/versus.py [-n PAIRS] [--prepare CMD] [--per N] [--b-own-clock KEY] --a CMD --b CMD

--prepare runs before every timed command and is not counted (to empty a store, say). --per divides seconds by
a number of studies. Wall seconds are the process's own from start to end; memory is the largest resident set
of any one process in it. --b-own-clock takes B's seconds from the JSON object that it prints last: for programs
that leave their start and the loading of a model out of their own count. Machines are noisy: alternate, take medians, quote ratios.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time


def once(command, prepare, own_clock=""):
    if prepare:
        subprocess.run(prepare, shell=True, check=True, stdout=subprocess.DEVNULL)
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err_file:
        p = subprocess.Popen(shlex.split(command), stdout=out, stderr=err_file)
        _, status, usage = os.wait4(p.pid, 0)
        seconds = time.perf_counter() - start
        out.seek(0)
        err_file.seek(0)
        text, err = out.read().decode(), err_file.read()
    if own_clock and not status:
        seconds = json.loads([line for line in text.splitlines() if line.startswith("{")][-1])[own_clock]
    if status:
        raise SystemExit(f"{command}: status {status}\n{err.decode()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-n", type=int, default=5)
    ap.add_argument("--prepare", default="")
    ap.add_argument("--per", type=float, default=1)
    ap.add_argument("--b-own-clock", default="")
    ap.add_argument("--a", required=True)
    ap.add_argument("--b", required=True)
    o = ap.parse_args()
    runs = {"A": [], "B": []}
    for i in range(o.n + 1):  # the first pair warms the file cache and is dropped
        for name, command in (("A", o.a), ("B", o.b)):
            r = once(command, o.prepare, o.b_own_clock if name == "B" else "")
            print(f"{'warm-up' if i == 0 else f'pair {i}'} {name}: {r[0]:.2f} s, {r[1]:.2f} s of processor, {r[2]:.0f} MiB", flush=True)
            if i:
                runs[name].append(r)
    for name in runs:
        wall, cpu, rss = zip(*runs[name])
        print(f"{name}: median {statistics.median(wall) / o.per:.3f} s (from {min(wall) / o.per:.3f} to {max(wall) / o.per:.3f}), "
              f"{statistics.median(cpu) / o.per:.3f} s of processor, peak {max(rss):.0f} MiB")
    ratios = [b[0] / a[0] for a, b in zip(runs["A"], runs["B"])]
    print(f"B/A: median {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
