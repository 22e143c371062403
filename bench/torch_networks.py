"""The networks that bench/train_versus.py and bench/follow_torch.py give to PyTorch and, exported as ONNX, to cspine."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def conv_bn(i, o, k=3, s=1):
    return nn.Sequential(nn.Conv3d(i, o, k, s, k // 2, bias=False), nn.BatchNorm3d(o), nn.ReLU(inplace=True))


class Block(nn.Module):
    """ResNet 18's, with variant D's way down: a mean, then a 1x1 convolution."""

    def __init__(self, i, o, s):
        super().__init__()
        self.a, self.b = conv_bn(i, o, 3, s), conv_bn(o, o)[:2]
        self.down = nn.Identity()
        if s > 1 or i != o:
            self.down = nn.Sequential(nn.AvgPool3d(2, s, ceil_mode=True, count_include_pad=False) if s > 1 else nn.Identity(), conv_bn(i, o, 1)[:2])
            self.down = nn.Sequential(*[m for part in self.down for m in (part if isinstance(part, nn.Sequential) else [part]) if not isinstance(m, nn.Identity)])

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.down(x))


class ResNet18d(nn.Module):
    def __init__(self, levels):
        super().__init__()
        self.stem, self.pool = nn.Sequential(conv_bn(3, 32, 3, 2), conv_bn(32, 32), conv_bn(32, 64)), nn.MaxPool3d(3, 2, 1)
        widths = (64, 64, 128, 256, 512)[:levels]
        self.layers = nn.ModuleList(nn.Sequential(Block(i, o, 1 + (k > 0)), Block(o, o, 1)) for k, (i, o) in enumerate(zip(widths, widths[1:])))
        self.widths = widths

    def forward(self, x):
        found = [self.stem(x)]
        x = self.pool(found[0])
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return found


class Timm(nn.Module):
    """timm's 2D resnet18d, every layer turned into its 3D kind; kernels are drawn anew by the 3D layers' own rule."""

    def __init__(self, levels, name="resnet18d"):
        super().__init__()
        import timm
        self.net = timm.create_model(name, pretrained=False, features_only=True, out_indices=tuple(range(levels)))
        self.widths = tuple(self.net.feature_info.channels())
        self.turn(self.net)

    def turn(self, m):
        cube = lambda v: (v if isinstance(v, int) else v[0],) * 3
        for name, x in m.named_children():
            if isinstance(x, nn.Conv2d):
                y = nn.Conv3d(x.in_channels, x.out_channels, cube(x.kernel_size), cube(x.stride), cube(x.padding), bias=x.bias is not None)
                nn.init.kaiming_normal_(y.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(x, nn.BatchNorm2d):
                y = nn.BatchNorm3d(x.num_features, x.eps, x.momentum)
            elif isinstance(x, nn.MaxPool2d):
                y = nn.MaxPool3d(x.kernel_size, x.stride, x.padding)
            elif isinstance(x, nn.AvgPool2d):
                y = nn.AvgPool3d(x.kernel_size, x.stride, x.padding, x.ceil_mode, x.count_include_pad)
            else:
                self.turn(x)
                continue
            setattr(m, name, y)

    def forward(self, x):
        return self.net(x)


class UNet(nn.Module):
    """The segmenter of the method: the encoder's levels, and a decoder of 256, 128, 64, 32, 16 channels."""

    def __init__(self, encoder, classes=7):
        super().__init__()
        self.encoder, widths = encoder, encoder.widths
        skips, c = list(widths[-2::-1]) + [0], widths[-1]
        self.ups = nn.ModuleList()
        for s, o in zip(skips, (256, 128, 64, 32, 16)):
            self.ups.append(nn.Sequential(conv_bn(c + s, o), conv_bn(o, o)))
            c = o
        self.head = nn.Conv3d(c, classes, 3, padding=1)

    def forward(self, x):
        found = list(self.encoder(x))
        x = found.pop()
        for up in self.ups:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = up(torch.cat([x, found.pop()], 1) if found else x)
        return torch.sigmoid(self.head(x))


