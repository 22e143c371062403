"""The embedded engine's convolutions against PyTorch's, layer by layer: the layers of the reference U-Net at 64³ and of the small one at 128³.

    python bench/conv_versus.py [--threads 1 2] [--rounds 5] [--layer REGEXP]

Builds the kernels' benchmark (models/gorgonia/kernel, BenchmarkConv) and runs it and PyTorch turn by turn, `rounds` times a layer, and
prints the medians of the processor's time and of the wall's. On a machine with other work to do, only the processor's time can be
compared. A backward pass is the gradients by the input and by the weights; a transposed
convolution is timed as the convolution whose gradient by the input it is.
"""
import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time

import torch

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = "./models/gorgonia/kernel"


def layers(binary):
    """Name → (in, out, size, kernel, stride, axes, groups), as the benchmark lists them."""
    text = subprocess.run([binary, "-test.run", "TestListLayers", "-test.v"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = {}
    for line in text.splitlines():
        m = re.match(r"layer (.*):" + r" (\d+)" * 7 + "$", line)
        if m:
            found[m[1]] = tuple(int(m[i]) for i in range(2, 9))
    return found


def ours(binary, name, threads):
    """Seconds of forward, input and weight: {(what): (cpu, wall)}."""
    pattern = "^BenchmarkConv$/^%s$/./^%d$" % (re.escape(name.replace(" ", "_")), threads)
    text = subprocess.run([binary, "-test.run", "xxx", "-test.bench", pattern, "-test.benchtime", "5x"],
                          cwd=ROOT, capture_output=True, text=True, check=True).stdout
    times = {}
    for line in text.splitlines():
        m = re.match(r"BenchmarkConv/.*/(forward|input|weight)/\d+\S*\s+\d+\s+([\d.]+) ns/op.*?([\d.]+) cpu-ns/op", line)
        if m:
            times[m[1]] = (float(m[3]) / 1e9, float(m[2]) / 1e9)
    return times


def timed(f, n=5):
    f()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(n):
        f()
    return (time.process_time() - cpu) / n, (time.perf_counter() - wall) / n


def theirs(cin, cout, size, kernel, stride, dims, group, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    kind = torch.nn.Conv3d if dims == 3 else torch.nn.Conv2d
    conv = kind(cin, cout, kernel, stride, (kernel - 1) // 2, groups=group, bias=False)
    x = torch.rand(1, cin, *[size] * dims, requires_grad=True)
    with torch.no_grad():
        dy = torch.rand_like(conv(x))
        forward = timed(lambda: conv(x))
    y = conv(x)
    both = timed(lambda: torch.autograd.grad(y, [x, conv.weight], dy, retain_graph=True))
    return forward, both


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--layer", default="")
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "kernel.test")
        subprocess.run(["go", "test", "-c", "-o", binary, PACKAGE], cwd=ROOT, check=True)
        for threads in o.threads:
            print(f"\n{threads} thread(s): milliseconds of processor time (wall), median of {o.rounds}")
            print(f"{'layer':34s} {'forward: ours':>18s} {'PyTorch':>18s} {'ratio':>6s}   {'backward: ours':>18s} {'PyTorch':>18s} {'ratio':>6s}")
            total = [0.0, 0.0]
            for name, shape in layers(binary).items():
                if not re.search(o.layer, name):
                    continue
                rows = []
                for _ in range(o.rounds):
                    a = ours(binary, name, threads)
                    f, b = theirs(*shape, threads)
                    back = tuple(x + y for x, y in zip(a["input"], a["weight"]))
                    rows.append([*a["forward"], *f, *back, *b])
                m = [1e3 * statistics.median(c) for c in zip(*rows)]
                total[0] += m[0] + m[4]
                total[1] += m[2] + m[6]
                cell = lambda i: f"{m[i]:9.2f} ({m[i + 1]:6.1f})"
                print(f"{name:34s} {cell(0):>18s} {cell(2):>18s} {m[2] / m[0]:6.2f}   {cell(4):>18s} {cell(6):>18s} {m[6] / m[4]:6.2f}", flush=True)
            if total[0]:
                print(f"{'sum':34s} ours {total[0]:.1f} ms, PyTorch {total[1]:.1f} ms: {total[1] / total[0]:.2f} times as fast")


if __name__ == "__main__":
    main()
