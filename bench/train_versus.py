#!/usr/bin/env python3
"""Times cspine's engine against PyTorch, step by step in turn (A B A B …), on the same weights and batch.

    bench/train_versus.py [-n PAIRS] [--threads 1 2] [--engine gorgonia] [--precision f32] [--against torch] [CASE …]

Cases: unet64-1, unet64-2 (a training step of the reference U-Net, five levels, 64³, batch 1 or 2: forward, dice, backward, AdamW),
infer128 (inference at 128³, float32), lstm and lstm105 (a training step of the classifier's 2-layer bidirectional LSTM: 1280 features,
hidden 256; batch 8 of 15 slices, batch 2 of 105), classifier (a training step of classifier-small of type 1: 8 vertebrae of 15
slices of 6x112²; dropout makes the two losses differ a little), classifier-convnext_nano and classifier-tf_efficientnetv2_s (the same on
timm's encoders, hidden 256, 2 vertebrae). Each side is a process of its own, which waits while the other works. Prints medians, the median
and range of the pairwise ratios PyTorch/cspine, both losses, and peak memory (VmHWM), as it is and above what the process had
before it read the model (for PyTorch: after its imports). --against torch-channels-last and openvino are other opponents;
the second only infers. Machines are noisy: quote the ratio. On a busy machine
that of processor time with one thread is the only one that means much; with two, PyTorch's threads spin while they wait for a turn.
"""
import argparse
import os
import statistics
import tempfile
import time

import numpy as np
import torch

import step_process
import torch_networks as nets

CASES = ["unet64-1", "unet64-2", "infer128", "lstm", "lstm105", "classifier", "classifier-convnext_nano", "classifier-tf_efficientnetv2_s"]


def make(case, work):
    torch.manual_seed(0)
    train, loss = case != "infer128", "dice"
    if case.startswith("lstm"):
        m, loss = nets.Sequence(), "bce_logits"
        n, slices = (2, 105) if case == "lstm105" else (8, 15)
        x, t = torch.randn(n, slices, 1280), (torch.rand(n, slices, 1) < .3).float()
    elif case == "classifier":
        m, loss = nets.Classifier(nets.SmallEncoder(), hidden=128), "bce_logits"
        x, t = torch.rand(8, 15, 6, 112, 112), (torch.rand(8, 15) < .3).float()
    elif case.startswith("classifier-"):
        import timm
        m, loss = nets.Classifier(timm.create_model(case.removeprefix("classifier-"), num_classes=0, in_chans=6)), "bce_logits"
        x, t = torch.rand(2, 15, 6, 112, 112), (torch.rand(2, 15) < .3).float()
    else:
        m = nets.UNet(nets.ResNet18d(5))
        x, t = nets.scenes(int(case.split("-")[1]) if train else 1, 3, 7, 64 if train else 128, 1)
    path = lambda what: os.path.join(work, what)
    nets.export(m, x, path("model.onnx"))
    torch.save(m, path("module.pt"))
    np.save(path("x.npy"), x.numpy())
    np.save(path("t.npy"), t.numpy())
    return {"model": path("model.onnx"), "module": path("module.pt"), "loss": nets.LOSSES[loss][1], "loss_name": loss, "train": train, "shapes": [list(x.shape)]}, {
        "do": "step" if train else "infer", "inputs": [path("x.npy")], "targets": [path("t.npy")], "rate": 1e-4}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-n", type=int, default=5)
    ap.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    ap.add_argument("--engine", default="gorgonia")
    ap.add_argument("--precision", default="f32")
    ap.add_argument("--against", default="torch", choices=["torch", "torch-channels-last", "openvino"])
    ap.add_argument("cases", nargs="*", default=CASES)
    o = ap.parse_args()
    with tempfile.TemporaryDirectory() as work:
        binary = os.path.join(work, "trainstep")
        step_process.build(binary)
        for case in o.cases:
            config, request = make(case, work)
            for threads in o.threads:
                config.update(threads=threads, engine=o.engine, precision=o.precision, against=o.against.split("-")[0], channels_last=o.against == "torch-channels-last")
                a, b = step_process.cspine_process(config, binary), step_process.python_process(config)
                pairs, last = [], None
                for k in range(o.n + 1):  # the first pair is a warm-up
                    ra = a.ask(request)
                    time.sleep(.05)  # PyTorch's threads spin a little before they sleep
                    rb = b.ask(request)
                    time.sleep(.05)
                    if k:
                        pairs.append((ra, rb))
                    last = ra, rb
                ma, mb = a.ask({"do": "memory"}), b.ask({"do": "memory"})
                a.close(), b.close()
                ratios, of_cpu = ([y[key] / x[key] for x, y in pairs] for key in ("seconds", "cpu"))
                med = lambda side, key: statistics.median(p[side][key] for p in pairs)
                mib = lambda m: f"{m['peak'] / 2**20:.0f} MiB, {(m['peak'] - m['base']) / 2**20:.0f} above its start"
                same = "loss" if config["train"] else "sum"
                print(f"{case}, {threads} threads: cspine {med(0, 'seconds'):.3f} s ({med(0, 'cpu'):.3f} of processor; {mib(ma)}), {o.against} {med(1, 'seconds'):.3f} s "
                      f"({med(1, 'cpu'):.3f}; {mib(mb)}); {o.against}/cspine {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), of processor time {statistics.median(of_cpu):.2f}; "
                      f"last {same} {last[0][same]:.6g} and {last[1][same]:.6g}", flush=True)


if __name__ == "__main__":
    main()
