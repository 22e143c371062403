#!/usr/bin/env python3
"""Trains a network exported from PyTorch with cspine and with PyTorch and compares the losses, step by step.

    bench/follow_torch.py [--steps 20] [--size 32] [--encoder timm|plain] [--engine gorgonia] [--threads 2]

The network is timm's resnet18d turned to 3D (pip install timm; plain: the same written out) with the U-Net decoder of the method; batches of two
volumes, four in turn; dice; AdamW at 3e-4 with decay 0.01. Ends with status 1 if a loss differs by more than 1 %.
"""
import argparse
import os
import sys
import tempfile

import numpy as np
import torch

import step_process
import torch_networks as nets


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--steps", type=int, default=20)
    ap.add_argument("--size", type=int, default=32)
    ap.add_argument("--levels", type=int, default=4)
    ap.add_argument("--encoder", default="timm")
    ap.add_argument("--engine", default="gorgonia")
    ap.add_argument("--precision", default="f32")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--rate", type=float, default=3e-4)
    o = ap.parse_args()
    torch.manual_seed(0)
    m = nets.UNet(nets.Timm(o.levels) if o.encoder == "timm" else nets.ResNet18d(o.levels))
    with tempfile.TemporaryDirectory() as work:
        path = lambda what: os.path.join(work, what)
        for k in range(4):
            x, t = nets.scenes(2, 3, 7, o.size, k)
            np.save(path(f"x{k}.npy"), x.numpy())
            np.save(path(f"t{k}.npy"), t.numpy())
        nets.export(m, x, path("model.onnx"))
        torch.save(m, path("module.pt"))
        step_process.build(path("trainstep"))
        config = {"model": path("model.onnx"), "module": path("module.pt"), "loss": nets.LOSSES["dice"][1], "loss_name": "dice", "train": True, "shapes": [list(x.shape)],
                  "threads": o.threads, "engine": o.engine, "precision": o.precision, "weight_decay": .01}
        a, b = step_process.cspine_process(config, path("trainstep")), step_process.python_process({**config, "precision": "f32"})
        worst = 0
        for k in range(o.steps):
            request = {"do": "step", "inputs": [path(f"x{k % 4}.npy")], "targets": [path(f"t{k % 4}.npy")], "rate": o.rate}
            ours, theirs = a.ask(request)["loss"], b.ask(request)["loss"]
            worst = max(worst, abs(ours / theirs - 1))
            print(f"step {k + 1:2d}: cspine {ours:.6f}, PyTorch {theirs:.6f}, {100 * (ours / theirs - 1):+.4f} %", flush=True)
        a.close(), b.close()
    print(f"{o.steps} steps, {sum(p.numel() for p in m.parameters()):,} parameters: losses differ by at most {100 * worst:.4f} %")
    sys.exit(worst > .01)


if __name__ == "__main__":
    main()
