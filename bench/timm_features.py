#!/usr/bin/env python3
"""Compares the features of timm's encoders, exported to ONNX, as cspine's engines compute them with timm's own.

    bench/timm_features.py [--models tf_efficientnetv2_s:6 tf_efficientnetv2_s:3 convnext_nano:6] [--engines gorgonia openvino xla] [--size 224] [--opset 17]

Weights are random (no file is fetched), normalisations' statistics those of random images, so that features are of usual size. The exporter
folds normalisations into convolutions, as it does by default. Prints the greatest difference of a feature as it is and over the features'
root mean square; ends with status 1 if the latter is above 1e-4 anywhere. CSPINE_NATIVE_DIR says where OpenVINO lies, as ever.
"""
import argparse
import os
import sys
import tempfile

import numpy as np
import timm
import torch

import step_process


def encoder(name, channels, size):
    m = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels)
    norms = [x for x in m.modules() if isinstance(x, torch.nn.modules.batchnorm._BatchNorm)]
    for x in norms:
        x.momentum = None  # the mean over what it has seen
    with torch.no_grad():
        m.train()
        for _ in range(2 if norms else 0):
            m(torch.rand(8, channels, size, size))
    return m.eval()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--models", nargs="+", default=["tf_efficientnetv2_s:6", "tf_efficientnetv2_s:3", "convnext_nano:6"])
    ap.add_argument("--engines", nargs="+", default=["gorgonia", "openvino", "xla"])
    ap.add_argument("--size", type=int, default=224)
    ap.add_argument("--opset", type=int, default=17)
    ap.add_argument("--threads", type=int, default=2)
    o = ap.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(o.threads)
    bad = False
    with tempfile.TemporaryDirectory() as work:
        path = lambda what: os.path.join(work, what)
        step_process.build(path("trainstep"))
        for model in o.models:
            name, channels = model.split(":")
            m = encoder(name, int(channels), o.size)
            x = torch.rand(2, int(channels), o.size, o.size)
            with torch.no_grad():
                want = m(x).numpy()
            torch.onnx.export(m, x, path("model.onnx"), opset_version=o.opset, input_names=["x"], output_names=["y"], dynamo=False)
            np.save(path("x.npy"), x.numpy())
            for engine in o.engines:
                config = {"model": path("model.onnx"), "engine": engine, "threads": o.threads, "precision": "f32", "shapes": [list(x.shape)]}
                p = step_process.cspine_process(config, path("trainstep"))
                request = {"do": "infer", "inputs": [path("x.npy")], "outputs": [path("y.npy")]}
                p.ask(request)
                seconds = p.ask(request)["seconds"]
                p.close()
                got = np.load(path("y.npy"))
                usual, most = float(np.sqrt((want.astype(np.float64) ** 2).mean())), float(np.abs(got - want).max())
                bad |= not most <= 1e-4 * usual
                print(f"{name}, {channels} channels, {engine}: {want.shape[1]} features of usual size {usual:.3g}; greatest difference {most:.2g}, {most / usual:.2g} of that; {seconds:.3f} s", flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