class Sequence(nn.Module):
    """The part of the classifier after its encoder: a 2-layer bidirectional LSTM over 15 slices, and a logit for each."""

    def __init__(self, features=1280, hidden=256):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * hidden, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


def conv_bn2(i, o, k=3, s=1, groups=1, act=nn.ReLU):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o), act(inplace=True) if act else nn.Identity())


class Block2(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.a, self.b = conv_bn2(i, o, s=s), conv_bn2(o, o, act=None)
        self.down = nn.Identity() if i == o and s == 1 else nn.Sequential(*[nn.AvgPool2d(2, 2, ceil_mode=True)] * (s > 1), conv_bn2(i, o, 1, act=None))

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.down(x))


class SmallEncoder(nn.Module):
    """models/nets' Small: a residual network for CPUs, which gives channels' means and maxima."""

    def __init__(self, channels=6, widths=(16, 16, 32, 64, 96)):
        super().__init__()
        self.stem = conv_bn2(channels, widths[0], s=2)
        self.stages = nn.Sequential(*[Block2(i, o, 1 + (k > 0)) for k, (i, o) in enumerate(zip(widths, widths[1:]))])
        self.num_features = 2 * widths[-1]

    def forward(self, x):
        x = self.stages(self.stem(x))
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


class Classifier(nn.Module):
    """The method's: an encoder shared over slices, a 2-layer bidirectional LSTM, a logit for each slice; of type 2 a second LSTM, whose first step gives the patient's."""

    def __init__(self, encoder, hidden=256, kind=1):
        super().__init__()
        self.encoder, features = encoder, encoder.num_features
        lstm = lambda: nn.LSTM(features, hidden, num_layers=2, bidirectional=True, batch_first=True)
        head = lambda: nn.Sequential(nn.Linear(2 * hidden, 256), nn.BatchNorm1d(256), nn.Dropout(.3), nn.LeakyReLU(.1), nn.Linear(256, 1))
        self.lstm, self.head = lstm(), head()
        if kind == 2:
            self.lstm2, self.head2 = lstm(), head()

    def forward(self, x):
        t = int(x.shape[1])  # exporters make a number of it: the file holds for any batch
        f = self.encoder(x.reshape(-1, *map(int, x.shape[2:])))
        f = f.reshape(-1, t, f.shape[1])
        y = self.lstm(f)[0]
        z = self.head(y.reshape(-1, y.shape[2])).reshape(-1, t)
        return (z, self.head2(self.lstm2(f)[0][:, 0])) if hasattr(self, "lstm2") else z


def dice(p, t):
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def bce_logits(z, t):
    w = 1 + t
    return (w * F.binary_cross_entropy_with_logits(z, t, reduction="none")).sum() / w.sum()


LOSSES = {"dice": (dice, [{"output": "y", "kind": "dice", "weight": 1, "smooth": 1}]),
          "bce_logits": (bce_logits, [{"output": "y", "kind": "bce_logits", "weight": 1, "positive_weight": 2}])}


def export(m, x, path):
    """Normalisations stay nodes of their own, as training needs them."""
    m.eval()
    with torch.no_grad():
        names = ["y"] if torch.is_tensor(m(x[:1])) else ["y", "z"]
    torch.onnx.export(m, x, path, opset_version=17, input_names=["x"], output_names=names, dynamo=False,
                      training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)


def scenes(n, channels, classes, size, seed):
    """Volumes of noise with a brighter ball for each class, and the balls' masks."""
    g = torch.Generator().manual_seed(seed)
    axes = torch.stack(torch.meshgrid(*[torch.arange(size)] * 3, indexing="ij"))
    centres = torch.randint(size // 4, 3 * size // 4, (n, classes, 3), generator=g)
    masks = ((axes[None, None] - centres[..., None, None, None]) ** 2).sum(2) <= (size // 5) ** 2
    x = (masks * torch.arange(1, classes + 1).view(1, -1, 1, 1, 1)).amax(1, keepdim=True) / 8 + (torch.rand(n, 1, size, size, size, generator=g) - .5) / 2
    return x.repeat(1, channels, 1, 1, 1).contiguous(), masks.float()
