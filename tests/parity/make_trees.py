"""Ensembles of trees by LightGBM and XGBoost, and what they say of 500 rows with missing values.

    python tests/parity/make_trees.py tests/fixtures/trees

needs numpy, lightgbm and xgboost. Writes `rows`, 500 rows of 5 features with NaN where a value is
missing, and by model NAME.txt or NAME.json as the library saved it and NAME.scores, its raw scores of the
rows. Numbers are f32, little-endian.
"""

import os
import sys

import lightgbm
import numpy as np
import xgboost

ROWS, WIDTH = 500, 5


def data(seed, count):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, WIDTH)).astype(np.float32)
    x[:, 2] = rng.integers(0, 3, count)  # many zeros
    x[:, 4] = rng.integers(0, 40, count)
    x[rng.random(x.shape) < 0.2] = np.nan
    known = np.nan_to_num(x)
    y = 2 * known[:, 0] + np.sin(3 * known[:, 1]) + known[:, 2] * known[:, 3] + (known[:, 4] % 7 == 2)
    return x, (y - np.isnan(x[:, 0]) + rng.normal(size=count) * 0.1).astype(np.float32)


def by_lightgbm(x, y, **options):
    dataset = lightgbm.Dataset(
        x, y, categorical_feature=options.pop("categories", []), group=options.pop("group", None),
        params={key: options[key] for key in ("zero_as_missing", "use_missing") if key in options},
    )
    options = dict(num_leaves=12, verbose=-1, seed=1, num_threads=1, min_data_in_leaf=5) | options
    return lightgbm.train(options, dataset, 12)


def main(folder):
    x, y = data(1, 1500)
    rows, _ = data(2, ROWS)
    yes = (y > 0).astype(np.float32)
    grades = np.digitize(y, [0, 1, 2])
    models = {
        "numbers": by_lightgbm(x, y, objective="regression"),
        "zeros": by_lightgbm(x, yes, objective="binary", zero_as_missing=True),
        "never": by_lightgbm(x, y, objective="regression", use_missing=False),
        "categories": by_lightgbm(x, y, objective="regression", categories=[4], max_cat_to_onehot=2),
        "lambdarank": by_lightgbm(x, grades, objective="lambdarank", group=[15] * 100),
        "forest": by_lightgbm(x, y, objective="regression", boosting="rf", bagging_freq=1, bagging_fraction=0.5),
    }
    os.makedirs(folder, exist_ok=True)
    put(f"{folder}/rows", rows)
    for name, model in models.items():
        model.save_model(f"{folder}/{name}.txt")
        # The raw scores of a forest are sums; what it says is their mean.
        put(f"{folder}/{name}.scores", model.predict(rows, raw_score=name != "forest"))
    for name, options, label in [
        ("squares", dict(objective="reg:squarederror"), y),
        ("logistic", dict(objective="binary:logistic"), yes),
        ("ranking", dict(objective="rank:ndcg"), grades),
    ]:
        train = xgboost.DMatrix(x, label)
        if name == "ranking":
            train.set_group([15] * 100)
        model = xgboost.train(options | dict(max_depth=4, eta=0.5, seed=1, nthread=1), train, 12)
        model.save_model(f"{folder}/{name}.json")
        put(f"{folder}/{name}.scores", model.predict(xgboost.DMatrix(rows), output_margin=True))


def put(path, numbers):
    numbers.astype("<f4").tofile(path)


if __name__ == "__main__":
    main(sys.argv[1])
