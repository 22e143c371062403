"""Writes conv.json: convolutions and their gradients by PyTorch, in float64. Run with torch 2.7.1: python conv.py"""
import json
import os

import torch

# name: batch, in, out, group, size, kernel, stride, dilation, padding
CASES = {
    "volume 3": (2, 3, 5, 1, (4, 5, 6), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "volume 1": (1, 6, 7, 1, (3, 2, 5), (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0)),
    "volume of one place": (2, 9, 4, 1, (1, 1, 1), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "volume 3 stride 2": (1, 3, 9, 1, (6, 5, 8), (3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
    "volume 4 stride 2, transposed by its gradient": (1, 8, 3, 1, (6, 4, 6), (4, 4, 4), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
    "volume 7 stride 2": (1, 2, 4, 1, (5, 6, 7), (7, 7, 7), (2, 2, 2), (1, 1, 1), (3, 3, 3)),
    "volume 1 stride 2": (1, 5, 4, 1, (4, 4, 5), (1, 1, 1), (2, 2, 2), (1, 1, 1), (0, 0, 0)),
    "volume depthwise": (1, 6, 6, 6, (3, 4, 5), (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "volume of unlike axes": (1, 2, 3, 1, (5, 6, 7), (1, 3, 2), (2, 1, 3), (1, 2, 1), (0, 2, 1)),
    "image 3 in full rows": (1, 3, 17, 1, (1, 4, 16), (1, 3, 3), (1, 1, 1), (1, 1, 1), (0, 1, 1)),
    "image 5 in groups": (2, 6, 9, 3, (1, 5, 7), (1, 5, 5), (1, 1, 1), (1, 1, 1), (0, 2, 2)),
    "image 3 dilated": (1, 4, 3, 1, (1, 9, 8), (1, 3, 3), (1, 1, 1), (1, 2, 2), (0, 2, 2)),
    "image 3 stride 3, no padding": (1, 20, 2, 1, (1, 8, 10), (1, 3, 3), (1, 3, 3), (1, 1, 1), (0, 0, 0)),
    "image depthwise 7 with two each": (1, 4, 8, 4, (1, 7, 9), (1, 7, 7), (1, 1, 1), (1, 1, 1), (0, 3, 3)),
    "sequence": (2, 4, 6, 1, (1, 1, 23), (1, 1, 3), (1, 1, 1), (1, 1, 1), (0, 0, 1)),
}


def values(n, factor):
    """The test makes the same: multiples of 1/64 in [-2, 2]."""
    return torch.tensor([((i * factor) % 257 - 128) / 64 for i in range(n)], dtype=torch.float64)


def main():
    out = []
    for name, (batch, cin, cout, group, size, kernel, stride, dilation, pad) in CASES.items():
        shape_w = (cout, cin // group, *kernel)
        x = values(batch * cin * size[0] * size[1] * size[2], 7919).reshape(batch, cin, *size).requires_grad_()
        w = values(torch.Size(shape_w).numel(), 104729).reshape(shape_w).requires_grad_()
        b = values(cout, 31).requires_grad_()
        y = torch.nn.functional.conv3d(x, w, b, stride, pad, dilation, group)
        dy = values(y.numel(), 1299709).reshape(y.shape)
        y.backward(dy)
        flat = lambda t: [float(f"{v:.8g}") for v in t.detach().flatten().tolist()]
        out.append({
            "name": name,
            "geometry": {"Batch": batch, "In": cin, "Out": cout, "Group": group, "InSize": size, "OutSize": list(y.shape[2:]),
                         "Kernel": kernel, "Stride": stride, "Dilation": dilation, "PadBegin": pad},
            "y": flat(y), "dx": flat(x.grad), "dw": flat(w.grad), "db": flat(b.grad),
        })
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "conv.json"), "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    main()
