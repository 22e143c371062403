"""Writes resample.json and blur.json: what scipy.ndimage makes of a small volume.

scipy 1.17.1 or another; order 1 for volumes, order 0 for labels. Cases are maps from the result's voxels to the
sample's: p = matrix · bend(q) + shift.
"""
import json

import numpy as np
from scipy import ndimage

rng = np.random.default_rng(1)
shape = (12, 10, 14)
volume = ndimage.gaussian_filter(rng.integers(0, 256, shape).astype(float), 1)
volume = np.round((volume - volume.min()) / np.ptp(volume) * 255).astype(np.uint8)
labels = ((np.indices(shape)[2] // 2 + np.indices(shape)[0] // 6) % 8).astype(np.uint8)
middle = (np.array(shape) - 1) / 2


def rotation(degrees):
    a, b, c = np.radians(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def case(name, matrix, shift, bend=None, edge=False):
    bend = bend or [np.arange(n, dtype=float) for n in shape]
    # As the map's fixed point has it, so that equal coordinates are compared.
    q = np.stack(np.meshgrid(*bend, indexing="ij"))
    p = np.einsum("ij,jabc->iabc", matrix, q) + np.reshape(shift, (3, 1, 1, 1))
    p = np.round(p * 65536) / 65536
    out = ndimage.map_coordinates(volume.astype(float), p, order=1, mode="nearest" if edge else "constant", cval=0)
    # A half goes up, here as there.
    nearest = np.floor(p + 0.5)
    inside = np.all([(p[d] >= 0) & (p[d] <= shape[d] - 1) for d in range(3)], axis=0)
    lab = ndimage.map_coordinates(labels, nearest, order=0, mode="constant", cval=0) * inside
    return {"Name": name, "Edge": edge, "Bend": [list(b) for b in bend], "Matrix": matrix.tolist(), "Shift": list(map(float, shift)),
            "Volume": np.floor(out + 0.5).astype(int).ravel().tolist(), "Labels": lab.astype(int).ravel().tolist()}


def about_middle(matrix, t=(0, 0, 0)):
    return matrix, middle - matrix @ middle + np.array(t)


bent = [np.interp(np.arange(n), [0, n * 0.4, n], [0, n * 0.45, n]) for n in shape]
cases = [
    case("identity", np.eye(3), np.zeros(3)),
    case("shift", np.eye(3), np.array([1.25, -2.5, 0.375])),
    case("flip", *about_middle(np.diag([1.0, -1.0, 1.0]))),
    case("zoom", *about_middle(np.diag([0.8, 1.3, 1.1]))),
    case("rotation", *about_middle(rotation([10, -20, 35]), (0.3, -0.2, 0.1))),
    case("rotation, edge", *about_middle(rotation([10, -20, 35]), (2.3, -1.2, 3.1)), edge=True),
    case("bent", *about_middle(rotation([5, 8, -12])), bend=bent),
    case("bent and flipped", *about_middle(rotation([5, 8, -12]) @ np.diag([1.0, -1.0, -1.0])), bend=bent),
    case("far outside", np.eye(3), np.array([100.0, 0, 0])),
]
with open("resample.json", "w") as f:
    json.dump({"Shape": shape, "Volume": volume.ravel().tolist(), "Labels": labels.ravel().tolist(), "Cases": cases}, f, separators=(",", ":"))


def blur(sigma):
    out = volume.astype(float)
    for axis in (2, 1, 0):
        out = ndimage.gaussian_filter1d(out, sigma, axis=axis, mode="nearest", radius=int(np.ceil(3 * sigma)))
    return np.floor(out + 0.5).astype(int).ravel().tolist()


with open("blur.json", "w") as f:
    json.dump({"Shape": shape, "Volume": volume.ravel().tolist(), "Cases": [{"Sigma": s, "Volume": blur(s)} for s in (0.3, 0.8, 1.4)]}, f, separators=(",", ":"))
