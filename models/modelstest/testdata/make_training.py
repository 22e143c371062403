#!/usr/bin/env python3
"""Makes training/*.npz: small networks and what PyTorch computes of them, which package modelstest compares engines with
(torch 2.7.1, onnx 1.23.2, onnxruntime 1.32.0). Names given as arguments limit it to cases that begin so.
"""
import sys
import warnings

import torch

import training_cases
import training_networks
import training_ops

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

if __name__ == "__main__":
    for name, make in {**training_ops.cases(), **training_networks.cases()}.items():
        if len(sys.argv) > 1 and not name.startswith(tuple(sys.argv[1:])):
            continue
        for seed in range(7, 99):
            torch.manual_seed(seed)  # a case does not depend on those before it
            try:
                training_cases.case(name, **make())
                break
            except training_cases.TooNear:
                pass
        else:
            sys.exit(f"{name}: no seed will do")
