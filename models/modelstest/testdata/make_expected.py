#!/usr/bin/env python3
"""Makes the small ONNX files and PyTorch's answers that package modelstest compares engines with (torch 2.7.1, onnx 1.23.2).

For each case NAME: NAME.onnx, and NAME.in<k>.npy, NAME.out<k>.npy in float32. unet_bn takes unet's.
"""
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(5)
torch.set_num_threads(1)


def conv_bn(i, o, stride=1):
    return nn.Sequential(nn.Conv3d(i, o, 3, stride, 1, bias=False), nn.BatchNorm3d(o), nn.ReLU())


class UNet(nn.Module):
    """Two levels, with everything that the stage-1 network has: stride, pools, residual sum, nearest upsampling, skips."""

    def __init__(self):
        super().__init__()
        self.stem, self.pool = conv_bn(3, 8, 2), nn.MaxPool3d(3, 2, 1)
        self.a, self.b = conv_bn(8, 8), conv_bn(8, 16, 2)
        self.down = nn.Sequential(nn.AvgPool3d(2, 2, ceil_mode=True, count_include_pad=False), nn.Conv3d(8, 16, 1, bias=False), nn.BatchNorm3d(16))
        self.up0, self.up1, self.up2, self.head = conv_bn(24, 16), conv_bn(24, 8), conv_bn(8, 8), nn.Conv3d(8, 7, 3, padding=1)

    def forward(self, x):
        s0 = self.stem(x)
        s1 = self.a(self.pool(s0))
        y = F.relu(self.b(s1) + self.down(s1))
        for up, s in ((self.up0, s1), (self.up1, s0), (self.up2, None)):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = up(y if s is None else torch.cat([y, s], 1))
        return torch.sigmoid(self.head(y))


class Ports(nn.Module):
    """Two inputs and two outputs of different shapes: their order must be kept."""

    def __init__(self):
        super().__init__()
        self.c, self.l = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(6 + 3, 4)

    def forward(self, image, extra):
        f = F.leaky_relu(self.c(image), .1)
        return self.l(torch.cat([f.mean((2, 3)), extra], 1)), torch.sigmoid(f)


def seasoned(m):
    """Gives batch normalisation statistics and scales that are not 0 and 1."""
    for x in m.modules():
        if isinstance(x, (nn.BatchNorm3d, nn.BatchNorm2d)):
            x.running_mean.uniform_(-.3, .3), x.running_var.uniform_(.5, 2), x.weight.data.uniform_(.5, 1.5), x.bias.data.uniform_(-.3, .3)
    return m.eval()


def case(name, m, inputs, **kw):
    names = [f"in{k}" for k in range(len(inputs))]
    with torch.no_grad():
        outs = m(*inputs)
        outs = [outs] if torch.is_tensor(outs) else list(outs)
        torch.onnx.export(m, tuple(inputs), os.path.join(here, name + ".onnx"), opset_version=17, input_names=names,
                          output_names=[f"out{k}" for k in range(len(outs))], dynamo=False, **kw)
    if name == "unet_bn":
        return
    for kind, xs in (("in", inputs), ("out", outs)):
        for k, x in enumerate(xs):
            np.save(os.path.join(here, f"{name}.{kind}{k}.npy"), x.numpy())
    print(name, [tuple(x.shape) for x in outs], float(outs[0].min()), float(outs[0].max()))


unet = seasoned(UNet())
unet.head.weight.data.mul_(20)  # so that probabilities spread over (0, 1)
x = torch.rand(1, 1, 16, 16, 16).repeat(1, 3, 1, 1, 1)
case("unet", unet, [x])
# The same with BatchNormalization as nodes of their own, as a model that was trained as ONNX has them.
case("unet_bn", unet, [x], do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE, keep_initializers_as_inputs=False)
case("ports", Ports().eval(), [torch.rand(1, 2, 8, 8), torch.rand(1, 3)])
