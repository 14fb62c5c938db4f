"""Writes classify.json: what scikit-learn says of probabilities, and its logistic regression and calibrations.

Made with Python 3, scikit-learn 1.9.1:

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1
    venv/bin/python classify.py > classify.json

`outcomes` are probabilities (multiples of 1/64, so many ties) with labels and weights. `fits` are rows to
learn from and rows to calibrate on; values are multiples of 1/16 and so exact as 32-bit floats, and null is
missing. Rows are scaled to mean 0 and deviation 1 by weight, what is missing is the mean and has a column
of its own, as ours does inside.
"""

import json
import random

import numpy as np
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score


def outcomes(rng):
    n = rng.randint(5, 60)
    scores = [rng.randint(1, 63) / 64 for _ in range(n)]
    labels = [int(rng.random() < s) for s in scores]
    labels[0], labels[1] = 0, 1
    weights = [rng.choice([0.5, 1, 2, 3]) for _ in range(n)]
    s, y, w = np.array(scores), np.array(labels), np.array(weights)
    # scikit-learn's curve has no weights: rows are repeated instead, in halves.
    again = np.repeat(np.arange(n), (2 * w).astype(int))
    edges = np.searchsorted(np.linspace(0, 1, 11)[1:-1], s[again])
    sizes = np.bincount(edges, minlength=10)
    true, said = calibration_curve(y[again], s[again], n_bins=10, strategy="uniform")
    sizes = sizes[sizes > 0] / len(again)
    return {
        "scores": scores,
        "labels": labels,
        "weights": weights,
        "auc": roc_auc_score(y, s, sample_weight=w),
        "average_precision": average_precision_score(y, s, sample_weight=w),
        "brier": brier_score_loss(y, s, sample_weight=w),
        "log_loss": log_loss(y, s, sample_weight=w),
        "expected_calibration_error": float(np.sum(sizes * np.abs(true - said))),
    }


def draw(rng, n, holes):
    rows, labels, weights = [], [], []
    for _ in range(n):
        row = [round(rng.gauss(0, 16)) / 16, round(rng.gauss(3, 30)) / 16, rng.randint(0, 1), 2.0]
        odds = 1.5 * row[0] - 0.4 * row[1] + 0.8 * row[2] - 1
        if holes and rng.random() < 0.2:
            row[1], odds = None, odds + 1
        rows.append(row)
        labels.append(int(rng.random() < 1 / (1 + np.exp(-odds))))
        weights.append(rng.choice([0.5, 1, 2]))
    return {"rows": rows, "labels": labels, "weights": weights}


class Design:
    def __init__(self, rows, weights):
        x, w = np.array(rows, float), np.array(weights)
        self.gone = np.isnan(x).any(0)
        self.mean = np.array([np.average(c[~np.isnan(c)], weights=w[~np.isnan(c)]) for c in x.T])
        spread = [np.average((c - m)[~np.isnan(c)] ** 2, weights=w[~np.isnan(c)]) for c, m in zip(x.T, self.mean)]
        self.deviation = np.sqrt(np.where(np.array(spread) > 1e-18, spread, 1.0))

    def __call__(self, rows):
        x = np.array(rows, float)
        scaled = np.nan_to_num((x - self.mean) / self.deviation, nan=0.0)
        return np.hstack([scaled, np.isnan(x[:, self.gone]).astype(float)])


def fit(rng, holes, l2):
    learn, later = draw(rng, 300, holes), draw(rng, 200, holes)
    design = Design(learn["rows"], learn["weights"])
    model = LogisticRegression(C=1 / l2, tol=1e-12, max_iter=10_000)
    model.fit(design(learn["rows"]), learn["labels"], sample_weight=learn["weights"])
    x = design(later["rows"])
    out = {"l2": l2, "learn": learn, "later": later, "plain": model.predict_proba(x)[:, 1].tolist()}
    for method in ["sigmoid", "isotonic"]:
        calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=method)
        calibrated.fit(x, later["labels"], sample_weight=later["weights"])
        out[method] = calibrated.predict_proba(x)[:, 1].tolist()
    return out


rng = random.Random(7)
cases = [outcomes(rng) for _ in range(100)]
fits = [fit(rng, holes, l2) for holes, l2 in [(False, 1.0), (True, 1.0), (True, 25.0)]]
print(json.dumps({"outcomes": cases, "fits": fits}))
