"""A tiny network around each operator, in two dimensions and three (and one for sequences), and a tiny network for each loss."""
import torch
import torch.nn as nn
import torch.nn.functional as F

SIZES = {1: [11], 2: [6, 9], 3: [4, 5, 7]}
SMALL = {2: [4, 5], 3: [2, 3, 4]}  # for what enlarges


def conv(d):
    return {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[d]


def pick(d, base):
    return getattr(nn, f"{base}{d}d")


class Op(nn.Module):
    """A function with parameters of its own between two others."""

    def __init__(self, f, **params):
        super().__init__()
        self.f = f
        for n, p in params.items():
            self.register_parameter(n, nn.Parameter(p))

    def forward(self, x):
        return self.f(self, x)


def between(d, op, c=4, out=None):
    """1x1 convolution, op, 1x1 convolution: op's input and parameters get gradients. out is how many channels op yields."""
    return nn.Sequential(conv(d)(2, c, 1), op, conv(d)(out or c, 2, 1))


def logits(m, shape, target_kind="unit"):
    with torch.no_grad():
        y = m.eval()(torch.zeros(shape))
    return dict(m=m, batches=[{"inputs": [{"shape": list(shape), "kind": "signed", "stream": 1, "scale": 2}],
                               "targets": [{"shape": list(y.shape), "kind": target_kind, "stream": 2}]}],
                terms=[{"output": "out0", "kind": "bce_logits", "weight": 1}])


def cases():
    """Name to a function that makes what training_cases.case takes."""
    all = {}

    def add(name, dims, make, n=2, sizes=None, **kw):
        for d in dims:
            def build(d=d):
                m = make(d)
                first = next(x for x in m.modules() if isinstance(x, (nn.Conv1d, nn.Conv2d, nn.Conv3d)))
                return {**logits(m, [n, first.in_channels] + (sizes or SIZES)[d]), **kw}
            all[f"{name}_{d}d"] = build

    # --- convolutions
    for k in (1, 3, 5, 7):
        add(f"conv_k{k}", (2, 3), lambda d, k=k: between(d, conv(d)(3, 3, k, padding=k // 2), c=3))
    add("conv_plain", (1,), lambda d: between(d, conv(d)(4, 5, 3, padding=1), out=5))
    add("conv_valid", (2, 3), lambda d: between(d, conv(d)(4, 3, 3, bias=False), out=3))
    add("conv_stride", (1, 2, 3), lambda d: between(d, conv(d)(4, 5, 3, stride=2, padding=1), out=5))
    add("conv_stride_k1", (2, 3), lambda d: between(d, conv(d)(4, 5, 1, stride=2), out=5))
    add("conv_stride_k7", (2,), lambda d: between(d, conv(d)(4, 3, 7, stride=2, padding=3), out=3))
    add("conv_dilated", (1, 2, 3), lambda d: between(d, conv(d)(4, 3, 3, dilation=2, padding=2), out=3))
    add("conv_groups", (2, 3), lambda d: between(d, conv(d)(4, 6, 3, padding=1, groups=2), out=6))
    add("conv_depthwise", (2, 3), lambda d: between(d, conv(d)(4, 4, 3, padding=1, groups=4)))
    add("conv_depthwise_stride", (2, 3), lambda d: between(d, conv(d)(4, 8, 5, stride=2, padding=2, groups=4), out=8))
    for k in (3, 5, 7):  # as EfficientNet and ConvNeXt have them, on maps that fill vectors and leave remainders
        for stride in (1, 2):
            add(f"conv_depthwise_k{k}s{stride}", (2,), lambda d, k=k, stride=stride: nn.Sequential(conv(d)(1, 6, 1), conv(d)(6, 6, k, stride, k // 2, groups=6, bias=k == 7), conv(d)(6, 1, 1)),
                sizes={2: [10, 35]}, n=2, compact=True)
    add("conv_patches", (2,), lambda d: between(d, conv(d)(4, 6, 4, 4), out=6), sizes={2: [9, 12]})
    add("conv_uneven", (2,), lambda d: between(d, conv(d)(4, 4, (1, 5), stride=(2, 1), padding=(0, 2))))
    add("conv_uneven", (3,), lambda d: between(d, conv(d)(4, 4, (3, 1, 5), stride=(1, 2, 1), padding=(1, 0, 2), dilation=(2, 1, 1))))
    # Channels and rows that fill vector registers, and such as leave remainders.
    add("conv_wide", (2,), lambda d: nn.Sequential(conv(d)(2, 32, 1), conv(d)(32, 32, 3, padding=1), conv(d)(32, 1, 1)), sizes={2: [6, 35]}, compact=True)
    add("conv_wide", (3,), lambda d: nn.Sequential(conv(d)(2, 16, 1), conv(d)(16, 16, 3, padding=1), conv(d)(16, 1, 1)), sizes={3: [3, 4, 35]}, compact=True)
    add("conv_odd_channels", (2, 3), lambda d: nn.Sequential(conv(d)(2, 9, 1), conv(d)(9, 11, 3, padding=1), conv(d)(11, 1, 1)), sizes={2: [9, 17], 3: [4, 5, 17]})
    add("conv_reused", (2, 3), lambda d: between(d, Reused(conv(d)(4, 4, 3, padding=1))))
    add("conv_image", (2, 3), lambda d: nn.Sequential(conv(d)(1, 3, 3, stride=2, padding=1), conv(d)(3, 2, 3, padding=1)), n=3)
    # --- transposed convolutions
    for name, kw in (("k2s2", dict(kernel_size=2, stride=2)), ("k4s2p1", dict(kernel_size=4, stride=2, padding=1)),
                     ("outpad", dict(kernel_size=3, stride=2, padding=1, output_padding=1)), ("groups", dict(kernel_size=3, padding=1, groups=2, bias=False))):
        add(f"convtranspose_{name}", (2, 3), lambda d, kw=kw: between(d, pick(d, "ConvTranspose")(4, 6, **kw), out=6), sizes=SMALL)
    # --- normalisations
    add("batchnorm", (1, 2, 3), lambda d: between(d, pick(d, "BatchNorm")(4)))
    add("batchnorm_momentum", (2,), lambda d: between(d, pick(d, "BatchNorm")(4, eps=1e-3, momentum=.25)))
    add("batchnorm_relu", (2, 3), lambda d: nn.Sequential(conv(d)(2, 6, 3, padding=1, bias=False), pick(d, "BatchNorm")(6), nn.ReLU(), conv(d)(6, 2, 1)))
    all["batchnorm_rows"] = lambda: logits(nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Linear(7, 3)), [6, 5])
    all["layernorm_tokens"] = lambda: logits(nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.Linear(8, 3)), [2, 6, 5])
    add("layernorm_channels", (2,), lambda d: between(d, LastNorm(4)))  # as ConvNeXt has it: channels last, normalised, back
    add("layernorm_channels_first", (2,), lambda d: between(d, FirstNorm(4)))  # as ConvNeXt's authors wrote it
    # as exporters spelled LayerNormalization before it was an operator
    all["layernorm_spelled_tokens"] = lambda: {**logits(nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.Linear(8, 3)), [2, 6, 5]), "opset": 16}
    add("layernorm_spelled_channels", (2,), lambda d: between(d, LastNorm(4)), opset=16)
    # --- functions of each element
    add("gelu_operator", (2,), lambda d: between(d, nn.GELU()), opset=20)
    add("gelu_tanh_operator", (2,), lambda d: between(d, nn.GELU("tanh")), opset=20)
    all["gelu_wide"] = lambda: {**logits(nn.Sequential(nn.Linear(1, 37), Op(lambda s, x: 8 * x), nn.GELU(), nn.Linear(37, 1)), [19, 1]), "compact": True}
    all["silu_wide"] = lambda: {**logits(nn.Sequential(nn.Linear(1, 37), Op(lambda s, x: 8 * x), nn.SiLU(), nn.Linear(37, 1)), [19, 1]), "compact": True}
    for name, m in (("relu", nn.ReLU()), ("leakyrelu", nn.LeakyReLU(.1)), ("sigmoid", nn.Sigmoid()), ("silu", nn.SiLU()), ("gelu", nn.GELU()), ("gelu_tanh", nn.GELU("tanh")),
                    ("tanh", nn.Tanh()), ("erf", Op(lambda s, x: torch.erf(x)))):
        add(name, (2, 3), lambda d, m=m: between(d, m))
    # --- pools
    for name, kw in (("k2s2", dict(kernel_size=2)), ("k3s2p1", dict(kernel_size=3, stride=2, padding=1)), ("ceil", dict(kernel_size=3, stride=2, ceil_mode=True)),
                     ("k3s1", dict(kernel_size=3, stride=1, padding=1))):
        add(f"maxpool_{name}", (2, 3), lambda d, kw=kw: between(d, pick(d, "MaxPool")(**kw)))
    add("maxpool_dilated", (2,), lambda d: between(d, nn.MaxPool2d(2, 2, dilation=2, padding=1)))
    for name, kw in (("k2s2", dict(kernel_size=2)), ("ceil", dict(kernel_size=2, ceil_mode=True, count_include_pad=False)), ("ceil_count", dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
                     ("pad", dict(kernel_size=3, stride=2, padding=1, count_include_pad=False)), ("pad_count", dict(kernel_size=3, stride=2, padding=1, count_include_pad=True))):
        add(f"avgpool_{name}", (2, 3), lambda d, kw=kw: between(d, pick(d, "AvgPool")(**kw)))
    add("globalavgpool", (1, 2, 3), lambda d: between(d, pick(d, "AdaptiveAvgPool")(1)))
    add("globalmaxpool", (2, 3), lambda d: between(d, pick(d, "AdaptiveMaxPool")(1)))
    add("maxpool_whole", (2,), lambda d: between(d, pick(d, "MaxPool")(SIZES[d])))
    add("reducemax", (2,), lambda d: nn.Sequential(conv(d)(2, 4, 1), Op(lambda s, x: x.amax((2, 3))), nn.Linear(4, 3)))
    add("reducemax_kept", (2,), lambda d: between(d, Op(lambda s, x: x.amax((2, 3), keepdim=True) * x)))
    add("reducemean", (2, 3), lambda d: between(d, Op(lambda s, x: x - x.mean(1, keepdim=True) + x.mean(-1, keepdim=True))))
    add("reducemean_flat", (2, 3), lambda d: nn.Sequential(conv(d)(2, 4, 1), Op(lambda s, x, d=d: x.mean(tuple(range(2, 2 + d)))), nn.Linear(4, 3)))
    # --- resizing
    add("resize_nearest", (2, 3), lambda d: between(d, nn.Upsample(scale_factor=2, mode="nearest")), sizes=SMALL)
    add("resize_nearest_uneven", (2, 3), lambda d: between(d, nn.Upsample(scale_factor=(1., 2., 3.)[:d], mode="nearest")), sizes=SMALL)
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}
    add("resize_linear", (2, 3), lambda d: between(d, nn.Upsample(scale_factor=2, mode=linear[d], align_corners=False)), sizes=SMALL)
    add("resize_linear_corners", (2, 3), lambda d: between(d, nn.Upsample(scale_factor=2, mode=linear[d], align_corners=True)), sizes=SMALL)
    add("resize_linear_smaller", (2, 3), lambda d: between(d, Op(lambda s, x, d=d: F.interpolate(x, size=[v // 2 + 1 for v in SIZES[d]], mode=linear[d], align_corners=False))))
    add("resize_to_skip", (2, 3), lambda d: between(d, ToSkip(d), out=8))
    # --- moving elements about
    add("concat", (2, 3), lambda d: between(d, Op(lambda s, x: torch.cat([x, x * x, x[:, 1:3]], 1)), out=10))
    add("concat_space", (2, 3), lambda d: between(d, Op(lambda s, x: torch.cat([x, x[:, :, 1:] * 2], 2))))
    add("slice", (2, 3), lambda d: between(d, Op(lambda s, x: x[:, 1:, 1:-1, ::2]), out=3))
    add("slice_chunk", (2,), lambda d: between(d, Op(lambda s, x: torch.mul(*x.chunk(2, 1))), out=2))
    add("pad", (2, 3), lambda d: between(d, Op(lambda s, x, d=d: F.pad(x, (1, 2, 0, 1, 2, 1)[:2 * d], value=.5))))
    add("reshape", (2, 3), lambda d: between(d, Op(shuffle)))
    add("transpose", (2, 3), lambda d: between(d, Op(lambda s, x: x.transpose(2, -1))))
    add("flatten", (2, 3), lambda d: nn.Sequential(conv(d)(2, 3, 1), pick(d, "MaxPool")(3), nn.Flatten(), nn.Linear({2: 3 * 2 * 3, 3: 3 * 1 * 1 * 2}[d], 4)))
    # --- arithmetic and matrices
    add("add", (2, 3), lambda d: between(d, Op(lambda s, x: x + s.a + (s.b + x), a=torch.randn(4, *[1] * d), b=torch.randn(()))))
    add("sub", (2, 3), lambda d: between(d, Op(lambda s, x: (s.a - x) - s.b, a=torch.randn(1, 1, *SIZES[d]), b=torch.randn(4, *[1] * d))))
    add("mul", (2, 3), lambda d: between(d, Op(lambda s, x: (x * s.a) * (s.b * x), a=torch.randn(1, 4, *[1] * d), b=torch.randn(SIZES[d][-1]))))
    add("div", (2, 3), lambda d: between(d, Op(lambda s, x: x / s.a + s.b / (x * x + 1), a=torch.rand(4, *[1] * d) + .5, b=torch.rand(()) + .5)))
    add("residual", (2, 3), lambda d: between(d, Op(lambda s, x: F.relu(x + torch.sigmoid(x) * x) + x)))
    add("squeeze_excite", (2, 3), lambda d: between(d, Excite(d)))
    all["gemm"] = lambda: logits(nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3, bias=False)), [4, 5])
    all["gemm_wide"] = lambda: logits(nn.Sequential(nn.Linear(37, 65), nn.Tanh(), nn.Linear(65, 3)), [19, 37])
    all["linear_tokens"] = lambda: logits(nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)), [2, 6, 5])
    all["linear_folded"] = lambda: {**logits(nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)), [2, 6, 5]), "folded": True}
    all["attention"] = lambda: logits(Attention(8, 2), [2, 6, 5])
    all["matmul_broadcast"] = lambda: logits(nn.Sequential(nn.Linear(5, 6), Op(lambda s, x: torch.matmul(s.a, x.unsqueeze(1)).mean(1), a=torch.randn(3, 4, 7)), nn.Linear(6, 3)), [2, 7, 5])
    all["softmax"] = lambda: logits(nn.Sequential(nn.Linear(5, 7), nn.Softmax(-1), nn.Linear(7, 3)), [2, 6, 5])
    add("softmax_channels", (2, 3), lambda d: between(d, nn.Softmax(1)))
    # --- sequences
    for name, kw in (("lstm", {}), ("lstm_bidirectional", dict(bidirectional=True)), ("lstm_two_layers", dict(num_layers=2, bidirectional=True))):
        for first in (True, False):
            for folded in (True, False) if first else (True,):
                full = name + ("" if first else "_time_first") + ("_folded" if folded else "")
                all[full] = lambda kw=kw, first=first, folded=folded: {**logits(Recurrent(5, 6, batch_first=first, **kw), [3, 7, 5]), "folded": folded}
    all["lstm_wide"] = lambda: {**logits(Recurrent(24, 20, batch_first=True, bidirectional=True), [3, 15, 24]), "folded": True, "compact": True}
    # A step of a sequence, as exporters spell its choice: Gather, Slice and Squeeze
    all["first_step"] = lambda: logits(nn.Sequential(nn.Linear(5, 4), Op(lambda s, x: x[:, 0]), nn.Linear(4, 3)), [3, 7, 5])
    all["last_step"] = lambda: logits(nn.Sequential(nn.Linear(5, 4), Op(lambda s, x: x[:, -1]), nn.Linear(4, 3)), [3, 7, 5])
    all["first_step_sliced"] = lambda: logits(nn.Sequential(nn.Linear(5, 4), Op(lambda s, x: x[:, :1].squeeze(1)), nn.Linear(4, 3)), [3, 7, 5])
    all["unsqueeze"] = lambda: logits(nn.Sequential(nn.Linear(5, 4), Op(lambda s, x: (x.unsqueeze(1) * x.unsqueeze(2)).reshape(-1, 16)), nn.Linear(16, 3)), [6, 5])
    # --- exported as they train: normalisations with training_mode=1, Dropout that drops nothing here
    add("exported_in_training", (2, 3), lambda d: nn.Sequential(conv(d)(2, 6, 3, padding=1, bias=False), pick(d, "BatchNorm")(6), nn.ReLU(), nn.Dropout(0.), conv(d)(6, 2, 1)), train_export=True, runtime=False)
    # --- Dropout as it is exported in training, and as this project writes it: without training_mode, nothing in inference
    dropout = lambda: dict(m=Dropped(), batches=[{"inputs": [{"shape": [1, 4, 32, 32], "kind": "ones", "stream": 0}], "targets": [{"shape": [1, 4, 32, 32], "kind": "ones", "stream": 0, "scale": 0}] * 2}],
                           terms=[{"output": f"out{k}", "kind": "bce_logits", "weight": 1} for k in range(2)], train_export=True, outputs_only=True, compact=True)
    all["dropout_exported_in_training"] = lambda: {**dropout(), "runtime": False}
    all["dropout"] = lambda: {**dropout(), "patch": no_training_mode}
    # --- the optimiser, on networks so tame that weights can be followed to float32's last digits
    all.update(courses())
    # --- losses
    all.update(losses())
    return all


def shuffle(s, x):
    """ShuffleNet's: a reshape to one more axis, a transpose and a reshape back, with shapes computed from the input's."""
    n, c = x.shape[:2]
    return x.reshape(n, 2, c // 2, -1).transpose(1, 2).reshape(n, c, *x.shape[2:])


class Reused(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c

    def forward(self, x):
        return self.c(torch.tanh(self.c(x)))


class Dropped(nn.Module):
    """Two independent Dropouts of 0.3, each of a weight for every element: a weight's gradient tells whether its element was dropped."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(1, 4, 32, 32)), nn.Parameter(torch.ones(1, 4, 32, 32))
        self.d, self.e = nn.Dropout(.3), nn.Dropout(.3)

    def forward(self, x):
        return self.d(x * self.a), self.e(x * self.b)


def no_training_mode(model):
    for n in model.graph.node:
        if n.op_type == "Dropout":
            del n.input[2:]


class LastNorm(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.n = nn.LayerNorm(c, 1e-6)

    def forward(self, x):
        return self.n(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class FirstNorm(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.rand(c) + .5), nn.Parameter(torch.rand(c) - .5)

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        return self.weight[:, None, None] * ((x - mean) / torch.sqrt(variance + 1e-6)) + self.bias[:, None, None]


class ToSkip(nn.Module):
    """Downwards and up again to the size of the skip: exporters write the size as a computation on shapes."""

    def __init__(self, d):
        super().__init__()
        self.pool = pick(d, "MaxPool")(2, ceil_mode=True)
        self.mode = {2: "bilinear", 3: "trilinear"}[d]

    def forward(self, x):
        return torch.cat([x, F.interpolate(self.pool(x), size=x.shape[2:], mode=self.mode, align_corners=False)], 1)


class Excite(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.pool, self.a, self.b = pick(d, "AdaptiveAvgPool")(1), conv(d)(4, 2, 1), conv(d)(2, 4, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.b(F.silu(self.a(self.pool(x)))))


class Attention(nn.Module):
    def __init__(self, c, heads):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(5, 3 * c), nn.Linear(c, 3), heads

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        w = (q @ k.transpose(-2, -1) * .5).softmax(-1)
        return self.out((w @ v).transpose(1, 2).reshape(b, t, -1))


class Recurrent(nn.Module):
    def __init__(self, i, h, **kw):
        super().__init__()
        self.a, self.lstm = nn.Linear(i, i), nn.LSTM(i, h, **kw)
        self.b = nn.Linear(h * (2 if kw.get("bidirectional") else 1), 2)

    def forward(self, x):
        return self.b(self.lstm(self.a(x))[0])


class Heads(nn.Module):
    """Probabilities of one convolution and logits of another. Those of a softmax no engine can take back to one logit each."""

    def __init__(self, softmax=False):
        super().__init__()
        self.softmax = softmax
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 1, 1)

    def forward(self, x):
        a = self.a(x)
        return a.softmax(1) if self.softmax else torch.sigmoid(a), self.b(x)


class Straight(nn.Module):
    """Logits that are the input times a weight of one."""

    def __init__(self, sigmoid):
        super().__init__()
        self.w, self.sigmoid = nn.Parameter(torch.ones(1, 2, 1, 1)), sigmoid

    def forward(self, x):
        y = x * self.w
        return torch.sigmoid(y) if self.sigmoid else y


def courses():
    """Updates whose weights are compared. 'halves' accumulates two half batches, whose gradients PyTorch averages too."""
    def make(batches, updates, **adamw):
        def build():
            m = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 1, 1))
            one = lambda k: {"inputs": [{"shape": [2, 2, 5, 6], "kind": "signed", "stream": 10 * k}], "targets": [{"shape": [2, 1, 5, 6], "kind": "binary", "stream": 10 * k + 1}]}
            return dict(m=m, batches=[one(k + 1) for k in range(batches)], terms=[{"output": "out0", "kind": "bce_logits", "weight": 1, "positive_weight": 2}],
                        course={"adamw": adamw, "weights": True, "updates": updates})
        return build
    plain = lambda n: [{"batches": [k % 2], "rate": .01} for k in range(n)]
    return {
        "course_one_update": make(1, [{"batches": [0], "rate": .01}], weight_decay=.1),
        "course_rates": make(2, [{"batches": [k % 2], "rate": .01 / (k + 1)} for k in range(5)], weight_decay=.1),
        "course_other_betas": make(2, plain(4), beta1=.8, beta2=.95, epsilon=1e-4),
        "course_clipped": make(2, plain(5), clip_norm=.05, weight_decay=.01),
        "course_hardly_clipped": make(2, plain(5), clip_norm=100.),
        "course_halves": make(4, [{"batches": [0, 1], "rate": .01}, {"batches": [2, 3], "rate": .01}, {"batches": [0, 3], "rate": .01}], weight_decay=.1, clip_norm=.05),
    }


def losses():
    n = [2, 2, 6, 5]
    a, b = [2, 3, 6, 5], [2, 1, 6, 5]
    x = {"shape": n, "kind": "signed", "stream": 1, "scale": 4}

    def t(shape, kind, stream, **kw):
        return {"shape": shape, "kind": kind, "stream": stream, **kw}

    def one(kind, output="out0", **kw):
        return {"output": output, "kind": kind, "weight": 1, **kw}

    def two(terms, targets, softmax=False, **kw):
        return lambda: dict(m=Heads(softmax=softmax), batches=[{"inputs": [x], "targets": targets, **kw}], terms=terms)

    ta, tb, ua, ub, wa, wb = t(a, "binary", 2), t(b, "binary", 3), t(a, "unit", 2), t(b, "unit", 3), t(a, "unit", 4), t(b, "unit", 5)
    mixed = {"mixed": [t(a, "binary", 12), t(b, "binary", 13)], "lambda": .3}
    both = [{"output": "out0", "kind": "dice", "weight": .5, "smooth": 1}, {"output": "out1", "kind": "bce_logits", "weight": 2, "positive_weight": 2}]
    return {
        "loss_dice": two([one("dice", smooth=1)], [ta]),
        "loss_dice_soft": two([one("dice", smooth=.5)], [ua]),
        "loss_dice_empty": two([one("dice", smooth=1)], [t(a, "binary", 2, scale=0)]),
        "loss_dice_per_channel": two([one("dice_per_channel", smooth=1)], [ta]),
        "loss_dice_per_channel_soft": two([one("dice_per_channel", smooth=.5)], [ua], softmax=True),
        "loss_dice_per_channel_mixup": two([one("dice_per_channel", smooth=1), {**one("bce"), "weight": .5}], [ta, ta],
                                           mixed=[t(a, "binary", 12), t(a, "binary", 12)], **{"lambda": .3}),
        "loss_bce": two([one("bce")], [ta]),
        "loss_bce_soft": two([one("bce")], [ua]),
        "loss_bce_positive": two([one("bce", positive_weight=2)], [ta]),
        "loss_bce_positive_soft_weighted": two([one("bce", positive_weight=2)], [ua], weights=[wa]),
        "loss_bce_softmax": two([one("bce")], [ta], softmax=True),
        "loss_bce_softmax_weighted": two([one("bce", positive_weight=2)], [ua], softmax=True, weights=[wa]),
        "loss_dice_softmax": two([one("dice", smooth=1)], [ta], softmax=True),
        "loss_logits": two([one("bce_logits", "out1")], [tb]),
        "loss_logits_positive": two([one("bce_logits", "out1", positive_weight=2)], [tb]),
        "loss_logits_weighted": two([one("bce_logits", "out1", positive_weight=2)], [ub], weights=[wb]),
        "loss_logits_masked": two([one("bce_logits", "out1")], [tb], weights=[t(b, "binary", 5)]),
        "loss_dice_and_bce": two([one("dice", smooth=1), {**one("bce"), "weight": .5}], [ta, ta]),
        "loss_two_outputs": two(both, [ta, tb]),
        "loss_two_outputs_weighted": two(both, [ta, tb], weights=[None, wb]),
        "loss_zero_weight": two([one("dice", smooth=1), {**one("bce_logits", "out1"), "weight": 0}], [ta, tb]),
        "loss_mixup": two(both, [ta, tb], **mixed),
        "loss_mixup_weighted": two(both, [ta, tb], weights=[None, wb], mixed_weights=[None, t(b, "unit", 15)], **mixed),
        "loss_logits_extreme": lambda: dict(m=Straight(False), batches=[{"inputs": [{"shape": n, "kind": "signed", "stream": 1, "scale": 100}], "targets": [t(n, "binary", 2)]}],
                                            terms=[one("bce_logits", positive_weight=2)]),
        "loss_bce_extreme": lambda: dict(m=Straight(True), batches=[{"inputs": [{"shape": n, "kind": "signed", "stream": 1, "scale": 100}], "targets": [t(n, "binary", 2)]}],
                                         terms=[one("bce", positive_weight=2)], outputs_only=True),
        "loss_dice_extreme": lambda: dict(m=Straight(True), batches=[{"inputs": [{"shape": n, "kind": "signed", "stream": 1, "scale": 100}], "targets": [t(n, "binary", 2)]}],
                                          terms=[one("dice", smooth=1)]),
    }
