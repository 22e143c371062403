"""Writes metric.json: what numpy, SciPy and scikit-learn say of predictions. Needs numpy, scipy 1.17, scikit-learn 1.9.

    python metric.py > metric.json

The metric is written as the competition's public graders have it. Variances of areas are the definitions of DeLong et al. (1988) and
Obuchowski (1997), by all pairs of fractured and intact; Newcombe's (2006) interval is SciPy's root. Null in a truth is unknown.
"""
import json
import sys

import numpy as np
from scipy import optimize, stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

CLIP = 1e-15
BASE = np.array([1, 1, 1, 1, 1, 1, 1, 7], float)
Z = stats.norm.ppf(0.975)


def metric_weights(y):
    """The weights of [studies, 8] labels; NaN has none."""
    return np.where(np.isnan(y), 0, BASE * (1 + np.nan_to_num(y)))


def metric(p, y, normalise):
    w = metric_weights(y)
    q = np.clip(p, CLIP, 1 - CLIP)
    y = np.nan_to_num(y)
    loss = -(y * np.log(q) + (1 - y) * np.log(1 - q)) * w
    if normalise == "global":
        return loss.sum() / w.sum()
    known = w.sum(1) > 0
    return (loss.sum(1)[known] / w.sum(1)[known]).mean()


def best_constant(y, normalise):
    """The best constant of each target by search, not by a formula."""
    c = np.full(8, 0.5)
    for t in range(8):
        def loss(v):
            d = c.copy()
            d[t] = v
            return metric(np.broadcast_to(d, y.shape), y, normalise)
        c[t] = optimize.minimize_scalar(loss, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).x
    return c, metric(np.broadcast_to(c, y.shape), y, normalise)


def area(p, y, group):
    x, v = p[y == 1], p[y == 0]
    m, n = len(x), len(v)
    if m == 0 or n == 0:
        return None
    psi = (x[:, None] > v[None]) + 0.5 * (x[:, None] == v[None])
    auc = metrics.roc_auc_score(y, p)
    assert abs(auc - psi.mean()) < 1e-12
    v10, v01 = psi.mean(1) - auc, psi.mean(0) - auc
    ids = np.unique(group)
    a = np.array([v10[group[y == 1] == g].sum() for g in ids])
    b = np.array([v01[group[y == 0] == g].sum() for g in ids])
    i10, i01, i = len(np.unique(group[y == 1])), len(np.unique(group[y == 0])), len(ids)
    variance = float("nan")
    if i10 > 1 and i01 > 1:
        variance = (i10 / (i10 - 1) * (a @ a) / m**2 + i01 / (i01 - 1) * (b @ b) / n**2 + 2 * i / (i - 1) * (a @ b) / (m * n))
        if len(ids) == len(y):  # DeLong: no groups
            assert abs(variance - (v10.var(ddof=1) / m + v01.var(ddof=1) / n)) < 1e-12
    if variance > 1e-18 and 0 < auc < 1:
        center, reach = np.log(auc / (1 - auc)), Z * np.sqrt(variance) / (auc * (1 - auc))
        ends = [1 / (1 + np.exp(-(center - reach))), 1 / (1 + np.exp(-(center + reach)))]
    else:
        k = (i10 + i01) / 2 - 1

        def beyond(t):
            return abs(t - auc) - Z * np.sqrt(t * (1 - t) * (1 + k * (1 - t) / (2 - t) + k * t / (1 + t)) / (i10 * i01))
        ends = [optimize.brentq(beyond, 0, auc - 1e-12, xtol=1e-14) if auc > 0 else 0,
                optimize.brentq(beyond, auc + 1e-12, 1, xtol=1e-14) if auc < 1 else 1]
    return {"auc": auc, "interval": [float(e) for e in ends]}


def ranking(name, p, y, group=None):
    p, y = np.asarray(p, float), np.asarray(y)
    out = {"name": name, "p": p.tolist(), "y": y.tolist(), "group": None if group is None else [int(g) for g in group]}
    group = np.arange(len(y)) if group is None else np.asarray(group)
    out["area"] = area(p, y, group)
    out["brier"] = metrics.brier_score_loss(y, p) if len(set(y)) > 1 else float(np.mean((p - y) ** 2))
    share, mean = calibration_curve(y, p, n_bins=10, strategy="uniform")
    out["share"], out["mean"] = share.tolist(), mean.tolist()
    edges = np.linspace(0, 1, 11)
    n = np.bincount(np.searchsorted(edges[1:-1], p), minlength=10)
    out["n"] = n.tolist()
    out["error"] = float((n[n > 0] * abs(share - mean)).sum() / len(p))
    out["wilson"] = [list(stats.binomtest(int(round(s * k)), int(k)).proportion_ci(method="wilson")) for s, k in zip(share, n[n > 0])]
    if out["area"]:
        out["precision"] = metrics.average_precision_score(y, p)
        fpr, tpr, _ = metrics.roc_curve(y, p, drop_intermediate=False)
        fp, tp = np.round(fpr * (y == 0).sum()).astype(int), np.round(tpr * (y == 1).sum()).astype(int)
        out["sensitivity"] = float(tpr[10 * fp <= (y == 0).sum()].max())
        out["specificity"] = float(1 - fpr[10 * tp >= 9 * (y == 1).sum()].min())
        out["roc"] = [fpr.tolist(), tpr.tolist()]
    return out


