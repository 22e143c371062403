#!/usr/bin/env python3
"""Makes the small ONNX files that package program is tested with, and what ONNX Runtime computes with them
(torch 2.7.1, onnx 1.23.2, onnxruntime 1.32.0).

One zip archive, cases.zip, has for each case: NAME.onnx, NAME.json (inputs: name, shape, values; outputs: name, shape, values, as ONNX
Runtime computes them with the constants' own float32), and cases.json with the names in order. Inputs are small, so that values
stay few. All is deterministic: a second run gives the same bytes.
"""
import io
import json
import os
import warnings
import zipfile

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn as nn
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings("ignore")
here = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(7)
torch.set_num_threads(1)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.log_severity_level = 1, 3
cases, archive = [], {}


def store(name, model, inputs):
    """Runs a model (bytes) in ONNX Runtime and keeps both."""
    session = onnxruntime.InferenceSession(model, options)
    feeds = {i.name: x for i, x in zip(session.get_inputs(), inputs)}
    outs = session.run(None, feeds)
    tensor = lambda n, x: {"name": n, "shape": list(x.shape), "values": [float(f"{v:.7g}") for v in x.astype(np.float32).ravel()]}
    archive[name + ".onnx"] = model
    archive[name + ".json"] = json.dumps({"inputs": [tensor(n, x) for n, x in feeds.items()],
                                          "outputs": [tensor(o.name, x) for o, x in zip(session.get_outputs(), outs)]}).encode()
    cases.append(name)


def torch_case(name, module, *inputs, opsets=(17,), folding=True, training=None, rtol=1e-3, **kw):
    """Exports a module for each opset; ONNX Runtime's answer must be PyTorch's."""
    module = module.eval()
    inputs = [torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in inputs]
    for opset in opsets:
        f = io.BytesIO()
        with torch.no_grad():
            torch.onnx.export(module, tuple(inputs), f, opset_version=opset, dynamo=False, do_constant_folding=folding,
                              training=training or torch.onnx.TrainingMode.EVAL, **kw)
            want = module.eval()(*inputs)  # afterwards: an export for training moves the statistics
        full = f"{name}_{opset}"
        if training is None:
            store(full, f.getvalue(), [x.numpy() for x in inputs])
            for o, w in zip(json.loads(archive[full + ".json"])["outputs"], [want] if torch.is_tensor(want) else want):
                np.testing.assert_allclose(np.array(o["values"], np.float32), w.numpy().ravel(), rtol=rtol, atol=1e-5)
        else:  # statistics as inference has them, though the file is for training
            archive[full + ".onnx"] = f.getvalue()
            tensor = lambda n, x: {"name": n, "shape": list(x.shape), "values": [float(f"{v:.7g}") for v in x.numpy().ravel()]}
            g = onnx.load_from_string(f.getvalue()).graph
            const = {t.name for t in g.initializer}
            ins = [i.name for i in g.input if i.name not in const]
            archive[full + ".json"] = json.dumps({"inputs": [tensor(n, x) for n, x in zip(ins, inputs)], "outputs": [tensor(g.output[0].name, want)]}).encode()
            cases.append(full)


class Fn(nn.Module):
    def __init__(self, f, **modules):
        super().__init__()
        self.f = f
        for k, m in modules.items():
            setattr(self, k, m)

    def forward(self, *x):
        return self.f(self, *x)


def fn(f, **modules):
    return Fn(f if modules else lambda s, *x: f(*x), **modules)


def r(*shape):
    return torch.randn(*shape)


