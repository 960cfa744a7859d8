"""How the linear scorers learn: logistic regression on hashed windows, rounded to int8, calibrated on other rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from sprat.safety.features import windows, words
from sprat.safety.linear import Weights


def design(texts: Sequence[str], buckets: int, width: int) -> tuple[csr_matrix, np.ndarray]:
    """A row of counts over the root of their sum for every window of the texts, and whose window each is."""
    places, values, ends, owner = list[np.ndarray](), list[np.ndarray](), [0], list[int]()
    for i, text in enumerate(texts):
        read = words(text, buckets)
        for first, last in windows(len(read.places), width):
            found = read.buckets[read.firsts[first] : read.firsts[last]]
            at, counts = np.unique(found, return_counts=True)
            places.append(at)
            values.append(counts / np.sqrt(max(1, len(found))))
            ends.append(ends[-1] + len(at))
            owner.append(i)
    rows = (np.concatenate(values), np.concatenate(places), np.array(ends))
    return csr_matrix(rows, shape=(len(owner), buckets)), np.array(owner)


def fitted(x: csr_matrix, y: np.ndarray, strength: float, seed: int, weights: np.ndarray | None = None) -> Any:
    """The logistic regression with this inverse strength."""
    model = LogisticRegression(C=strength, solver="liblinear", random_state=seed, intercept_scaling=10.0)
    return model.fit(x, y, sample_weight=weights)


def rounded(model: Any) -> tuple[np.ndarray, float, float]:
    """Its weights as int8, their scale (the largest one in 2,000 is cut off), and its bias."""
    found = model.coef_[0]
    scale = float(np.quantile(np.abs(found[found != 0]), 0.9995)) / 127
    return np.clip(np.round(found / scale), -127, 127).astype(np.int8), scale, float(model.intercept_[0])


def pooled(scores: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """The largest logit and the log of the number of windows of each text, and 1: (n, 3)."""
    top = np.full(n, -np.inf)
    np.maximum.at(top, owner, scores)
    return np.column_stack([top, np.log(np.maximum(1, np.bincount(owner, minlength=n))), np.ones(n)])


def curve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The likeliest coefficients (3,) of y (n,) on x (n, 3): more windows can only lower what a logit says."""

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        p = 0.5 * (1 + np.tanh(0.5 * z))
        return float(np.mean(np.logaddexp(0, z) - y * z)), x.T @ (p - y) / len(y)

    bounds = [(1e-3, None), (None, 0.0), (None, None)]
    return minimize(loss, np.array([1.0, 0.0, 0.0]), jac=True, bounds=bounds, method="L-BFGS-B").x


def store(path: Path, held: Weights) -> None:
    """Write the weights with what is known of them."""
    about = {**held.about, "width": held.width, "rate": held.rate, "kind": held.kind}
    said = np.frombuffer(json.dumps(about).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(
            file, table=held.table, scale=np.float64(held.scale), bias=np.float64(held.bias),
            curve=held.curve, about=said,
        )  # fmt: skip
