"""Writes cases.json: what numpy and scipy make of random logits, by the method's text.

    python make_cases.py > cases.json
"""

import json

import numpy as np
from scipy.special import expit, logit

rng = np.random.default_rng(20221)
LEVELS, SLICES = 7, 15


def calibrated(p, c):
    a, b = c
    return expit((a or 1) * logit(p) + b)


def answer(models, top, product, floor, ceiling):
    known = [m["prior"] for m in models if m["prior"]]
    share = np.mean(known, axis=0) if known else np.array([146, 285, 73, 108, 162, 277, 393, 961]) / 2019
    prior = 2 * share / (1 + share)
    raw, p = prior[:LEVELS].copy(), prior.copy()
    found = [z is not None for z in models[0]["slices"]]
    for c in range(LEVELS):
        if found[c]:
            r = [np.sort(expit(np.array(m["slices"][c])))[-top:].mean() for m in models]
            raw[c] = np.mean(r)
            p[c] = np.mean([calibrated(x, m["calibration"][c]) for x, m in zip(r, models)])
    if any(found):
        q = 1 - np.prod(1 - raw)
        heads = [expit(m["patient"]) for m in models if m["type"] == 2]
        if heads:
            q = product * q + (1 - product) * np.mean(heads)
        p[7] = np.mean([calibrated(q, m["calibration"][7]) for m in models])
    return np.clip(p, floor, ceiling)


def model(kind, missing, scale, prior, calibration):
    z = rng.normal(-1, scale, (LEVELS, SLICES)).astype(np.float32)
    return {
        "type": kind,
        "slices": [None if c in missing else [float(v) for v in z[c]] for c in range(LEVELS)],
        "patient": float(np.float32(rng.normal(0, scale))),
        "prior": [round(float(v), 3) for v in rng.uniform(0.01, 0.6, 8)] if prior else None,
        "calibration": [[round(float(v), 3) for v in pair] for pair in zip(rng.uniform(0.4, 1.6, 8), rng.normal(0, 1, 8))]
        if calibration else [[0, 0]] * 8,
    }


cases = []
for name, kinds, missing, scale, prior, calibration, top, product, floor, ceiling in [
    ("one network of type 1", [1], [], 2, True, False, 0, 0.4, 1e-4, 0.9999),
    ("one of type 2", [2], [], 2, True, False, 0, 0.4, 1e-4, 0.9999),
    ("an ensemble of both types", [1, 1, 2, 2, 2], [], 2, True, False, 0, 0.4, 1e-4, 0.9999),
    ("the top five slices", [1, 2], [], 3, True, False, 5, 0.4, 1e-4, 0.9999),
    ("other shares", [1, 2], [], 2, False, False, 0, 0.75, 1e-4, 0.9999),
    ("calibrated", [1], [], 2, True, True, 0, 0.4, 1e-4, 0.9999),
    ("calibrated ensemble", [1, 2, 2], [], 2, True, True, 5, 0.4, 1e-4, 0.9999),
    ("two vertebrae missing", [1, 2], [0, 6], 2, True, True, 0, 0.4, 1e-4, 0.9999),
    ("none found, prior of the models", [1, 2], list(range(7)), 2, True, True, 0, 0.4, 1e-4, 0.9999),
    ("none found, prior of the method", [1], list(range(7)), 2, False, False, 0, 0.4, 1e-4, 0.9999),
    ("clamped", [2], [], 30, True, False, 1, 0.4, 0.01, 0.97),
]:
    models = [model(k, missing, scale, prior, calibration) for k in kinds]
    args = (top, product, floor, ceiling)
    cases.append({
        "name": name, "models": models, "top": top, "product": product, "floor": floor, "ceiling": ceiling,
        "want": list(answer(models, *args)), "alone": [list(answer([m], *args)) for m in models],
    })
print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
