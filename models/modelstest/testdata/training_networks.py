"""Whole networks."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from training_ops import LastNorm


def conv_bn(i, o, stride=1):
    return nn.Sequential(nn.Conv3d(i, o, 3, stride, 1, bias=False), nn.BatchNorm3d(o), nn.ReLU())


class UNet(nn.Module):
    """make_expected.py's, narrower: stride, pools, residual sum, nearest upsampling, skips."""

    def __init__(self):
        super().__init__()
        self.stem, self.pool = conv_bn(1, 6, 2), nn.MaxPool3d(3, 2, 1)
        self.a, self.b = conv_bn(6, 8), conv_bn(8, 12, 2)
        self.down = nn.Sequential(nn.AvgPool3d(2, 2, ceil_mode=True, count_include_pad=False), nn.Conv3d(8, 12, 1, bias=False), nn.BatchNorm3d(12))
        self.up0, self.up1, self.up2, self.head = conv_bn(20, 12), conv_bn(18, 8), conv_bn(8, 6), nn.Conv3d(6, 3, 3, padding=1)

    def forward(self, x):
        s0 = self.stem(x)
        s1 = self.a(self.pool(s0))
        y = F.relu(self.b(s1) + self.down(s1))
        for up, s in ((self.up0, s1), (self.up1, s0), (self.up2, None)):
            y = F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = up(y if s is None else torch.cat([y, s], 1))
        return torch.sigmoid(self.head(y))


class Basic(nn.Module):
    """The block of ResNet 18 (He et al., arXiv 1512.03385), with variant D's way down: a mean, then a 1x1 convolution (arXiv 1812.01187)."""

    def __init__(self, i, o, stride):
        super().__init__()
        self.a, self.b = conv_bn(i, o, stride), conv_bn(o, o)[:2]
        pool = [nn.AvgPool3d(2, stride, ceil_mode=True, count_include_pad=False)] if stride > 1 else []
        self.down = nn.Sequential(*pool, nn.Conv3d(i, o, 1, bias=False), nn.BatchNorm3d(o)) if i != o or stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.down(x))


class ResUNet(nn.Module):
    """The segmenter of the method, a resnet18d encoder and a U-Net decoder, all channels divided by 16."""

    def __init__(self, levels=(4, 4, 8, 16), decoder=(16, 8, 4, 2), classes=7):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 2, 2), conv_bn(2, 2), conv_bn(2, levels[0]))
        self.pool = nn.MaxPool3d(3, 2, 1)
        self.layers = nn.ModuleList(nn.Sequential(Basic(i, o, 1 + (k > 0)), Basic(o, o, 1)) for k, (i, o) in enumerate(zip(levels, levels[1:])))
        skips, c = list(levels[-2::-1]) + [0], levels[-1]
        self.ups = nn.ModuleList()
        for s, o in zip(skips, decoder):
            self.ups.append(nn.Sequential(conv_bn(c + s, o), conv_bn(o, o)))
            c = o
        self.head = nn.Conv3d(c, classes, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        found, x = [x], self.pool(x)
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        skips = found[-2::-1] + [None]
        for up, s in zip(self.ups, skips):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(x if s is None else torch.cat([x, s], 1))
        return torch.sigmoid(self.head(x))


class Slices(nn.Module):
    """The classifier of the method: one 2D encoder for all slices of a vertebra, a bidirectional LSTM over them, a logit for each slice."""

    def __init__(self, cin=6, width=12, hidden=8):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(cin, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU())
        self.deep = nn.Sequential(nn.Conv2d(width, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width), nn.SiLU(),
                                  nn.Conv2d(2 * width, 2 * width, 3, 2, 1, groups=2 * width, bias=False), nn.BatchNorm2d(2 * width), nn.SiLU())
        self.squeeze, self.excite = nn.Conv2d(2 * width, 4, 1), nn.Conv2d(4, 2 * width, 1)
        self.project = nn.Sequential(nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.BatchNorm1d(hidden), nn.Dropout(0.), nn.LeakyReLU(.1), nn.Linear(hidden, 1))

    def forward(self, x):
        b, t = x.shape[:2]
        y = self.deep(self.stem(x.reshape(b * t, *x.shape[2:])))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        y = F.adaptive_avg_pool2d(self.project(y), 1).reshape(b, t, -1)
        y, _ = self.lstm(y)
        return self.head(y.reshape(b * t, -1)).reshape(b, t)


def classification(**kw):
    batches = [{"inputs": [{"shape": [2, 15, 6, 12, 12], "kind": "scene", "stream": 100 * k, "classes": 3}], "targets": [{"shape": [2, 15], "kind": "binary", "stream": 100 * k + 1}]} for k in range(1, 4)]
    return dict(m=Slices(), batches=batches, terms=[{"output": "out0", "kind": "bce_logits", "weight": 1, "positive_weight": 2}], compact=True,
                course={"adamw": {"weight_decay": .01, "clip_norm": 1.}, "updates": [{"batches": [k % 3], "rate": 2e-3} for k in range(20)]}, **kw)


class Next(nn.Sequential):
    """ConvNeXt's parts (arXiv 2201.03545), narrow: patches, depthwise 7x7, LayerNorm over channels that lie last, GELU, a learned scale."""

    def __init__(self, cin=6, width=8):
        super().__init__(nn.Conv2d(cin, width, 4, 4), LastNorm(width), NextBlock(width), LastNorm(width), nn.Conv2d(width, 2 * width, 2, 2), NextBlock(2 * width))
        self.num_features = 2 * width

    def forward(self, x):
        return super().forward(x).mean((2, 3))


class NextBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.deep, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), LastNorm(c)
        self.wide, self.narrow, self.scale = nn.Conv2d(c, 2 * c, 1), nn.Conv2d(2 * c, c, 1), nn.Parameter(torch.full((c,), .5))

    def forward(self, x):
        return x + self.narrow(F.gelu(self.wide(self.norm(self.deep(x))))) * self.scale.reshape(1, -1, 1, 1)


