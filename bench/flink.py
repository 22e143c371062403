#!/usr/bin/env python3
"""cspine prepare on a standalone Flink cluster of this machine, beside the embedded runner.

    deploy/flink/local.sh up
    bench/flink.py speed [--pairs N] [--studies N] --cspine .build/cspine DIR    start-up, and overhead over the embedded runner, with two slots
    bench/flink.py cores [--pairs N] [--studies N] --cspine .build/cspine DIR    one core and slot against two, on clusters that it starts itself, and the embedded runner the same
    bench/flink.py kill  [--times N] [--studies N] --cspine .build/cspine DIR    kill -9 of task managers and of workers at random moments

DIR gets the studies, phantoms with label files, so that the work is decoding and cropping. Every run has a store of its own, deleted
afterwards. CSPINE_FLINK_PORT is the port of Flink's REST service (8081).

"start-up" is from the command to the first record in the store. "after start-up" is from there to the command's end. What travels between the steps is
Flink's write-bytes of whatever hands its output to another slot.
"""
import argparse
import filecmp
import glob
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCAL = os.path.join(ROOT, "deploy/flink/local.sh")
FLINK = ["--runner", "flink", "--flink-master", "localhost:" + os.environ.get("CSPINE_FLINK_PORT", "8081")]


def records(store):
    return len(glob.glob(os.path.join(store, "records", "*", "*")))


