#!/usr/bin/env python3
"""What PyTorch computes with the weights of this project's networks (torch 2.7.1, timm 1.0.31, onnx 1.23.2).

Encoders are timm's own modules, turned to 3D module by module; the U-Net decoder is written after
segmentation_models_pytorch's, the small network after its description. Called with a folder that has NAME.onnx for each case, built by
    cspine model build NETWORK --size 32 --seed 1 [--blocks 5] --out NAME.onnx
it loads their weights by name, gives batch normalisation statistics that are not 0 and 1 and the head larger weights (season, which the Go test
repeats), and writes NAME.npy: every fourth voxel of the output along each axis. It prints counts of parameters and of floating-point operations.
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
from timm.layers import BatchNormAct2d
from torch.utils.flop_counter import FlopCounterMode

here = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(2)


class Conv3dSame(nn.Conv3d):
    def forward(self, x):
        pads = []
        for size, k, s in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride)):
            p = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [p // 2, p - p // 2]
        return F.conv3d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


class NormAct3d(nn.BatchNorm3d):
    def forward(self, x):
        return self.act(super().forward(x))


class Excite3d(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.conv_reduce, self.act1, self.conv_expand, self.gate = m.conv_reduce, m.act1, m.conv_expand, m.gate

    def forward(self, x):
        return x * self.gate(self.conv_expand(self.act1(self.conv_reduce(x.mean((2, 3, 4), keepdim=True)))))


def to_3d(m):
    """Replaces every 2D module below m, and m itself."""
    for name, child in m.named_children():
        setattr(m, name, to_3d(child))
    if isinstance(m, nn.Conv2d):
        same = type(m).__name__ == "Conv2dSame"
        kind = Conv3dSame if same else nn.Conv3d
        return kind(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], 0 if same else m.padding[0], groups=m.groups, bias=m.bias is not None)
    if isinstance(m, BatchNormAct2d):
        n = NormAct3d(m.num_features, m.eps, m.momentum)
        n.act = m.act
        return n
    if isinstance(m, nn.BatchNorm2d):
        return nn.BatchNorm3d(m.num_features, m.eps, m.momentum)
    if isinstance(m, nn.MaxPool2d):
        return nn.MaxPool3d(m.kernel_size, m.stride, m.padding)
    if isinstance(m, nn.AvgPool2d):
        return nn.AvgPool3d(m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad)
    if type(m).__name__ == "SqueezeExcite":
        return Excite3d(m)
    return m


class Block(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        unit = lambda i: nn.Sequential(nn.Conv3d(i, o, 3, padding=1, bias=False), nn.BatchNorm3d(o), nn.ReLU())
        self.conv1, self.conv2 = unit(i), unit(o)

    def forward(self, x, skip):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.conv2(self.conv1(x if skip is None else torch.cat([x, skip], 1)))


class UNet(nn.Module):
    def __init__(self, encoder, blocks, channels=3, classes=7):
        super().__init__()
        e = timm.create_model(encoder, features_only=True, in_chans=channels, out_indices=tuple(range(blocks)))
        widths = e.feature_info.channels()
        if encoder == "tf_efficientnetv2_s" and blocks == 4:
            del e.blocks[5]  # made, but used by no feature
        self.encoder = to_3d(e)
        ins, outs = widths[::-1], [256, 128, 64, 32, 16][:blocks]
        self.decoder = nn.Module()
        self.decoder.blocks = nn.ModuleList(Block(i + s, o) for i, s, o in zip([ins[0]] + outs, ins[1:] + [0], outs))
        self.head = nn.Conv3d(outs[-1], classes, 3, padding=1)

    def forward(self, x):
        f = self.encoder(x)[::-1]
        x = f[0]
        for block, skip in zip(self.decoder.blocks, f[1:] + [None]):
            x = block(x, skip)
        return torch.sigmoid(self.head(x))


class Unit(nn.Module):
    def __init__(self, i, o, k, s=1):
        super().__init__()
        self.conv, self.bn = nn.Conv3d(i, o, k, s, k // 2, bias=False), nn.BatchNorm3d(o)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b = Unit(c, c, 3), Unit(c, c, 3)
        self.add_module("0", self.a), self.add_module("1", self.b)

    def forward(self, x):
        return F.relu(self.b.bn(self.b.conv(self.a(x))) + x)


class Level(nn.Module):
    def __init__(self, i, o, blocks):
        super().__init__()
        self.down, self.n = Unit(i, o, 3, 2), blocks
        for k in range(blocks):
            self.add_module(f"block{k}", Residual(o))

    def forward(self, x):
        x = self.down(x)
        for k in range(self.n):
            x = getattr(self, f"block{k}")(x)
        return x


class Up(Unit):
    def __init__(self, i, o):
        super().__init__(o, o, 3)
        self.lateral = Unit(i, o, 1) if i != o else None

    def forward(self, x, skip):
        x = x if self.lateral is None else self.lateral(x)
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest") + skip)


class Small(nn.Module):
    def __init__(self, channels=1, classes=7):
        super().__init__()
        self.stem = Unit(channels, 16, 3, 2)
        self.encoder4, self.encoder8, self.encoder16, self.encoder32 = Level(16, 32, 1), Level(32, 64, 2), Level(64, 64, 2), Level(64, 64, 1)
        self.decoder16, self.decoder8, self.decoder4, self.decoder2 = Up(64, 64), Up(64, 64), Up(64, 32), Up(32, 16)
        self.detail, self.subvoxel = Unit(channels, 8, 3), Unit(1, 8, 1)
        self.subvoxel.conv = nn.ConvTranspose3d(16, 8, 2, 2, bias=False)
        self.mix, self.head = Unit(16, 8, 1), nn.Conv3d(8, classes, 1)
        self.levels = nn.ConvTranspose3d(16, classes, 2, 2, bias=False)

    def forward(self, x):
        s2 = self.stem(x)
        s4 = self.encoder4(s2)
        s8 = self.encoder8(s4)
        s16 = self.encoder16(s8)
        y = self.encoder32(s16)
        for up, s in ((self.decoder16, s16), (self.decoder8, s8), (self.decoder4, s4), (self.decoder2, s2)):
            y = up(y, s)
        return torch.sigmoid(self.head(self.mix(torch.cat([self.subvoxel(y), self.detail(x)], 1))) + self.levels(y))


def load(m, path):
    given = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in onnx.load(path).graph.initializer if not t.name.endswith(".scales")}
    taken = set()
    for name, v in m.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        name_there = name.replace(".a.", ".0.").replace(".b.", ".1.")
        if given[name_there].shape != v.shape:
            sys.exit(f"{name}: {v.shape} is {given[name_there].shape} there")
        v.copy_(given[name_there])
        taken.add(name_there)
    if set(given) != taken:
        sys.exit(f"not in PyTorch's network: {sorted(set(given) - taken)}")


def season(m):
    for x in m.modules():
        if isinstance(x, nn.BatchNorm3d):
            i = torch.arange(x.num_features)
            x.running_mean.copy_((i * 37 % 17 - 8) / 64)
            x.running_var.copy_(.75 + (i * 53 % 16) / 32)
            x.weight.data.copy_(.75 + (i * 29 % 16) / 32)
            x.bias.data.copy_((i * 41 % 17 - 8) / 32)
    m.head.weight.data.mul_(4)


def volume(channels, size):
    return (torch.arange(channels * size**3) * 7919 % 257 / 256).float().reshape(1, channels, size, size, size)


for name, m, channels in (
    ("unet-small", Small(), 1),
    ("unet-resnet18d-4", UNet("resnet18d", 4), 3),
    ("unet-resnet18d-5", UNet("resnet18d", 5), 3),
    ("unet-efficientnetv2s-4", UNet("tf_efficientnetv2_s", 4), 3),
    ("unet-efficientnetv2s-5", UNet("tf_efficientnetv2_s", 5), 3),
):
    m.eval()
    with torch.no_grad():
        load(m, os.path.join(sys.argv[1], name + ".onnx"))
        season(m)
        with FlopCounterMode(display=False) as counter:
            y = m(volume(channels, 32)).numpy()
    np.save(os.path.join(here, name + ".npy"), y[0, :, ::4, ::4, ::4].copy())
    print(f"{name}: {sum(p.numel() for p in m.parameters())} parameters, {counter.get_total_flops()} FLOP, output {y.min():.4f} to {y.max():.4f}, mean {y.mean():.4f}")
