"""MMLU-Pro's recorded outcomes as arrays, and twenty candidates for deferral scored on them out of fold.

A missing answer counts as wrong. Fit rows are fixed; the rest is the pool that stands for the world.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

SMALL, LARGE = "Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002"
PEERS = ("Phi-3-mini-4k-instruct", "mathstral-7B")
FIT_ROWS = 4000


def load() -> dict[str, Any]:
    """Right or wrong for both models (a missing answer is wrong), and what a candidate may look at."""
    import polars as pl

    folder = os.environ.get("SPRAT_DATA")
    if not folder:
        sys.exit("Set SPRAT_DATA to the folder that holds mmlu_pro_outcomes.")
    table = pl.read_parquet(Path(folder) / "mmlu_pro_outcomes" / "outcomes.parquet")
    letters = {m: table[f"{m}|answer"].fill_null("").to_numpy().astype(str) for m in (SMALL, LARGE, *PEERS)}
    gold = table["answer"].to_numpy().astype(str)
    text = [f"{q} {' '.join(o)}" for q, o in zip(table["question"], table["options"].to_list(), strict=True)]
    category = np.unique(table["category"].to_numpy().astype(str), return_inverse=True)[1]
    said = letters[SMALL] != ""
    agree = np.stack([said & (letters[SMALL] == letters[p]) for p in PEERS], axis=1)
    peers_agree = (letters[PEERS[0]] == letters[PEERS[1]]) & (letters[PEERS[0]] != "")
    length = np.log1p(np.stack([table[f"{m}|chars"].to_numpy() for m in (SMALL, *PEERS)], axis=1))
    prompt = np.array([np.log1p(len(t)) for t in text])
    columns = [category, agree, peers_agree, length, prompt, said, [len(o) for o in table["options"].to_list()]]
    return {
        "small": (letters[SMALL] == gold).astype(float),
        "large": (letters[LARGE] == gold).astype(float),
        "category": category,
        "agree": agree,
        "length": length[:, 0],
        "prompt": prompt,
        "features": np.column_stack(columns).astype(float),
        "text": text,
        "question": np.unique(table["question"].to_numpy().astype(str), return_inverse=True)[1],
    }


def split(data: dict[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """4,000 fit rows and the pool; rows with the same question stay together."""
    shuffled = np.random.default_rng(seed).permutation(int(data["question"].max()) + 1)
    rows = np.argsort(shuffled[data["question"]], kind="stable")
    cut = FIT_ROWS
    while shuffled[data["question"][rows[cut]]] == shuffled[data["question"][rows[cut - 1]]]:
        cut += 1
    return rows[:cut], rows[cut:]


def candidates(data: dict[str, Any], fit: np.ndarray, pool: np.ndarray, seed: int) -> dict[str, tuple[Any, Any]]:
    """Per candidate the scores on the fit rows, out of fold, and on the pool by the model of all fit rows.

    A score says how readily the small model's answer is kept; learned ones predict its gain, small minus large.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    gain, ok = data["small"] - data["large"], data["small"]
    bad = ((data["large"] > 0) & (ok == 0)).astype(float)
    both = data["agree"].sum(axis=1)
    hashed = HashingVectorizer(n_features=2**15, alternate_sign=False, ngram_range=(1, 2)).transform(data["text"])
    tfidf = TfidfTransformer(sublinear_tf=True).fit(hashed[fit]).transform(hashed)
    dense = TruncatedSVD(64, random_state=seed).fit(tfidf[fit]).transform(tfidf)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True) + 1e-12
    onehot = OneHotEncoder(sparse_output=False).fit_transform(data["category"][:, None])
    cells = onehot[:, :, None] * np.eye(4)[data["agree"] @ [1, 2]][:, None, :]
    plain = StandardScaler().fit_transform(data["features"][:, 1:])
    linear = np.column_stack([onehot, plain, cells.reshape(len(ok), -1)])
    wide = np.column_stack([linear, StandardScaler().fit_transform(dense)])
    trees: dict[str, Any] = {"max_iter": 120, "learning_rate": 0.05, "max_leaf_nodes": 12, "min_samples_leaf": 30}
    trees |= {"categorical_features": [0], "l2_regularization": 5.0, "random_state": seed}

    def cell_means(key: np.ndarray, target: np.ndarray) -> Any:
        def predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
            count = np.bincount(key[train], minlength=key.max() + 1)
            total = np.bincount(key[train], target[train], minlength=key.max() + 1)
            return ((total + 20 * target[train].mean()) / (count + 20))[key[test]]  # shrunk by 20 rows

        return predict

    def learned(model: Any, x: Any, y: np.ndarray, sign: float = 1.0) -> Any:
        def predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
            fitted = model.fit(x[train], y[train])
            classes = hasattr(fitted, "predict_proba")
            return sign * (fitted.predict_proba(x[test])[:, 1] if classes else fitted.predict(x[test]))

        return predict

    def given(score: np.ndarray) -> Any:
        return lambda train, test: score[test].astype(float)

    rules = {
        "random": given(np.random.default_rng(seed).random(len(ok))),
        "short prompt": given(-data["prompt"]),
        "short answer": given(-data["length"]),
        "agrees with Phi-3-mini": given(data["agree"][:, 0]),
        "agrees with mathstral": given(data["agree"][:, 1]),
        "agreements, 0 to 2": given(both),
        "category, small right": cell_means(data["category"], ok),
        "category, gain": cell_means(data["category"], gain),
        "category x agreements, small right": cell_means(data["category"] * 3 + both, ok),
        "category x agreements, gain": cell_means(data["category"] * 3 + both, gain),
        "category x each peer, gain": cell_means(data["category"] * 4 + data["agree"] @ [1, 2], gain),
        "logistic, small right": learned(LogisticRegression(C=0.1, max_iter=500), linear, ok),
        "ridge on features, gain": learned(Ridge(100.0), linear, gain),
        "boosting, gain": learned(HistGradientBoostingRegressor(**trees), data["features"], gain),
        "boosting, regression": learned(HistGradientBoostingClassifier(**trees), data["features"], bad, -1),
        "boosting, small right": learned(HistGradientBoostingClassifier(**trees), data["features"], ok),
        "kNN on text, gain": learned(KNeighborsRegressor(80), dense, gain),
        "ridge on text, gain": learned(Ridge(10.0), tfidf, gain),
        "ridge on features and text, gain": learned(Ridge(300.0), wide, gain),
    }
    folds = np.unique(data["question"][fit], return_inverse=True)[1] % 5
    found: dict[str, tuple[Any, Any]] = {}
    for name, predict in rules.items():
        out = np.empty(len(fit))
        for k in range(5):
            out[folds == k] = predict(fit[folds != k], fit[folds == k])
        found[name] = out, predict(fit, pool)
    for name, parts in {
        "mean of boosting and ridge": ("boosting, gain", "ridge on features and text, gain"),
        "mean of boosting, ridge and cells": (
            "boosting, gain",
            "ridge on features and text, gain",
            "category x agreements, gain",
        ),
    }.items():
        found[name] = tuple(np.mean([found[p][side] for p in parts], axis=0) for side in (0, 1))  # type: ignore[assignment]
    return found


def settings(scored: dict[str, tuple[Any, Any]]) -> tuple[list[tuple[str, float]], np.ndarray, np.ndarray]:
    """All (candidate, threshold) pairs, and which rows each keeps small: fit (n, settings), pool (n, settings).

    Thresholds are quantiles of the scores on the fit rows; nothing of the pool enters.
    """
    names: list[tuple[str, float]] = []
    fit_kept: list[np.ndarray] = []
    pool_kept: list[np.ndarray] = []
    for name, (on_fit, on_pool) in scored.items():
        for threshold in np.unique(np.quantile(on_fit, 1 - np.arange(0.02, 0.8, 0.015), method="higher")):
            names.append((name, float(threshold)))
            fit_kept.append(on_fit >= threshold)
            pool_kept.append(on_pool >= threshold)
    return names, np.column_stack(fit_kept), np.column_stack(pool_kept)
