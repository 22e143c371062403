"""Writes references.json: learning rates of torch.optim.lr_scheduler, the loss and dice of the method as PyTorch and numpy
compute them, and mixup's loss. Run with PyTorch 2.7.1 and numpy; the order of the numbers is that of the tests."""
import json
import pathlib
import warnings

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts, LinearLR, SequentialLR

warnings.simplefilter("ignore")


def rates(base, floor, warmup, span, restarts, factor, n):
    opt = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=base)
    if restarts:
        main = CosineAnnealingWarmRestarts(opt, T_0=span, T_mult=factor, eta_min=floor)
    else:
        main = CosineAnnealingLR(opt, T_max=span, eta_min=floor)
    sched = main
    if warmup:
        # The schedulers are built one after the other, each of which sets the optimiser's rate: start afresh.
        opt = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=base)
        first = LinearLR(opt, start_factor=1 / (warmup + 1), end_factor=1, total_iters=warmup)
        main = (CosineAnnealingWarmRestarts(opt, T_0=span, T_mult=factor, eta_min=floor) if restarts
                else CosineAnnealingLR(opt, T_max=span, eta_min=floor))
        sched = SequentialLR(opt, [first, main], [warmup])
    out = []
    for _ in range(n):
        out.append(opt.param_groups[0]["lr"])
        opt.step()
        sched.step()
    return out


schedules = []
for base, floor, warmup, span, restarts, factor, n in [
    (3e-3, 3e-5, 0, 20, False, 1, 20),
    (3e-4, 0.0, 0, 7, True, 1, 30),
    (3e-4, 1e-6, 0, 5, True, 2, 40),
    (1e-2, 1e-4, 6, 14, False, 1, 20),
    (1e-2, 1e-4, 4, 5, True, 3, 40),
]:
    schedules.append(dict(base=base, floor=floor, warmup=warmup, span=span, restarts=restarts, factor=factor,
                          rates=rates(base, floor, warmup, span, restarts, factor, n)))

# A small prediction with an empty level, predicted where there is none, and one empty in both.
rng = np.random.default_rng(4)
shape = (2, 3, 4)
labels = rng.integers(0, 6, shape).astype(np.uint8)  # levels 6 and 7 are absent
p = rng.random((7, *shape)).astype(np.float32)
p[6] *= 0.4  # level 7 is not predicted either
p[0, 0, 0, 0], p[1, 0, 0, 0] = 0.0, 1.0
onehot = np.stack([labels == i for i in range(1, 8)]).astype(np.float32)


def dice_score(pred, target, thr=0.5):
    pred = pred > thr
    if target.sum() == 0:
        return 1.0 if pred.sum() == 0 else 0.0
    return float(2 * (pred * target).sum() / (pred.sum() + target.sum()))


def dice_loss(pred, target, smooth=1.0):
    pred, target = pred.reshape(-1), target.reshape(-1)
    return 1 - (2 * (pred * target).sum() + smooth) / (pred.sum() + target.sum() + smooth)


tp, tt = torch.from_numpy(p).double(), torch.from_numpy(onehot).double()
bce = torch.nn.functional.binary_cross_entropy(tp, tt)
dice = dice_loss(tp, tt)
per_level = sum(dice_loss(tp[i], tt[i]) for i in range(7)) / 7
json.dump(dict(
    schedules=schedules,
    shape=shape, labels=labels.reshape(-1).tolist(), probabilities=[float(v) for v in p.reshape(-1)],
    dice=[dice_score(p[i], onehot[i]) for i in range(7)], dice_loss=float(dice), bce_dice_loss=float((bce + dice) / 2),
    per_level_loss=float((bce + per_level) / 2),
), open(pathlib.Path(__file__).with_name("references.json"), "w"))
