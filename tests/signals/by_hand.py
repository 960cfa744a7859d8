"""Lessons small enough to work out by hand, and the plain logistic regression that a named method must differ from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sprat.core import Request
from sprat.data import Lessons
from sprat.drivers import drive_many
from sprat.signals.fitting import logistic, sigmoid


class Placed:
    """Reads the row from the text itself: "0.6 0.8" is placed at (0.6, 0.8)."""

    name = "placed"
    dim = 2

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[float(n) for n in t.split()] for t in texts], np.float32)


PLACED = Placed()


def taught(texts: Sequence[str], scores: Any, groups: Sequence[str | None] | None = None, **more: Any) -> Lessons:
    table = np.array(scores, np.float64)
    names = tuple(f"m{i}" for i in range(table.shape[1]))
    groups = groups or [None] * len(texts)
    asked = tuple(Request(({"role": "user", "content": t},), group=g) for t, g in zip(texts, groups, strict=True))
    replies = {n: (None,) * len(texts) for n in names}
    return Lessons(asked, names, table, np.zeros_like(table), replies, **more)


def written(rows: Any) -> list[str]:
    return [" ".join(f"{v:.6f}" for v in row) for row in np.asarray(rows)]


def circle(n: int, seed: int = 0) -> np.ndarray:
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, n)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def trusts(router: Any, texts: Sequence[str], groups: Sequence[str | None] | None = None) -> np.ndarray:
    groups = groups or [None] * len(texts)
    asked = [Request(({"role": "user", "content": t},), group=g) for t, g in zip(texts, groups, strict=True)]
    return np.array(drive_many([router.trust(r) for r in asked]))


def predicted(router: Any, text: str) -> np.ndarray:
    return drive_many([router.predict(Request.of(text))])[0]


def plain(texts: Sequence[str], label: Any) -> Any:
    """P(label) by logistic regression on the rows."""
    weights, bias = logistic(PLACED.encode(texts), np.asarray(label, float), 1e-4)
    return lambda asked: sigmoid(PLACED.encode(asked) @ weights + bias)