class Prepare:
    """A prepare under way. first is when its first record was there."""

    def __init__(self, cspine, data, store, *flags, core=None):
        shutil.rmtree(store, ignore_errors=True)
        self.store, self.first = store, None
        self.begun = time.perf_counter()
        self.process = subprocess.Popen([*on_core(core), cspine, "prepare", "--data", data, "--store", store, "--segmenter", "labels", "--run", "r", "--json", *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        if self.first is None and records(self.store):
            self.first = time.perf_counter()
        return self.process.poll() is None

    def wait(self):
        while self.running():
            time.sleep(0.05)
        out, err = self.process.communicate()
        if self.process.returncode:
            raise SystemExit(f"prepare failed: {err}")
        self.seconds = time.perf_counter() - self.begun
        self.startup = self.first - self.begun
        return json.loads(out)


def on_core(core):
    return [] if core is None else ["taskset", "-c", str(core)]


def ask(path):
    with urllib.request.urlopen(f"http://{FLINK[-1]}{path}") as answer:
        return json.load(answer)


def shuffled():
    """Bytes that the newest job sent from slot to slot."""
    newest = max(ask("/jobs/overview")["jobs"], key=lambda job: job["start-time"])
    job = ask("/jobs/" + newest["jid"])
    senders = {i["id"] for node in job["plan"]["nodes"] for i in node.get("inputs", []) if i["ship_strategy"] != "Forward"}
    return sum(v["metrics"]["write-bytes"] for v in job["vertices"] if v["id"] in senders)


def phantoms(cspine, folder, studies):
    data = os.path.join(folder, f"data{studies}")
    if not os.path.exists(data):
        subprocess.run([cspine, "phantom", "--out", data + ".tmp", "--studies", str(studies), "--masks", str(studies), "--slices", "200", "--seed", "3", "--syntax", "mixed"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.rename(data + ".tmp", data)
    return data


def await_slots():
    """A task manager that was started may not be there yet."""
    while not ask("/overview")["slots-total"]:
        time.sleep(0.5)


def equal(store, other):
    a, b = (os.path.join(s, "datasets", "r") for s in (store, other))
    names = sorted(os.listdir(a))
    return names == sorted(os.listdir(b)) and filecmp.cmpfiles(a, b, names, shallow=False)[0] == names


def speed(o):
    data = phantoms(o.cspine, o.dir, o.studies)
    kinds = {"embedded": [], "Flink": [*FLINK, "--parallelism", "2"]}
    found = {kind: [] for kind in kinds}
    for n in range(o.pairs):
        for kind, flags in kinds.items():
            run = Prepare(o.cspine, data, os.path.join(o.dir, "store"), *flags)
            run.wait()
            found[kind].append(run)
            travelled = f", {shuffled() / o.studies / 1000:.1f} kB a study between the steps" if flags else ""
            print(f"{n + 1}: {kind}: start-up {run.startup:.1f} s, after it {run.seconds - run.startup:.1f} s{travelled}", flush=True)
    after = {kind: [r.seconds - r.startup for r in runs] for kind, runs in found.items()}
    for kind, runs in found.items():
        print(f"{kind}: start-up median {statistics.median(r.startup for r in runs):.1f} s, after it median {statistics.median(after[kind]):.1f} s")
    ratios = [x / y for x, y in zip(after["Flink"], after["embedded"])]
    print(f"Flink to embedded, after start-up: median {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


def compressing(*cores):
    """Seconds that a process on each of these cores takes for work that is nothing but computing."""
    work = "import zlib\nb = bytes(range(256)) * 8192\nfor _ in range(150): zlib.compress(b)"
    begun = time.perf_counter()
    for process in [subprocess.Popen([*on_core(core), sys.executable, "-c", work]) for core in cores]:
        process.wait()
    return time.perf_counter() - begun


def cores(o):
    """What a second core with its slot adds, and what it adds to the embedded runner: cores of one machine share its memory, so that two do less than twice as
    much. Without pinning, one slot's workers, which are several processes, keep both cores busy."""
    data = phantoms(o.cspine, o.dir, o.studies)
    ratios = {"Flink": [], "embedded": []}
    computing = []
    for n in range(o.pairs):
        computing.append(2 * compressing(0) / compressing(0, 1))
        for kind, all in ratios.items():
            after = []
            for slots, core in ((2, None), (1, 0)):
                flags = []
                if kind == "Flink":
                    subprocess.run([*on_core(core), LOCAL, "up", str(slots)], check=True, stderr=subprocess.DEVNULL)
                    flags = [*FLINK, "--parallelism", str(slots)]
                try:
                    run = Prepare(o.cspine, data, os.path.join(o.dir, "store"), *flags, core=core)
                    run.wait()
                finally:
                    if flags:
                        subprocess.run([LOCAL, "down"], check=True, stderr=subprocess.DEVNULL)
                after.append(run.seconds - run.startup)
            all.append(after[1] / after[0])
            print(f"{n + 1}: {kind}: two cores {after[0]:.1f} s after start-up, one {after[1]:.1f} s: {all[-1]:.2f}", flush=True)
    print(f"twice the work on two cores in the time of once on one would be 2.00; a process on each that only compresses: median {statistics.median(computing):.2f} (from {min(computing):.2f} to {max(computing):.2f})")
    for kind, all in ratios.items():
        print(f"{kind}: one core to two, after start-up: median {statistics.median(all):.2f} (from {min(all):.2f} to {max(all):.2f})")


def kill(o):
    data = phantoms(o.cspine, o.dir, o.studies)
    truth, store = os.path.join(o.dir, "embedded"), os.path.join(o.dir, "store")
    Prepare(o.cspine, data, truth).wait()
    undisturbed = Prepare(o.cspine, data, store, *FLINK)
    undisturbed.wait()
    total = records(store)
    lasts = undisturbed.seconds - undisturbed.startup
    print(f"undisturbed: {undisturbed.seconds:.1f} s, {lasts:.1f} s of them after start-up, {total} artifacts", flush=True)
    random.seed(o.seed)
    for what in ("tm", "worker"):
        for n in range(o.times):
            await_slots()
            run = Prepare(o.cspine, data, store, *FLINK)
            while run.running() and run.first is None:
                time.sleep(0.05)
            moment = random.uniform(0, 0.9 * lasts)
            while run.running() and time.perf_counter() - run.first < moment:
                time.sleep(0.02)
            there = records(store)
            said = subprocess.run([LOCAL, "kill-" + what], stderr=subprocess.PIPE, text=True)
            while said.returncode and run.running():  # between two stages there may be no worker
                said = subprocess.run([LOCAL, "kill-" + what], stderr=subprocess.PIPE, text=True)
            s = run.wait()
            subprocess.run([o.cspine, "verify", "--store", store, "--read-data"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # What the last attempt computed, and what was there when it was killed: the more these are together than all, the more was made twice.
            print(f"kill-{what} {n + 1} at {moment:.1f} s, {there} artifacts there ({'killed' if said.returncode == 0 else said.stderr.strip()}): {run.seconds:.1f} s, "
                  f"{s['hits']} found, {s['misses']} computed, {records(store) - total} lost, data set {'equal' if equal(store, truth) else 'DIFFERS'}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["speed", "cores", "kill"])
    ap.add_argument("--studies", type=int, default=50)
    ap.add_argument("--pairs", type=int, default=5)
    ap.add_argument("--times", type=int, default=5)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--cspine", required=True)
    ap.add_argument("dir")
    o = ap.parse_args()
    o.cspine = os.path.abspath(o.cspine)
    os.environ.setdefault("CSPINE_FLINK_DIR", os.path.join(ROOT, ".native/flink"))
    os.makedirs(o.dir, exist_ok=True)
    {"speed": speed, "cores": cores, "kill": kill}[o.what](o)


if __name__ == "__main__":
    main()
