#!/usr/bin/env python3
"""Reads vertebrae from a shard, makes them smaller and augments them, on one processor: cspine and Python in turn.

    go build -o crops ./bench/crops
    bench/crops_versus.py --store STORE --dataset NAME --crops ./crops [-n PAIRS] [--edge 112] [--augment recommended|method|none]

Python reads whole row groups with pyarrow, shrinks with cv2.resize (INTER_AREA) and augments with what its users have: "method" is
albumentations' Compose on each slice, "recommended" the same operations as cspine's preset in OpenCV and numpy, one map for all slices.
Seconds are of the processor: on a machine that does other things too, they say more than the clock. Needs numpy, pyarrow,
opencv-python-headless and albumentations 2.0.8.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

cv2.setNumThreads(1)


def method(edge):
    return A.Compose([
        A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.Transpose(p=0.5),
        A.RandomBrightnessContrast(brightness_limit=0.1, contrast_limit=0, p=0.7),
        A.ShiftScaleRotate(shift_limit=0.3, scale_limit=0.3, rotate_limit=45, border_mode=4, p=0.7),
        A.OneOf([A.MotionBlur(blur_limit=3), A.MedianBlur(blur_limit=3), A.GaussianBlur(blur_limit=3),
                 A.GaussNoise(std_range=(3 ** 0.5 / 255, 3 / 255))], p=0.5),
        A.OneOf([A.OpticalDistortion(distort_limit=1.0), A.GridDistortion(num_steps=5, distort_limit=1.0)], p=0.5),
        A.CoarseDropout(num_holes_range=(1, 1), hole_height_range=(0.5, 0.5), hole_width_range=(0.5, 0.5), p=0.5),
    ])


def recommended(crop, edge, rng):
    """crop is [15, edge, edge, 6]."""
    middle = (edge - 1) / 2
    y, x = np.mgrid[0:edge, 0:edge].astype(np.float32)
    if rng.random() < 0.3:
        for axis in range(2):
            steps = np.repeat(1 + rng.uniform(-0.15, 0.15, 6), edge // 5)[:edge]
            bend = np.concatenate([[0], np.cumsum(steps)[:-1]]) * edge / steps.sum()
            x, y = (x, y[:, :1] * 0 + bend[:, None]) if axis else (x * 0 + bend[None, :], y)
        x, y = np.broadcast_arrays(x.astype(np.float32), y.astype(np.float32))
    matrix = np.float32([[1, 0, 0], [0, 1, 0]])
    if rng.random() < 0.7:
        m = cv2.getRotationMatrix2D((middle, middle), rng.uniform(-15, 15), 1 + rng.uniform(-0.15, 0.15))
        m[:, 2] += rng.uniform(-0.1, 0.1, 2) * edge
        matrix = cv2.invertAffineTransform(m).astype(np.float32)
    x, y = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2], matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    if rng.random() < 0.5:
        x = edge - 1 - x
    maps = cv2.convertMaps(x.astype(np.float32), y.astype(np.float32), cv2.CV_16SC2)
    kind = rng.choice(3, p=[0.6, 0.4 / 3, 0.8 / 3])
    deviation = 0.03 * 255 * rng.random() ** 0.5
    out = np.empty((15, edge, edge, 6), np.uint8)
    for s in range(15):
        # remap takes four channels at most.
        moved = np.concatenate([cv2.remap(crop[s][..., k:k + 3], *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101) for k in (0, 3)], axis=-1)
        image = np.ascontiguousarray(moved[..., :5])
        if rng.random() < 0.7:
            v = np.linspace(0, 1, 256)
            v = np.clip(0.5 + (v - 0.5) * 1.25 ** rng.uniform(-1, 1) + rng.uniform(-0.1, 0.1), 0, 1) ** 1.25 ** rng.uniform(-1, 1)
            image = cv2.LUT(image, np.floor(v * 255 + 0.5).astype(np.uint8))
        if kind == 1:
            image = cv2.GaussianBlur(image, (3, 3), 0)
        if kind == 2:
            image = np.clip(image + deviation * rng.standard_normal(image.shape, np.float32) + 0.5, 0, 255).astype(np.uint8)
        out[s, ..., :5], out[s, ..., 5] = image, moved[..., 5]
    return out


def vertebrae(path, groups, edge, augment):
    compose, rng = method(edge), np.random.default_rng(1)
    file = pq.ParquetFile(path)
    for g in range(groups):
        for tensor in file.read_row_group(g, columns=["tensor"], use_threads=False)["tensor"]:
            crop = np.frombuffer(tensor.as_buffer(), np.uint8).reshape(90, 224, 224)
            small = crop if edge == 224 else np.stack([cv2.resize(p, (edge, edge), interpolation=cv2.INTER_AREA) for p in crop])
            if augment == "none":
                yield small
                continue
            small = np.ascontiguousarray(small.reshape(15, 6, edge, edge).transpose(0, 2, 3, 1))
            if augment == "method":
                out = np.stack([compose(image=s)["image"] for s in small])
            else:
                out = recommended(small, edge, rng)
            yield np.ascontiguousarray(out.transpose(0, 3, 1, 2))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("-n", type=int, default=5)
    ap.add_argument("--store", required=True)
    ap.add_argument("--dataset", required=True)
    ap.add_argument("--crops", required=True)
    ap.add_argument("--edge", type=int, default=112)
    ap.add_argument("--augment", default="recommended")
    o = ap.parse_args()
    folder = os.path.join(o.store, "datasets", o.dataset)
    with open(os.path.join(folder, "manifest.json")) as f:
        path = os.path.join(folder, json.load(f)["shards"][0]["file"])
    file = pq.ParquetFile(path)
    uids = list(dict.fromkeys(file.read(columns=["study_uid"])["study_uid"].to_pylist()))
    rates = {"cspine": [], "python": []}
    for i in range(o.n + 1):  # the first pair warms the file cache and is dropped
        out = subprocess.run([o.crops, "-store", o.store, "-dataset", o.dataset, "-studies", ",".join(uids), "-edge", str(o.edge), "-augment", o.augment],
                             check=True, capture_output=True)
        ours = json.loads(out.stdout)
        begin, n = time.process_time(), 0
        for _ in vertebrae(path, file.num_row_groups, o.edge, o.augment):
            n += 1
        theirs = time.process_time() - begin
        if i:
            rates["cspine"].append(ours["vertebrae"] / ours["processor"])
            rates["python"].append(n / theirs)
            print(f"pair {i}: cspine {rates['cspine'][-1]:.1f} vertebrae a second of one processor, python {rates['python'][-1]:.1f}", flush=True)
    for name, r in rates.items():
        print(f"{name}: median {statistics.median(r):.1f} (from {min(r):.1f} to {max(r):.1f})")
    print(f"ratio: median {statistics.median(a / b for a, b in zip(*rates.values())):.2f}")


if __name__ == "__main__":
    main()
