#!/usr/bin/env python3
"""Encoders as users export them (torch 2.7.1, timm 1.0.31): NAME.onnx, with NAME.npy, the features of an image of six channels that timm
makes with its own adaptation of the first convolution (timm.models.adapt_input_conv). Weights are random, normalisations are not 0 and 1."""
import os

import numpy as np
import timm
import torch
import torch.nn as nn
from timm.models import adapt_input_conv
from timm.models.convnext import ConvNeXt
from timm.models.vision_transformer import VisionTransformer

here = os.path.dirname(os.path.abspath(__file__))
SIZE = 32


class Flat(nn.Module):
    """Flattens by the batch that it is traced with."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.Linear(8 * 16, 12)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        return self.fc(x.reshape(x.shape[0], -1))


class Normalising(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return self.conv((x - .5) / .25).mean((2, 3))


class Features(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.m = m

    def forward(self, x):
        return self.m.forward_features(x)


def season(m):
    for n in m.modules():
        if isinstance(n, nn.BatchNorm2d):
            n.running_mean.normal_(0, .2), n.running_var.uniform_(.5, 1.5)
            n.weight.data.uniform_(.5, 1.5), n.bias.data.normal_(0, .2)
    for name, p in m.named_parameters():
        if name.endswith("gamma"):
            p.data.uniform_(.2, .5)


def export(name, m, free, expected=True, **kw):
    m.eval()
    season(m)
    axes = {"input": {i: a for i, a in ((0, "batch"), (2, "rows"), (3, "columns")) if a in free}}
    torch.onnx.export(m, torch.rand(1, 3, SIZE, SIZE), os.path.join(here, name + ".onnx"), input_names=["input"], output_names=["features"],
                      dynamic_axes=axes if free else None, dynamo=False, **kw)
    if not expected:
        return
    first = next(c for c in m.modules() if isinstance(c, nn.Conv2d))
    first.weight = nn.Parameter(adapt_input_conv(6, first.weight.data))
    x = (torch.arange(6 * SIZE * SIZE) * 7919 % 257 / 256).float().reshape(1, 6, SIZE, SIZE)
    y = m(x)
    y = y.mean((2, 3)) if y.dim() == 4 else y
    print(f"{name}: {y.shape[1]} features, {y.min():.3f} to {y.max():.3f}; {os.path.getsize(os.path.join(here, name + '.onnx'))} bytes")
    np.save(os.path.join(here, name + ".npy"), y[0].numpy())


as_trained = dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
vit = lambda: VisionTransformer(img_size=SIZE, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=0)
with torch.no_grad():
    torch.manual_seed(1)
    # TensorFlow's padding, which the graph computes from the image's size; normalisations stay nodes.
    export("efficientnet", timm.create_model("test_efficientnet", num_classes=0, pad_type="same", channel_multiplier=.5), ("batch", "rows", "columns"), opset_version=17, **as_trained)
    # Maps, exported for inference with a batch of one; normalisations are part of the convolutions.
    export("resnet_maps", Features(timm.models.resnet.ResNet(timm.models.resnet.BasicBlock, (1, 1, 1, 1), channels=(8, 8, 16, 24), num_classes=0)), (), opset_version=13)
    export("convnext", ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 16, 24), num_classes=0, conv_mlp=True), ("batch",), opset_version=18, **as_trained)
    export("vit", vit(), ("batch",), opset_version=17, **as_trained)
    export("flat", Flat(), (), opset_version=17)
    export("vit_of_one", vit(), (), False, opset_version=17)
    export("normalising", Normalising(), ("batch",), False, opset_version=17)
