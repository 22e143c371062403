"""Writes slices.json: what numpy, scipy and OpenCV make of small planes, by albumentations' formulas.

numpy 2.4.6, scipy 1.17.1, opencv-python-headless 5.0.0.93. Maps: albumentations 1.3's HorizontalFlip, VerticalFlip, Transpose,
ShiftScaleRotate (cv2.getRotationMatrix2D about the middle of the pixels), OpticalDistortion (cv2.initUndistortRectifyMap) and a map by
axis, one after the other; order 1, mode "mirror" (BORDER_REFLECT_101). Blurs: MotionBlur's kernels, MedianBlur, GaussianBlur of 3 x 3.
"""
import json

import cv2
import numpy as np
from scipy import ndimage

edge = 23
rng = np.random.default_rng(3)
plane = ndimage.gaussian_filter(rng.integers(0, 256, (edge, edge)).astype(float), 0.7)
plane = np.round((plane - plane.min()) / np.ptp(plane) * 255).astype(np.uint8)
middle, last = (edge - 1) / 2, edge - 1


def mirrored(v):
    v = np.mod(np.abs(v), 2 * last)
    return np.minimum(v, 2 * last - v)


def optical(k):
    """OpenCV's own map, about the middle of the pixels, with the side as focal length."""
    camera = np.array([[edge, 0, middle], [0, edge, middle], [0, 0, 1]], np.float64)
    return cv2.initUndistortRectifyMap(camera, np.array([k, k, 0, 0, 0], np.float64), None, None, (edge, edge), cv2.CV_32FC1)


def case(name, rows=False, columns=False, transpose=False, angle=0.0, scale=1.0, shift=(0.0, 0.0), k=0.0, bends=None):
    y, x = np.mgrid[0:edge, 0:edge].astype(np.float64)
    if bends:
        y, x = np.meshgrid(bends[0], bends[1], indexing="ij")
    if k:
        x, y = (m.astype(np.float64) for m in optical(k))
    if bends or k:
        y, x = mirrored(y), mirrored(x)
    m = cv2.getRotationMatrix2D((middle, middle), angle, scale)
    m[:, 2] += shift[1], shift[0]
    inverse = np.linalg.inv(np.vstack([m, [0, 0, 1]]))
    x, y = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2], inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    image = plane
    if columns:
        image = image[:, ::-1]
    if rows:
        image = image[::-1]
    if transpose:
        image = image.T
    # To 1/256 of a pixel, as the table has it; turned round it rounds the other way.
    out = ndimage.map_coordinates(image.astype(float), [np.floor(mirrored(v) * 256 + 0.5) / 256 for v in (y, x)], order=1, mode="mirror")
    # The formulas themselves: OpenCV, in its own fractions of a pixel, must be near.
    theirs = cv2.remap(np.ascontiguousarray(image), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    assert np.abs(theirs - out).max() < 12, (name, np.abs(theirs - out).max())
    if not bends and not k:
        theirs = cv2.warpAffine(np.ascontiguousarray(image), m, (edge, edge), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        assert np.abs(theirs - out).max() < 12, (name, np.abs(theirs - out).max())
    return {"Name": name, "FlipRows": rows, "FlipColumns": columns, "Transpose": transpose, "Angle": angle, "Scale": scale, "Shift": list(shift),
            "Optical": k, "Bends": [list(b) for b in bends] if bends else None, "Plane": np.floor(out + 0.5).astype(int).ravel().tolist()}


bent = [np.interp(np.arange(edge), [0, 8, 14, edge], [-1.5, 9.25, 12, edge + 2]), np.interp(np.arange(edge), [0, 5, edge], [0, 7.5, edge - 1])]
cases = [
    case("identity"),
    case("rows turned round", rows=True),
    case("columns turned round", columns=True),
    case("transposed", transpose=True),
    case("all three", rows=True, columns=True, transpose=True),
    case("columns, transposed", columns=True, transpose=True),
    case("shift", shift=(1.25, -2.5)),
    case("rotation", angle=30.0),
    case("growth", scale=1.3),
    case("far away", shift=(2.5 * edge, -1.7 * edge), scale=0.5),
    case("moved", angle=-41.0, scale=0.75, shift=(4.1, 5.3)),
    case("moved and turned round", rows=True, transpose=True, angle=17.0, scale=1.1, shift=(-3.3, 2.2)),
    case("barrel", k=0.8),
    case("pincushion", k=-0.9),
    case("pincushion, moved", k=-0.5, angle=12.0, scale=0.9, shift=(-1.0, 3.0), columns=True),
    case("bent", bends=bent),
    case("bent, moved", bends=bent, angle=-9.0, scale=1.2, shift=(2.0, -3.0), transpose=True),
]


def half_up(v):
    return np.floor(v + 0.5).astype(int).ravel().tolist()


motions = []
for start in range(9):
    for end in range(9):
        if start != end:
            kernel = np.zeros((3, 3), np.uint8)
            cv2.line(kernel, (start % 3, start // 3), (end % 3, end // 3), 1, thickness=1)
            out = ndimage.correlate(plane.astype(float), kernel / kernel.sum(), mode="mirror")
            motions.append({"Kernel": kernel.ravel().tolist(), "Plane": half_up(np.round(out, 9))})
kernels = {tuple(m["Kernel"]): m for m in motions}
levels = np.arange(256) / 255
tones = [{"Add": a, "Contrast": c, "Gamma": g, "Table": half_up(np.clip(0.5 + (levels - 0.5) * c + a, 0, 1) ** g * 255)}
         for a, c, g in ((0.07, 1, 1), (-0.1, 1, 1), (0, 1.2, 1), (0.03, 0.8, 1.25), (-0.05, 1.1, 0.8))]
with open("slices.json", "w") as f:
    json.dump({"Edge": edge, "Plane": plane.ravel().tolist(), "Maps": cases, "Motions": list(kernels.values()),
               "Median": cv2.medianBlur(plane, 3).ravel().tolist(), "Binomial": cv2.GaussianBlur(plane, (3, 3), 0).ravel().tolist(),
               "Tones": tones}, f, separators=(",", ":"))
