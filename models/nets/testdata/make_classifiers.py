#!/usr/bin/env python3
"""What PyTorch computes with the weights of this project's classifiers (torch 2.7.1, timm 1.0.31, onnx 1.23.2).

Encoders are timm's own modules with six input channels, the small one is made of timm's residual blocks; the rest is written after the
reference's description. Called with a folder that has NAME.onnx for each case, built by
    cspine model build classifier --type TYPE --encoder ENCODER --size 32 --seed 1 --out ENCODER-TYPE.onnx
it loads their weights by name, gives normalisations other values than 0 and 1 and what follows the encoder larger weights (season, which
the Go test repeats), and writes NAME.features.npy, what the encoder makes of one image, and of the small ones NAME.slices.npy and
NAME.patient.npy, the logits of two samples. It prints counts: parameters of the whole, and floating-point operations of the encoder for
one image.
"""
import os
import sys

import numpy as np
import onnx
import timm
import torch
import torch.nn as nn
import torch.nn.functional as F
from onnx import numpy_helper
from timm.models.resnet import BasicBlock, downsample_avg
from torch.utils.flop_counter import FlopCounterMode

here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(2)


class Small(nn.Module):
    num_features = 192

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.conv, self.stem.bn = nn.Conv2d(6, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        before = 16
        for i, c in enumerate((16, 32, 64, 96)):
            stride = min(i + 1, 2)
            self.add_module(f"stage{i + 1}", BasicBlock(before, c, stride, downsample_avg(before, c, 1, stride) if stride > 1 else None))
            before = c

    def forward(self, x):
        image, mask, reach = x[:, :5], x[:, 5:], x.shape[-1] // 28
        near = F.max_pool2d(mask, 2 * reach + 1, 1, reach)
        over = dict(dim=(1, 2, 3), keepdim=True)
        share = near.mean(**over) + 1e-4
        centred = (image - (image * near).mean(**over) / share) * near
        x = torch.cat([centred / ((centred**2).mean(**over) / share + 1e-4).sqrt(), mask], 1)
        x = F.relu(self.stem(x))
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


class Classifier(nn.Module):
    def __init__(self, encoder, kind, hidden, shortcut):
        super().__init__()
        self.most = None
        if shortcut:
            self.most = nn.Module()
            self.most.bn, self.most.logit = nn.BatchNorm1d(encoder.num_features), nn.Linear(encoder.num_features, 1)
            if kind == 2:
                self.most2 = nn.Module()
                self.most2.logit = nn.Linear(encoder.num_features, 1)
        self.encoder, self.kind, n = encoder, kind, encoder.num_features
        memory = lambda: nn.LSTM(n, hidden, 2, bidirectional=True, batch_first=True)
        head = lambda: nn.Sequential(nn.Linear(2 * hidden, 256), nn.BatchNorm1d(256), nn.Dropout(.3), nn.LeakyReLU(.1), nn.Linear(256, 1))
        self.lstm, self.head = memory(), head()
        if kind == 2:
            self.lstm2, self.head2 = memory(), head()

    def forward(self, x):
        n, t = x.shape[:2]
        f = self.encoder(x.flatten(0, 1)).reshape(n, t, -1)
        slices = self.head(self.lstm(f)[0].reshape(n * t, -1)).reshape(n, t)
        patient = self.head2(self.lstm2(f)[0][:, 0]) if self.kind == 2 else None
        if self.most:
            most = self.most.bn(f.reshape(n * t // 15, 15, -1).amax(1))
            slices = (slices.reshape(-1, 15) + self.most.logit(most)).reshape(n, t)
            if self.kind == 2:
                patient = patient + self.most2.logit(most.reshape(n, 7, -1).amax(1))
        return (slices, patient) if self.kind == 2 else (slices,)


def gates(w):
    """ONNX has the gates input, output, forget, cell; PyTorch input, forget, cell, output."""
    i, o, f, c = np.split(w, 4)
    return np.concatenate([i, f, c, o])


def load(m, path):
    given = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    given = {k: v for k, v in given.items() if v.dtype == np.float32 and not k.endswith(".ratio")}
    state, taken = {}, set()
    for name, v in m.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        there, pick = name, lambda w: w
        if name.startswith("lstm"):
            memory, role = name.split(".")
            reverse = int(role.endswith("_reverse"))
            what, side, layer = role.removesuffix("_reverse").split("_")
            there = f"{memory}.{layer[1:]}." + ("bias" if what == "bias" else "weight" if side == "ih" else "recurrent")
            half = int(side == "hh")
            pick = lambda w: gates(w[reverse] if what == "weight" else np.split(w[reverse], 2)[half])
        w = pick(given[there])
        if w.shape != tuple(v.shape):
            sys.exit(f"{name}: {tuple(v.shape)} is {w.shape} there")
        v.copy_(torch.from_numpy(w.copy()))
        taken.add(there)
    if set(given) != taken:
        sys.exit(f"not in PyTorch's network: {sorted(set(given) - taken)}")


def season(m):
    for name, v in m.named_parameters():
        i = torch.arange(v.shape[0])
        if name.endswith(".weight") and v.dim() == 1:
            v.copy_(.75 + (i * 29 % 16) / 32)
            m.get_parameter(name.removesuffix("weight") + "bias").copy_((i * 41 % 17 - 8) / 32)
        if not name.startswith("encoder.") and v.dim() == 2:
            v.mul_(4)
        if name.endswith(".gamma"):
            v.copy_(.25 + (i * 29 % 16) / 64)
    for x in m.modules():
        if isinstance(x, (nn.BatchNorm1d, nn.BatchNorm2d)):
            i = torch.arange(x.num_features)
            x.running_mean.copy_((i * 37 % 17 - 8) / 64)
            x.running_var.copy_(.75 + (i * 53 % 16) / 32)


def grey(*shape):
    return (torch.arange(int(np.prod(shape))) * 7919 % 257 / 256).float().reshape(shape)


def crops(n, slices, size):
    """Slices of different brightness, so that a mistaken order shows."""
    share = ((torch.arange(n * slices) * 7 % 15 + 1) / 15).float()
    return grey(n, slices, 6, size, size) * share.reshape(n, slices, 1, 1, 1)


for name, kind, hidden in (("small", 1, 128), ("small", 2, 128), ("resnet18d", 1, 256), ("efficientnetv2s", 1, 256), ("convnext-nano", 1, 256)):
    timm_name = {"efficientnetv2s": "tf_efficientnetv2_s", "convnext-nano": "convnext_nano"}.get(name, name)
    m = Classifier(Small() if name == "small" else timm.create_model(timm_name, in_chans=6, num_classes=0), kind, hidden, name == "small")
    m.eval()
    with torch.no_grad():
        load(m, os.path.join(sys.argv[1], f"{name}-{kind}.onnx"))
        season(m)
        with FlopCounterMode(display=False) as counter:
            features = m.encoder(grey(1, 6, 32, 32))
        out = m(crops(2, 15 if kind == 1 else 105, 32))
    if kind == 1:
        np.save(os.path.join(here, f"{name}-{kind}.features.npy"), features[0].numpy())
    for what, y in zip(("slices", "patient"), out):
        if name == "small":
            np.save(os.path.join(here, f"{name}-{kind}.{what}.npy"), y.numpy())
        print(f"{name}-{kind} {what}: {y.min():.4f} to {y.max():.4f}, deviation {y.std():.4f}")
    print(f"  {sum(p.numel() for p in m.parameters())} parameters, {counter.get_total_flops()} FLOP; features {features.min():.3f} to {features.max():.3f}, deviation {features.std():.4f}")
