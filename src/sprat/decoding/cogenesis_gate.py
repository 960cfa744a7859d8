"""How much CoGenesis trusts the local model at a place: a small network over both models' next-token distributions.

arXiv 2403.03129: sigmoid(MLP(2V -> 512 -> 16 -> 1)), trained by the cross-entropy of the fused scores; here in numpy.
Checked by its gradient against finite differences, and on data where one model is always right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..whitebox.arrays import log_softmax

Floats = np.ndarray[Any, Any]
SCALE = 0.1  # log-probabilities go in as a tenth of what they are


@dataclass(frozen=True, eq=False)
class Gate:
    """Weights and biases of the three layers, in turn."""

    layers: tuple[Any, ...]
    use = "cogenesis_gate"

    def __call__(self, near: Floats, far: Floats) -> Floats:
        """The local model's weight, (..., 1), from both models' floored log-probabilities (..., vocabulary)."""
        return _forward(self.layers, _inputs(near, far))[-1]


def _inputs(near: Floats, far: Floats) -> Floats:
    return (SCALE * np.concatenate([near, far], axis=-1)).astype(np.float32)


def _forward(layers: Sequence[Floats], x: Floats) -> list[Floats]:
    seen = [x]
    for i in range(0, len(layers), 2):
        x = x @ layers[i] + layers[i + 1]
        x = np.maximum(x, 0) if i + 2 < len(layers) else 1 / (1 + np.exp(-x))
        seen.append(x)
    return seen


def begun(size: int, hidden: tuple[int, ...] = (512, 16), seed: int = 0) -> list[Floats]:
    """Weights to begin with, He's; the last are 0, so that the gate starts at one half everywhere."""
    rng = np.random.default_rng(seed)
    widths = (2 * size, *hidden, 1)
    layers: list[Floats] = []
    for i, (into, out) in enumerate(pairwise(widths)):
        last = i == len(widths) - 2
        layers.append(np.zeros((into, out), np.float32) if last
                      else (rng.normal(size=(into, out)) * np.sqrt(2 / into)).astype(np.float32))  # fmt: skip
        layers.append(np.zeros(out, np.float32))
    return layers


def loss(layers: Sequence[Floats], near: Floats, far: Floats, labels: Floats) -> tuple[float, list[Floats]]:
    """The mean cross-entropy of w near + (1 - w) far at the labels (n,), and its gradients by layer."""
    seen = _forward(layers, _inputs(near, far))
    w, n = seen[-1], len(labels)
    logprobs = log_softmax(w * near + (1 - w) * far)
    slope = np.exp(logprobs)
    slope[np.arange(n), labels] -= 1
    # d loss / d w, through the sigmoid
    back = ((slope * (near - far)).sum(axis=-1, keepdims=True) * w * (1 - w) / n).astype(np.float32)
    gradients: list[Floats] = [np.zeros(0)] * len(layers)
    for i in range(len(layers) - 2, -1, -2):
        x = seen[i // 2]
        gradients[i], gradients[i + 1] = x.T @ back, back.sum(axis=0)
        if i:
            back = (back @ layers[i].T) * (x > 0)
    return float(-logprobs[np.arange(n), labels].mean()), gradients


def fitted(
    near: Floats,
    far: Floats,
    labels: Floats,
    *,
    hidden: tuple[int, ...] = (512, 16),
    epochs: int = 20,
    rate: float = 1e-3,
    batch: int = 64,
    seed: int = 0,
    tell: Callable[[int, float], None] | None = None,
) -> Gate:
    """A gate by Adam on places (n, vocabulary) with their right tokens (n,); `tell` hears (epoch, loss)."""
    layers = begun(near.shape[1], hidden, seed)
    means, squares = ([np.zeros_like(w) for w in layers] for _ in range(2))
    rng, steps = np.random.default_rng(seed), 0
    for epoch in range(epochs):
        order, total = rng.permutation(len(labels)), 0.0
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            found, gradients = loss(layers, near[rows], far[rows], labels[rows])
            total, steps = total + found * len(rows), steps + 1
            for i, gradient in enumerate(gradients):
                means[i] = 0.9 * means[i] + 0.1 * gradient
                squares[i] = 0.999 * squares[i] + 0.001 * gradient**2
                step = means[i] / (1 - 0.9**steps) / (np.sqrt(squares[i] / (1 - 0.999**steps)) + 1e-8)
                layers[i] = layers[i] - np.float32(rate) * step.astype(np.float32)
        if tell:
            tell(epoch, total / len(order))
    return Gate(tuple(layers))