class Residual(nn.Module):
    """A small residual encoder, with a largest value as its last pool."""

    def __init__(self, cin=6, width=8):
        super().__init__()
        unit = lambda i, o, s=1: nn.Sequential(nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o))
        self.stem, self.a, self.b, self.down = unit(cin, width, 2), unit(width, width), unit(width, width), unit(width, 2 * width, 2)
        self.num_features = 2 * width

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(self.b(F.relu(self.a(x))) + x)
        return F.relu(self.down(x)).amax((2, 3))


def sequence_and_head(features, hidden):
    return (nn.LSTM(features, hidden, num_layers=2, bidirectional=True, batch_first=True),
            nn.Sequential(nn.Linear(2 * hidden, hidden), nn.BatchNorm1d(hidden), nn.Dropout(0.), nn.LeakyReLU(.1), nn.Linear(hidden, 1)))


class Vertebra(nn.Module):
    """The classifier of type 1. The file holds for any batch."""

    def __init__(self, encoder, hidden=8):
        super().__init__()
        self.encoder = encoder
        self.lstm, self.head = sequence_and_head(encoder.num_features, hidden)

    def features(self, x):
        c, h, w = map(int, x.shape[2:])
        return self.encoder(x.reshape(-1, c, h, w)).reshape(-1, int(x.shape[1]), self.encoder.num_features)

    def slices(self, f):
        y, _ = self.lstm(f)
        return self.head(y.reshape(-1, y.shape[2])).reshape(-1, f.shape[1])

    def forward(self, x):
        return self.slices(self.features(x))


class Patient(Vertebra):
    """The classifier of type 2: a second LSTM, whose first step says whether any bone is fractured."""

    def __init__(self, encoder, hidden=8):
        super().__init__(encoder, hidden)
        self.lstm2, self.head2 = sequence_and_head(encoder.num_features, hidden)

    def forward(self, x):
        f = self.features(x)
        return self.slices(f), self.head2(self.lstm2(f)[0][:, 0])


def method(m, n, slices, size, patient=False, **kw):
    """The method's loss with what its training adds: masked slices, targets mixed with another's (which are masked elsewhere), positives twice."""
    def one(shape, kind, stream):
        return {"shape": shape, "kind": kind, "stream": stream}
    batches = []
    for k in range(1, 4):
        s, p = [n, slices], [n, 1]
        b = {"inputs": [{"shape": [n, slices, 6, size, size], "kind": "scene", "stream": 100 * k, "classes": 3}], "lambda": .3 + .1 * k}
        for j, (target, weight) in enumerate((("targets", "weights"), ("mixed", "mixed_weights"))):
            b[target], b[weight] = [one(s, "binary", 100 * k + 10 * j + 1)], [one(s, "binary", 100 * k + 10 * j + 2)]
            if patient:
                b[target].append(one(p, "binary", 100 * k + 10 * j + 3)), b[weight].append(None)
        batches.append(b)
    bce = {"output": "out0", "kind": "bce_logits", "weight": 1, "positive_weight": 2}
    terms = [{**bce, "weight": 15 / 16}, {**bce, "output": "out1", "weight": 1 / 16}] if patient else [bce]
    return dict(m=m, batches=batches, terms=terms, compact=True,
                course={"adamw": {"weight_decay": .01}, "updates": [{"batches": [k % 3], "rate": 2e-3} for k in range(12)]}, **kw)


def segmentation(m, n, channels, classes, size, terms, rate, kinds=4, decay=.01, updates=20):
    """Batches of scenes and a course of AdamW steps over them in turn."""
    batches = [{"inputs": [{"shape": [n, channels, size, size, size], "kind": "scene", "stream": 100 * k, "classes": classes}],
                "targets": [{"shape": [n, classes, size, size, size], "kind": "balls", "stream": 100 * k}] * len(terms)} for k in range(1, kinds + 1)]
    course = {"adamw": {"weight_decay": decay}, "updates": [{"batches": [k % kinds], "rate": rate} for k in range(updates)]}
    return dict(m=m, batches=batches, terms=terms, course=course, compact=True)


DICE = {"output": "out0", "kind": "dice", "weight": 1, "smooth": 1}
BCE = {"output": "out0", "kind": "bce", "weight": 1}


def cases():
    return {
        "net_unet": lambda: segmentation(UNet(), 2, 1, 3, 16, [{**DICE, "weight": .5}, {**BCE, "weight": .5}], 3e-3),
        "net_resnet18d_unet": lambda: {**segmentation(ResUNet(), 2, 3, 7, 32, [DICE], 3e-3), "edge": 6e-6},
        "net_slices": classification,
        "net_slices_folded": lambda: classification(folded=True),
        "net_vertebra": lambda: method(Vertebra(Next()), 3, 15, 16),
        "net_patient": lambda: method(Patient(Residual()), 3, 21, 16, patient=True, edge=1e-6),
    }
