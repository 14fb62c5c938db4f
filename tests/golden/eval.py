"""Writes eval.json: what scikit-learn and ranx answer to 200 random cases.

Made with Python 3, scikit-learn 1.9.1, ranx 0.3.21, numpy 2.4.6:

    python3 -m venv venv && venv/bin/pip install scikit-learn==1.9.1 ranx==0.3.21
    venv/bin/python eval.py > eval.json

A case has scores and gains of candidates, and `missed`: gains of relevant items that are no candidates.
Every other case has ties; only scikit-learn defines what ties mean, so ranx answers the others. Scores
are multiples of 1/16 and so exact as 32-bit floats. Depth "all" means no cut.
"""

import json
import random

import numpy as np
from ranx import Qrels, Run, evaluate
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

DEPTHS = [1, 5, 10]
RANX = {
    "ndcg": "ndcg",
    "ndcg_burges": "ndcg_exponential",
    "mrr": "reciprocal_rank",
    "map": "average_precision",
    "recall": "recall",
    "hit_rate": "hit_rate",
    "precision": "precision",
}


def make(rng, tied):
    """A case with at least one relevant candidate."""
    n = rng.randint(2, 16)
    grades = rng.choice([[0, 1], [0, 0, 0, 1, 2, 3]])
    gains = [rng.choice(grades) for _ in range(n)]
    gains[rng.randrange(n)] = max(grades)
    if tied:
        scores = [rng.randint(0, max(1, n // 3)) / 4 - 1 for _ in range(n)]
    else:
        scores = [(v - 20) / 16 for v in rng.sample(range(64), n)]
    missed = [] if tied else rng.choice([[], [], [1], [2, 1, 1]])
    return {"scores": scores, "gains": gains, "missed": missed}


def sklearn(case):
    """Ties averaged, which is scikit-learn's default. It knows nothing of missed items."""
    y, s = np.array(case["gains"], float), np.array(case["scores"])
    out = {}
    for k in [*DEPTHS, None]:
        out[f"ndcg@{k or 'all'}"] = ndcg_score([y], [s], k=k)
        out[f"ndcg_exponential@{k or 'all'}"] = ndcg_score([2**y - 1], [s], k=k)
    if 0 < sum(y > 0) < len(y):
        out["auc"] = roc_auc_score(y > 0, s)
    if len(set(case["scores"])) == len(y):
        out["average_precision@all"] = average_precision_score(y > 0, s)
    return out


def ranx(cases):
    """All cases at once: ranx compiles first. Missed items are judged but not ranked."""
    qrels, run = {}, {}
    for q, case in enumerate(cases):
        judged = {f"d{i}": g for i, g in enumerate(case["gains"]) if g > 0}
        judged |= {f"m{i}": g for i, g in enumerate(case["missed"])}
        qrels[f"q{q:03}"] = judged
        run[f"q{q:03}"] = {f"d{i}": s for i, s in enumerate(case["scores"])}
    asked = [f"{m}@{k}" for m in RANX for k in DEPTHS] + ["ndcg", "mrr", "map", "recall"]
    found = evaluate(Qrels(qrels), Run(run), asked, return_mean=False)
    for q, case in enumerate(cases):
        case["ranx"] = {}
        for name in asked:
            metric, _, k = name.partition("@")
            case["ranx"][f"{RANX[metric]}@{k or 'all'}"] = found[name][q]


def short(value):
    """Twelve digits are more than the comparison needs, and a third of the size."""
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items()}
    if isinstance(value, list):
        return [short(v) for v in value]
    return float(f"{value:.12g}")


def main():
    rng = random.Random(7)
    cases = [make(rng, tied=i % 2 == 1) for i in range(200)]
    for case in cases:
        case["sklearn"] = sklearn(case)
    ranx([case for case in cases if len(set(case["scores"])) == len(case["scores"])])
    lines = [json.dumps(short(case), separators=(",", ":")) for case in cases]
    print("[\n" + ",\n".join(lines) + "\n]")


main()