def seasoned(m):
    for x in m.modules():
        if isinstance(x, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            x.running_mean.uniform_(-.3, .3), x.running_var.uniform_(.5, 2), x.weight.data.uniform_(.5, 1.5), x.bias.data.uniform_(-.3, .3)
        if isinstance(x, (nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm2d)) and x.weight is not None:
            x.weight.data.uniform_(.5, 1.5), x.bias.data.uniform_(-.3, .3)
    return m


OLD, ALL = (11, 13), (11, 13, 17, 18)
nn2 = {1: (nn.Conv1d, nn.ConvTranspose1d, nn.MaxPool1d, nn.AvgPool1d), 2: (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.AvgPool2d),
       3: (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.AvgPool3d)}
for d in (1, 2, 3):
    Conv, Up, Max, Avg = nn2[d]
    size = (7, 6, 5)[:d]
    torch_case(f"conv{d}d", Conv(2, 3, 3, padding=1), r(2, 2, *size), opsets=(11, 17))
    torch_case(f"conv{d}d_stride_dilation_group", Conv(4, 6, 2, stride=2, dilation=2, padding=2, groups=2, bias=False), r(1, 4, *size))
    torch_case(f"conv{d}d_depthwise", Conv(3, 3, 3, padding=1, groups=3), r(1, 3, *size))
    torch_case(f"up{d}d", Up(2, 3, 2, stride=2), r(1, 2, *size), opsets=(11, 17))
    torch_case(f"up{d}d_all", Up(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False), r(1, 4, *size))
    torch_case(f"up{d}d_dilation", Up(2, 2, 2, stride=1, dilation=2), r(1, 2, *size))
    torch_case(f"maxpool{d}d", Max(3, 2, 1), r(1, 2, *size), opsets=ALL[:2])
    torch_case(f"maxpool{d}d_ceil_dilation", Max(2, 2, 0, dilation=2, ceil_mode=True), r(1, 2, *size))
    torch_case(f"maxpool{d}d_ceil_pad", Max(3, 2, 1, ceil_mode=True), r(1, 2, *[s + 1 for s in size]))
    torch_case(f"avgpool{d}d", Avg(2), r(1, 2, *size), opsets=ALL[:2])
    torch_case(f"avgpool{d}d_pad", Avg(3, 2, 1), r(1, 2, *size))
    torch_case(f"avgpool{d}d_ceil_nopadcount", Avg(3, 2, 1, ceil_mode=True, count_include_pad=False), r(1, 2, *[s + 1 for s in size]))
    if d > 1:
        torch_case(f"adaptive_avg{d}d", (nn.AdaptiveAvgPool2d if d == 2 else nn.AdaptiveAvgPool3d)(1), r(1, 3, *size), opsets=(11, 17))
        torch_case(f"adaptive_max{d}d", (nn.AdaptiveMaxPool2d if d == 2 else nn.AdaptiveMaxPool3d)(1), r(1, 3, *size))
    bn = seasoned((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[d - 1](3))
    torch_case(f"batchnorm{d}d", bn, r(2, 3, *size), opsets=(11, 17))
    torch_case(f"batchnorm{d}d_training", nn.Sequential(Conv(3, 3, 1), bn, nn.Dropout(.3)), r(2, 3, *size), opsets=(13, 17), training=torch.onnx.TrainingMode.TRAINING, folding=False)
    mode = ("linear", "bilinear", "trilinear")[d - 1]
    torch_case(f"nearest{d}d", fn(lambda x: F.interpolate(x, scale_factor=2, mode="nearest")), r(1, 2, *size), opsets=ALL)
    torch_case(f"nearest{d}d_size", fn(lambda x: F.interpolate(x, size=[3 * s for s in x.shape[2:]], mode="nearest")), r(1, 2, *size), opsets=(11, 17))
    torch_case(f"linear{d}d", fn(lambda x: F.interpolate(x, scale_factor=2, mode=mode)), r(1, 2, *size), opsets=(11, 13, 18))
    torch_case(f"linear{d}d_align", fn(lambda x: F.interpolate(x, scale_factor=2, mode=mode, align_corners=True)), r(1, 2, *size))
    torch_case(f"linear{d}d_size", fn(lambda x: F.interpolate(x, size=[2 * s - 1 for s in x.shape[2:]], mode=mode)), r(1, 2, *size))
    torch_case(f"linear{d}d_odd", fn(lambda x: F.interpolate(x, scale_factor=1.5, mode=mode)), r(1, 2, *size))
    torch_case(f"pad{d}d", fn(lambda x: F.pad(x, (1, 2, 0, 1)[:2 * min(d, 2)], value=.5)), r(1, 2, *size), opsets=ALL)
    torch_case(f"pad{d}d_crop", fn(lambda x: F.pad(x, (-1, 2))), r(1, 2, *size))
for mode in ("reflect", "replicate"):
    torch_case("pad2d_" + mode, fn(lambda x: F.pad(x, (1, 2, 2, 0), mode=mode)), r(1, 2, 3, 4), opsets=(11, 17))
torch_case("pad3d_replicate_nothing", fn(lambda x, y: F.pad(x, [0, y.shape[-1] - x.shape[-1], 0, 0, 0, 0], "replicate") + y), r(1, 1, 2, 3, 3), r(1, 1, 2, 3, 3))
torch_case("nearest2d_half", fn(lambda x: F.interpolate(x, scale_factor=.5, mode="nearest")), r(1, 2, 6, 8))
torch_case("nearest2d_follow", fn(lambda x, y: F.interpolate(x, size=y.shape[-2:], mode="nearest") + y), r(1, 2, 3, 4), r(1, 2, 6, 8), opsets=ALL,
           dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, input_names=["x", "y"])

# Elementwise functions, and how exporters spell them.
for name, m in {"relu": nn.ReLU(), "leaky": nn.LeakyReLU(.2), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "silu": nn.SiLU(), "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"),
                "elu": nn.ELU(.7), "relu6": nn.ReLU6(), "hardswish": nn.Hardswish(), "hardsigmoid": nn.Hardsigmoid(), "prelu": nn.PReLU(3),
                "exp": fn(torch.exp), "erf": fn(torch.erf), "neg": fn(torch.neg), "abs": fn(torch.abs), "clamp": fn(lambda x: x.clamp(-.5, .25)),
                "log": fn(lambda x: torch.log(x * x + 1)), "sqrt": fn(lambda x: torch.sqrt(x * x + .1)), "reciprocal": fn(lambda x: 1 / (x * x + 1)),
                "pow": fn(lambda x: (x * x + 1) ** 1.5), "square": fn(lambda x: x ** 2), "rsqrt": fn(lambda x: torch.rsqrt(x * x + 1))}.items():
    torch_case("f_" + name, m, r(2, 3, 4), opsets=(11, 17) if name not in ("gelu", "gelu_tanh", "silu", "hardswish") else (11, 14, 17, 18, 20))
torch_case("gelu_half_first", fn(lambda x: x * .5 * (1 + torch.erf(x / 2 ** .5))), r(2, 5))
torch_case("gelu_half_last", fn(lambda x: x * (1 + torch.erf(x * .5 ** .5)) * .5), r(2, 5))
torch_case("gelu_half_inside", fn(lambda x: x * (.5 * (1 + torch.erf(x / 2 ** .5)))), r(2, 5))
torch_case("silu_reversed", fn(lambda x: torch.sigmoid(x) * x), r(2, 5))
torch_case("not_silu", fn(lambda x, y: torch.sigmoid(x) * y), r(2, 5), r(2, 5))
torch_case("arithmetic", fn(lambda x, y: (x + y) * 2 - x / 3 + (1 - y) / (y * y + 1)), r(2, 3, 4), r(3, 1), opsets=(11, 17))

# Shapes and their arithmetic.
torch_case("flatten", nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), r(2, 3, 4), opsets=(11, 17))
torch_case("view", fn(lambda x: x.view(x.shape[0], -1, x.shape[2] // 2).transpose(1, 2)), r(2, 3, 4), opsets=(11, 17), dynamic_axes={"x": {0: "n"}}, input_names=["x"])
torch_case("squeeze", fn(lambda x: x.squeeze(1).unsqueeze(0).unsqueeze(-1)), r(2, 1, 4), opsets=(11, 13))
torch_case("permute", fn(lambda x: x.permute(0, 2, 3, 1).contiguous()), r(1, 2, 3, 4))
torch_case("first", fn(lambda x: x[:, 0]), r(2, 3, 4), opsets=(11, 17))
torch_case("last", fn(lambda x: x[:, -1:]), r(2, 3, 4))
torch_case("slice", fn(lambda x: x[:, 1:, ::2]), r(2, 3, 5), opsets=(11, 17))
torch_case("flip", fn(lambda x: x.flip(2)), r(2, 3, 5))
torch_case("roll", fn(lambda x: torch.roll(x, 2, 2)), r(2, 3, 5))
torch_case("chunk", fn(lambda x: torch.cat(x.chunk(3, 2)[::-1], 1)), r(2, 2, 6), opsets=(11, 17, 18))
torch_case("split", fn(lambda x: torch.split(x, [1, 3], 1)), r(2, 4, 3), opsets=(11, 13, 18))
torch_case("stack", fn(lambda x, y: torch.stack([x, y], 1)), r(2, 3), r(2, 3))
torch_case("expand", fn(lambda x: x.expand(2, -1, 4)), r(1, 3, 1), opsets=(11, 17))
torch_case("repeat", fn(lambda x: x.repeat(2, 1, 3)), r(1, 3, 2), opsets=(11, 17))
torch_case("expand_as", fn(lambda x, y: x.expand_as(y) + y), r(1, 3, 1), r(2, 3, 4), dynamic_axes={"y": {0: "n"}}, input_names=["x", "y"])
torch_case("zeros_like", fn(lambda x: torch.cat([x, torch.zeros(x.shape[0], 2, x.shape[2])], 1)), r(2, 3, 4), opsets=(11, 17), dynamic_axes={"x": {0: "n"}}, input_names=["x"])
torch_case("pixel_shuffle", nn.PixelShuffle(2), r(1, 8, 2, 3))
torch_case("mean", fn(lambda x: x.mean((2, 3)) + x.mean(1).mean(1)[:, :1]), r(2, 3, 4, 5), opsets=ALL)
torch_case("mean_keep", fn(lambda x: x - x.mean(-1, keepdim=True)), r(2, 3, 4), opsets=(11, 18))
torch_case("mean_all", fn(lambda x: x.mean()), r(2, 3, 4), opsets=(11, 18))
torch_case("sums", fn(lambda x: x.sum(1) + torch.norm(x, dim=1) + x.sum()), r(2, 3, 4), opsets=(11, 17, 18))
torch_case("weight_norm", fn(lambda s, x: F.conv2d(x, F.batch_norm(s.c.weight.reshape(1, 3, -1), None, None, training=True).reshape_as(s.c.weight)), c=nn.Conv2d(2, 3, 3)), r(1, 2, 5, 5))
torch_case("softmax", nn.Softmax(1), r(2, 3, 4), opsets=(11, 17))
torch_case("arange", fn(lambda x: x * torch.arange(x.shape[1]).float()), r(2, 5), opsets=(11, 17), dynamic_axes={"x": {1: "n"}}, input_names=["x"])

# Products, norms and blocks.
torch_case("linear", nn.Linear(4, 3), r(2, 4), opsets=(11, 17))
torch_case("linear_no_bias", nn.Linear(4, 3, bias=False), r(2, 4))
torch_case("linear3d", nn.Linear(4, 3), r(2, 5, 4), opsets=(11, 17))
torch_case("linear3d_unfolded", nn.Linear(4, 3), r(2, 5, 4), folding=False)
torch_case("matmul_batch", fn(torch.matmul), r(2, 1, 3, 4), r(5, 4, 2))
torch_case("matmul_vectors", fn(lambda x, y, z: (x @ y, z @ x, y @ y)), r(2, 3, 4), r(4), r(3))
torch_case("attention", fn(lambda q, k, v: F.scaled_dot_product_attention(q, k, v)), r(1, 2, 3, 4), r(1, 2, 5, 4), r(1, 2, 5, 4), opsets=(14, 17))
torch_case("layernorm", seasoned(nn.LayerNorm(6)), r(2, 3, 6), opsets=(11, 13, 17, 18))
torch_case("layernorm2", seasoned(nn.LayerNorm((3, 6))), r(2, 3, 6), opsets=(13, 17))
torch_case("layernorm_plain", nn.LayerNorm(6, elementwise_affine=False), r(2, 3, 6), opsets=(13, 17))
torch_case("groupnorm", seasoned(nn.GroupNorm(2, 4)), r(2, 4, 3, 3), opsets=(11, 17, 18))
torch_case("instancenorm", seasoned(nn.InstanceNorm2d(4, affine=True)), r(2, 4, 3, 3))


class SE(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a, self.b = nn.Conv2d(c, 2, 1), nn.Conv2d(2, c, 1)

    def forward(self, x):
        s = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.b(F.silu(self.a(s))))


class ConvNeXt(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dw, self.norm, self.a, self.b, self.gamma = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, eps=1e-6), nn.Linear(c, 2 * c), nn.Linear(2 * c, c), nn.Parameter(torch.rand(c))

    def forward(self, x):
        y = self.norm(self.dw(x).permute(0, 2, 3, 1))
        return x + (self.b(F.gelu(self.a(y))) * self.gamma).permute(0, 3, 1, 2)


class MBConv(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(c, 2 * c, 1, bias=False), nn.BatchNorm2d(2 * c), nn.SiLU(), nn.Conv2d(2 * c, 2 * c, 3, padding=1, groups=2 * c, bias=False), nn.BatchNorm2d(2 * c), nn.SiLU(), SE(2 * c),
                                 nn.Conv2d(2 * c, c, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        return x + self.net(x)


class UNet3d(nn.Module):
    def __init__(self):
        super().__init__()
        block = lambda i, o, s=1: nn.Sequential(nn.Conv3d(i, o, 3, s, 1, bias=False), nn.BatchNorm3d(o), nn.ReLU())
        self.a, self.b, self.c, self.head = block(1, 2), block(2, 4, 2), block(6, 2), nn.Conv3d(2, 2, 1)

    def forward(self, x):
        s = self.a(x)
        y = F.interpolate(self.b(s), scale_factor=2, mode="nearest")
        return torch.sigmoid(self.head(self.c(torch.cat([y, s], 1))))


torch_case("convnext_block", seasoned(ConvNeXt(4)), r(1, 4, 5, 5), opsets=(13, 17, 20))
torch_case("mbconv_block", seasoned(MBConv(3)), r(1, 3, 5, 5), opsets=(11, 17))
torch_case("unet3d", seasoned(UNet3d()), r(1, 1, 4, 4, 4), opsets=(11, 17), folding=False)
torch_case("unet3d_training", seasoned(UNet3d()), r(1, 1, 4, 4, 4), opsets=(17,), folding=False, training=torch.onnx.TrainingMode.TRAINING)
torch_case("tied", nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), r(1, 2, 3, 3), folding=False)


class Sequence(nn.Module):
    """The second stage's head: features of each slice, a two-layer bidirectional LSTM, and a linear layer."""

    def __init__(self, **kw):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 3, batch_first=True, **kw), nn.Linear(3 * (2 if kw.get("bidirectional") else 1), 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


torch_case("lstm_bidirectional", Sequence(num_layers=2, bidirectional=True, dropout=.1), r(2, 5, 4), opsets=(11, 13, 17))
torch_case("lstm_forward", Sequence(), r(2, 5, 4), opsets=(11, 17))
torch_case("lstm_no_bias", Sequence(bias=False), r(2, 5, 4))
torch_case("lstm_dynamic", Sequence(num_layers=2, bidirectional=True), r(2, 5, 4), opsets=(11, 17), dynamic_axes={"x": {0: "n", 1: "t"}}, input_names=["x"])
torch_case("lstm_states", fn(lambda s, x: s.rnn(x)[1][0], rnn=nn.LSTM(4, 3, bidirectional=True)), r(5, 2, 4))
torch_case("lstm_unfolded", Sequence(num_layers=2, bidirectional=True), r(2, 5, 4), folding=False)


# What exporters other than PyTorch's write, or wrote.
def raw(name, nodes, inputs, outputs, constants=(), opset=17, **kw):
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in inputs],
                          [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs], [numpy_helper.from_array(x, n) if isinstance(x, np.ndarray) else x for n, x in constants])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    store(name, m.SerializeToString(), [x for _, x in inputs])


def a(*shape):
    return torch.randn(*shape).numpy()


N = helper.make_node
i64 = lambda *v: np.array(v, np.int64)
for pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    raw("conv_" + pad.lower(), [N("Conv", ["x", "w"], ["y"], auto_pad=pad, strides=[2, 2])], [("x", a(1, 2, 6, 5))], ["y"], [("w", a(3, 2, 3, 4))])
    raw("maxpool_" + pad.lower(), [N("MaxPool", ["x"], ["y"], auto_pad=pad, kernel_shape=[3, 2], strides=[2, 2])], [("x", a(1, 2, 6, 5))], ["y"])
    raw("avgpool_" + pad.lower(), [N("AveragePool", ["x"], ["y"], auto_pad=pad, kernel_shape=[3, 2], strides=[2, 2])], [("x", a(1, 2, 6, 5))], ["y"])
    raw("up_" + pad.lower(), [N("ConvTranspose", ["x", "w"], ["y"], auto_pad=pad, strides=[2, 2])], [("x", a(1, 2, 4, 3))], ["y"], [("w", a(2, 3, 3, 3))])
raw("up_output_shape", [N("ConvTranspose", ["x", "w"], ["y"], output_shape=[8, 7], strides=[2, 2])], [("x", a(1, 2, 4, 3))], ["y"], [("w", a(2, 3, 3, 3))])
for mode in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
    for rounding in ("floor", "round_prefer_floor"):
        if (mode, rounding) in (("half_pixel", "floor"), ("pytorch_half_pixel", "floor"), ("align_corners", "floor"), ("align_corners", "round_prefer_floor"), ("asymmetric", "round_prefer_floor")):
            continue
        raw(f"nearest_{mode}_{rounding}", [N("Resize", ["x", "", "s"], ["y"], mode="nearest", coordinate_transformation_mode=mode, nearest_mode=rounding)], [("x", a(1, 2, 3, 4))], ["y"],
            [("s", np.array([1, 1, 3, 2], np.float32))], opset=13)
raw("resize_axes", [N("Resize", ["x", "", "", "s"], ["y"], mode="nearest", axes=[3, 2], coordinate_transformation_mode="asymmetric", nearest_mode="floor")], [("x", a(1, 2, 3, 4))], ["y"], [("s", i64(8, 9))], opset=18)
raw("resize_down_up", [N("Resize", ["x", "", "", "s"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")], [("x", a(1, 1, 6, 4))], ["y"], [("s", i64(1, 1, 2, 8))], opset=13)
raw("linear_to_one", [N("Resize", ["x", "", "", "s"], ["y"], mode="linear", coordinate_transformation_mode="pytorch_half_pixel")], [("x", a(1, 1, 6, 4))], ["y"], [("s", i64(1, 1, 1, 8))], opset=13)
raw("upsample", [N("Upsample", ["x", "s"], ["y"], mode="nearest")], [("x", a(1, 2, 3, 4))], ["y"], [("s", np.array([1, 1, 2, 2], np.float32))], opset=9)
raw("pads_with_axes", [N("Pad", ["x", "p", "", "ax"], ["y"])], [("x", a(2, 3, 4))], ["y"], [("p", i64(1, 2, 0, 1)), ("ax", i64(2, -2))], opset=18)
raw("gather_even", [N("Gather", ["x", "i"], ["y"], axis=2)], [("x", a(1, 2, 7))], ["y"], [("i", i64(5, 3, 1))])
raw("gather_rank2", [N("Gather", ["x", "i"], ["y"], axis=0)], [("x", a(4, 2))], ["y"], [("i", i64(0, 1, 2, 3).reshape(2, 2))])
raw("gemm_all", [N("Gemm", ["x", "w", "b"], ["y"], transA=1, transB=1, alpha=.5, beta=2.)], [("x", a(4, 2))], ["y"], [("w", a(3, 4)), ("b", a(2, 1))])
raw("sum", [N("Sum", ["x", "z", "c"], ["y"])], [("x", a(2, 3)), ("z", a(3))], ["y"], [("c", a(2, 1))])
raw("softmax_old", [N("Softmax", ["x"], ["y"], axis=1)], [("x", a(2, 3, 4))], ["y"], opset=11)
raw("where", [N("Where", ["c", "x", "z"], ["y"])], [("x", a(2, 3)), ("z", a(2, 3))], ["y"], [("c", np.array([[True]]))])
raw("outputs", [N("Identity", ["x"], ["same"]), N("Relu", ["x"], ["y"]), N("Identity", ["y"], ["y2"]), N("Identity", ["c"], ["c2"])], [("x", a(2, 3))], ["same", "y", "y2", "c2"], [("c", a(2))])
raw("lstm_reverse", [N("LSTM", ["x", "w", "r", "b"], ["y", "h"], hidden_size=3, direction="reverse")], [("x", a(4, 2, 5))], ["y", "h"], [("w", a(1, 12, 5)), ("r", a(1, 12, 3)), ("b", a(1, 24))])
raw("groupnorm_node", [N("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)], [("x", a(2, 4, 3))], ["y"], [("s", a(4)), ("b", a(4))], opset=21)
raw("layernorm_mul", [N("ReduceMean", ["x"], ["m"], axes=[-1]), N("Sub", ["x", "m"], ["d"]), N("Mul", ["d", "d"], ["q"]), N("ReduceMean", ["q"], ["v"], axes=[-1]), N("Add", ["e", "v"], ["ve"]),
                      N("Sqrt", ["ve"], ["s"]), N("Div", ["d", "s"], ["n"]), N("Mul", ["g", "n"], ["gn"]), N("Add", ["b", "gn"], ["y"])], [("x", a(2, 5))], ["y"],
    [("e", np.array([1e-5], np.float32)), ("g", a(5)), ("b", a(5))], opset=13)
for kind in (np.float16, np.float64):
    raw("weights_" + np.dtype(kind).name, [N("Cast", ["w"], ["w32"], to=1), N("MatMul", ["x", "w32"], ["y"])], [("x", a(2, 3))], ["y"], [("w", a(3, 4).astype(kind))])

typed = [helper.make_tensor("c_" + str(k), k, [3], [.1, -2.5, 3e-7], raw=False) for k in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)]
raw("typed_data", [N("Cast", [t.name], ["f" + t.name], to=1) for t in typed] + [N("Sum", ["x"] + ["f" + t.name for t in typed], ["h"]), N("Cast", ["i"], ["s"], to=7), N("Add", ["s", "j"], ["s2"]), N("Reshape", ["h", "s2"], ["y"])],
    [("x", a(2, 3))], ["y"], [(t.name, t) for t in typed] + [("i", helper.make_tensor("i", TensorProto.INT32, [2], [2, -2], raw=False)), ("j", helper.make_tensor("j", TensorProto.INT64, [2], [1, 1], raw=False))])

with zipfile.ZipFile(os.path.join(here, "cases.zip"), "w", zipfile.ZIP_DEFLATED, compresslevel=9) as z:
    archive["cases.json"] = json.dumps(cases).encode()
    for name in sorted(archive):
        z.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), archive[name], zipfile.ZIP_DEFLATED)
print(len(cases), "cases,", os.path.getsize(os.path.join(here, "cases.zip")), "bytes")
