"""Whole networks."""
import torch
import torch.nn as nn
import torch.nn.functional as F


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
    }