def fit(z, y, w, shifted):
    w = w / w.sum()
    s = np.where(y == 1, -1.0, 1.0)

    def loss(v):
        a, b = v[0], v[1] if shifted else 0.0
        return (w * np.logaddexp(0, s * (a * z + b))).sum() + ((a - 1) ** 2 + b * b) / (2 * len(z))
    start = [1.0, 0.0] if shifted else [1.0]
    found = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-15, "maxiter": 5000}).x
    return [float(found[0]), float(found[1]) if shifted else 0.0]


def calibrations(p, y, normalise):
    w = metric_weights(y)
    if normalise == "row":
        w = w / w.sum(1, keepdims=True)
    q = np.clip(p, CLIP, 1 - CLIP)
    z = np.log(q) - np.log1p(-q)
    out = {}
    for kind in ("temperature", "platt"):
        for plain in (False, True):
            u = np.where(w > 0, 1.0, 0.0) if plain else w
            pick = [np.s_[:, :7], np.s_[:, 7:]]
            fits = [fit(z[i][w[i] > 0], y[i][w[i] > 0], u[i][w[i] > 0], kind == "platt") for i in pick]
            out[kind + (" plain" if plain else "")] = {"vertebrae": fits[0], "patient": fits[1]}
    return out


def table(name, p, y, calibrate=False):
    p, y = np.asarray(p, float), np.asarray(y, float)
    out = {"name": name, "p": p.tolist(), "y": [[None if np.isnan(v) else int(v) for v in row] for row in y]}
    for normalise in ("row", "global"):
        c, loss = best_constant(y, normalise)
        out[normalise] = {"loss": metric(p, y, normalise), "best": c.tolist(), "best_loss": loss,
                          "prevalence_loss": metric(np.broadcast_to(np.nanmean(y, 0), y.shape), y, normalise)}
        if calibrate:
            out[normalise]["calibration"] = calibrations(p, y, normalise)
    return out


def main():
    rng = np.random.default_rng(5)
    rate = np.array([146, 285, 73, 108, 162, 277, 393]) / 2019  # of the competition's data

    def labels(n, rate):
        y = (rng.random((n, 7)) < rate).astype(float)
        return np.hstack([y, y.max(1, keepdims=True)])

    def probabilities(y, sharp):
        z = sharp * (np.nan_to_num(y) * 2 - 1) + rng.normal(size=y.shape) * 1.5 - 0.5
        return np.round(1 / (1 + np.exp(-z)), 6)

    y = labels(80, rate * 2)
    unknown = y.copy()
    unknown[rng.random(y.shape) < 0.2] = np.nan
    unknown[3] = np.nan
    edge = labels(6, rate * 3)
    edges = rng.choice([0, 1, 1e-300, 1e-15, 1 - 1e-15, 5e-324, 1 - 1e-16, 0.5], size=edge.shape)
    tables = [
        table("random", probabilities(y, 1), y, calibrate=True),
        table("unknown labels", probabilities(unknown, 1), unknown),
        table("at the ends", edges, edge),
        table("the truth itself", y[:10], y[:10]),
        table("all wrong", 1 - y[:10], y[:10]),
        table("one study", probabilities(y[:1], 1), y[:1]),
        table("all negative", probabilities(y[:5] * 0, 1), y[:5] * 0),
    ]
    r = (rng.random(60) < 0.3).astype(int)
    q = 1 / (1 + np.exp(-(r * 1.5 + rng.normal(size=60) - 1)))
    group = rng.integers(0, 15, 60)
    rankings = [
        ranking("random", np.round(q, 6), r),
        ranking("ties", np.round(q, 1), r),
        ranking("groups", np.round(q, 2), r, group),
        ranking("perfect", [0.1, 0.2, 0.2, 0.3, 0.7, 0.8], [0, 0, 0, 0, 1, 1]),
        ranking("all wrong", [0.9, 0.8, 0.3, 0.2], [0, 0, 1, 1]),
        ranking("perfect, groups", [0.1, 0.2, 0.2, 0.3, 0.7, 0.8], [0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 0, 1]),
        ranking("one fractured", [0.1, 0.5, 0.4, 0.6], [0, 0, 1, 0]),
        ranking("all equal", [0.5] * 6, [0, 0, 0, 0, 1, 1]),
        ranking("edges of bins", [0, 0.1, 0.2, 0.30000000000000004, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], [0, 1] * 6),
        ranking("none fractured", [0.1, 0.2], [0, 0]),
        ranking("all fractured", [0.1, 0.2], [1, 1]),
    ]
    json.dump({"tables": tables, "rankings": rankings}, sys.stdout, separators=(",", ":"))
    print()


main()
