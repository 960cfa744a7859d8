"""How the routers learn, in numpy alone: L-BFGS for the convex losses, Adam for the others.

L-BFGS as in Nocedal and Wright, Algorithm 7.5, with backtracking; Adam is arXiv 1412.6980. Checked against scipy's
L-BFGS and against closed forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(z: Any) -> Any:
    """1 / (1 + exp(-z)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))


def softmax(z: NDArray[Any]) -> NDArray[Any]:
    """Rows (n, k) to distributions."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def scaled(x: NDArray[Any]) -> tuple[Floats, float, NDArray[np.float32]]:
    """Mean (d,) and one scale of rows (n, d), and the rows (n, d) with mean 0 and a mean column variance of 1."""
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    scale = float(np.sqrt(np.mean(np.square(centred)))) or 1.0
    return mean, max(scale, 1e-12), (centred / max(scale, 1e-12)).astype(np.float32)


def minimise(
    f: Callable[[Floats], tuple[float, Floats]], start: Floats, steps: int = 200, tolerance: float = 1e-5
) -> Floats:
    """Where the smooth convex `f` (its value and gradient at a flat point) is least, by L-BFGS."""
    x, memory = start.copy(), list[tuple[Floats, Floats, float]]()
    value, slope = f(x)
    for _ in range(steps):
        if float(np.abs(slope).max(initial=0.0)) < tolerance:
            break
        step = _direction(slope, memory)
        along, size = float(step @ slope), 1.0 if memory else 1.0 / max(1.0, float(np.linalg.norm(slope)))
        ahead, climb = f(x + size * step)
        while ahead > value + 1e-4 * size * along and size > 1e-6:
            size *= 0.5
            ahead, climb = f(x + size * step)
        # Losses are summed in single precision: less than this is noise.
        if value - ahead < 1e-7 * max(1.0, abs(value)):
            break
        moved, turned = size * step, climb - slope
        if (curve := float(moved @ turned)) > 1e-12:
            memory = [*memory[-9:], (moved, turned, 1.0 / curve)]
        x, value, slope = x + moved, ahead, climb
    return x


def _direction(slope: Floats, memory: list[tuple[Floats, Floats, float]]) -> Floats:
    q, shares = -slope, list[float]()
    for moved, turned, inverse in reversed(memory):
        shares.append(inverse * float(moved @ q))
        q = q - shares[-1] * turned
    if memory:
        moved, turned, _ = memory[-1]
        q = q * (float(moved @ turned) / float(turned @ turned))
    for (moved, turned, inverse), share in zip(memory, reversed(shares), strict=True):
        q = q + (share - inverse * float(turned @ q)) * moved
    return q


def softmax_regression(x: NDArray[Any], targets: NDArray[Any], strength: float) -> tuple[Floats, Floats]:
    """Weights (d, k) and bias (k,) for rows (n, d) whose targets (n, k) are distributions, hard or soft.

    Mean cross-entropy plus strength / 2 times the squared weights, in units of a mean column variance of 1.
    """
    mean, scale, z = scaled(x)
    n, d, k = len(z), z.shape[1], targets.shape[1]
    soft = targets.astype(np.float32)

    def loss(flat: Floats) -> tuple[float, Floats]:
        w, b = flat[: d * k].reshape(d, k), flat[d * k :]
        logits = z @ w.astype(np.float32) + b.astype(np.float32)
        logits -= logits.max(axis=1, keepdims=True)
        e = np.exp(logits)
        total = e.sum(axis=1, keepdims=True)
        value = float(np.sum(np.log(total)) - np.sum(soft * logits)) / n + 0.5 * strength * float(np.sum(w * w))
        error = (e / total - soft) / n
        return value, np.concatenate([(z.T @ error + strength * w).ravel(), error.sum(axis=0)]).astype(np.float64)

    start = np.concatenate([np.zeros(d * k), np.log(np.maximum(targets.mean(axis=0), 1e-3))])
    flat = minimise(loss, start)
    w = flat[: d * k].reshape(d, k) / scale
    return w, flat[d * k :] - mean @ w


def logistic(x: NDArray[Any], target: NDArray[Any], strength: float) -> tuple[Floats, float]:
    """Weights (d,) and bias for rows (n, d) with labels in [0, 1], by (soft-label) binary cross-entropy."""
    w, b = softmax_regression(x, np.stack([1.0 - target, target], axis=1), 2.0 * strength)
    return w[:, 1] - w[:, 0], float(b[1] - b[0])


class Adam:
    """Adam over a list of arrays, which it changes in place."""

    def __init__(self, parameters: Sequence[NDArray[Any]], rate: float) -> None:
        self.parameters, self.rate, self.steps = list(parameters), rate, 0
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]

    def step(self, slopes: Sequence[NDArray[Any]]) -> None:
        """One step against these gradients."""
        self.steps += 1
        rate = self.rate * float(np.sqrt(1 - 0.999**self.steps)) / (1 - 0.9**self.steps)
        for p, m, v, g in zip(self.parameters, self.first, self.second, slopes, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * m / (np.sqrt(v) + 1e-8)
