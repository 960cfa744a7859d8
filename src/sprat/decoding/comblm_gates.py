"""Gates of a mixture of two language models, fitted to what both said of some texts (arXiv 2305.16876).

The nets are those of the paper's code: standardized inputs, three hidden layers of ReLUs, a sigmoid; Adam at 2e-3 on
batches of 1,024 places. Fitted in NumPy; a gate is plain arrays and works on tensors too. Gradients are checked against
differences, the scalar against a scan (tests/decoding/test_comblm.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from ..whitebox.arrays import exp, is_torch, like

Singles = NDArray[np.float32]
KINDS = ("constant-scalar", "constant-vector", "entropy-scalar", "entropy-vector", "full-scalar", "full-vector")
HIDDEN = {"constant": (), "entropy": (256,) * 3, "full": (512,) * 3}
BATCH, RATE, PATIENCE, LOOKS = 1024, 2e-3, 4, 25
CONSTANT_RATE = 0.05  # a bias alone has far to go
BUDGET = 2e11  # multiplications that a fit may take: some three seconds on one core
LARGEST = 1 << 22  # weights of a gate at most: more can't be fitted in seconds
NUMBERS = 1 << 26  # float32 that the texts' distributions may take, where a gate needs them


@dataclass(frozen=True, eq=False, repr=False)
class Gate:
    """A fitted gate: from both parts' log-probabilities to the logit of the large one's share.

    `kind` is one of KINDS; layer i is `weights[i]` (in, out) and `biases[i]` (out,), over inputs less `centre`, over
    `scale`. The last layer gives one number per place, or one per token.
    """

    kind: str
    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    centre: NDArray[Any]
    scale: NDArray[Any]
    _there: dict[Any, Any] = field(default_factory=dict[Any, Any], init=False)

    def __repr__(self) -> str:
        return self.kind

    def logit(self, large: Any, small: Any) -> Any:
        """The share's logit, (..., 1) or (..., vocabulary), from log-probabilities (..., vocabulary).

        Raises BadInput where the gate was fitted for another number of tokens.
        """
        x = features(self.kind, large, small)
        if x.shape[-1] != len(self.centre) or self.biases[-1].shape[0] not in (1, large.shape[-1]):
            raise BadInput(
                f"A {self.kind} gate was fitted for another vocabulary than these {large.shape[-1]} tokens.",
                hint="Fit it again on these parts.",
            )
        weights, biases, centre, scale = self._at(large)
        x = (x - centre) / scale
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = x @ weight + bias
            x = x * (x > 0)
        return x @ weights[-1] + biases[-1]

    def _at(self, x: Any) -> Any:
        """The arrays where `x` is, and of its type; carried over once."""
        if not is_torch(x):
            return self.weights, self.biases, self.centre, self.scale
        if (key := (x.device, x.dtype)) not in self._there:
            first, second, centre, scale = (
                [like(a, x).to(x.dtype) for a in arrays]
                for arrays in (self.weights, self.biases, (self.centre,), (self.scale,))
            )
            self._there[key] = (first, second, centre[0], scale[0])
        return self._there[key]


def features(kind: str, large: Any, small: Any) -> Any:
    """What a gate of this kind looks at, from both parts' log-probabilities (..., vocabulary).

    constant: nothing; entropy: the two entropies; full: both distributions and the entropies.
    """
    if kind.startswith("constant"):
        return large[..., :0]
    probabilities = [exp(large), exp(small)]
    entropies = [-(p * finite(lp)).sum(-1)[..., None] for p, lp in zip(probabilities, (large, small), strict=True)]
    return _beside([*probabilities, *entropies] if kind.startswith("full") else entropies)


def finite(logprobs: Any) -> Any:
    """Minus infinity becomes -10,000: a chance of 0 times it is 0, not NaN."""
    return logprobs.clamp(min=-1e4) if is_torch(logprobs) else np.maximum(logprobs, -1e4)


def _beside(parts: list[Any]) -> Any:
    if is_torch(parts[0]):
        import torch

        return torch.cat(parts, -1)
    return np.concatenate(parts, -1)


@dataclass(frozen=True, eq=False)
class Cached:
    """What both parts said of n places: all that a fit needs, so that neither part is run again.

    `labels` (n, 2) log-probabilities of the token that came; `ids` (n,) that token; `inputs` (n, d) the gate's
    features; `chances` (n, 2 x vocabulary) both distributions, or (n, 0) where the gate gives one number per place;
    `held` (n,) marks the places on which the number of steps is chosen.
    """

    labels: NDArray[np.float64]
    ids: NDArray[np.int64]
    inputs: Singles
    chances: Singles
    held: NDArray[np.bool_]


def per_place(kind: str, size: int) -> tuple[int, int, int]:
    """Inputs, numbers of both distributions to be kept, and outputs of a gate, for a vocabulary of `size`."""
    source, form = kind.split("-")
    inputs = {"constant": 0, "entropy": 2, "full": 2 * size + 2}[source]
    return inputs, 2 * size if form == "vector" else 0, size if form == "vector" else 1


def most_places(kind: str, size: int) -> int:
    """How many places are kept for a fit, so that they fit into memory; BadInput for a vocabulary too large for it."""
    inputs, kept, outputs = per_place(kind, size)
    hidden = HIDDEN[kind.split("-")[0]]
    if sum(a * b for a, b in pairwise((inputs, *hidden, outputs))) > LARGEST:
        raise BadInput(
            f"A {kind} gate is too large for {size} tokens.", hint="Take entropy-scalar, which hardly grows with it."
        )
    return min(1 << 20, NUMBERS // max(1, inputs + kept))


def best_share(labels: NDArray[np.float64]) -> float:
    """The one share under which labels (n, 2), log-probabilities, are likeliest: the root of a falling derivative."""
    chances = np.exp(labels - labels.max(axis=1, keepdims=True))
    low, high = 1e-6, 1 - 1e-6
    for _ in range(50):
        middle = (low + high) / 2
        slope = ((chances[:, 0] - chances[:, 1]) / (middle * chances[:, 0] + (1 - middle) * chances[:, 1])).sum()
        low, high = (middle, high) if slope > 0 else (low, middle)
    return (low + high) / 2


def fitted(kind: str, seen: Cached, seed: int = 0) -> Gate:
    """The gate of this kind that makes the places not held back likeliest, stopped where the held ones are.

    It starts near the best constant share, where the paper's code starts near one half.
    """
    share = best_share(seen.labels[~seen.held])
    start = np.log(share / (1 - share))
    size = seen.chances.shape[1] // 2 if seen.chances.shape[1] else 1
    none = np.zeros(0, np.float32)
    if kind == "constant-scalar":
        return Gate(kind, (np.zeros((0, 1), np.float32),), (np.full(1, start, np.float32),), none, none)
    learner = Learner.new(kind, seen, size, float(start), seed)
    return learner.fit(seen)


class Learner:
    """A gate while it is fitted: its arrays, and Adam's two moments of each."""

    def __init__(self, kind: str, arrays: list[Singles], centre: Singles, scale: Singles, seed: int) -> None:
        self.kind, self.arrays, self.centre, self.scale = kind, arrays, centre, scale
        self.moments = [(np.zeros_like(a), np.zeros_like(a)) for a in arrays]
        self.rng = np.random.default_rng(seed)
        self.steps = 0

    @classmethod
    def new(cls, kind: str, seen: Cached, size: int, start: float, seed: int) -> Learner:
        """Random layers, as torch's Linear draws them, over standardized inputs."""
        rng = np.random.default_rng([seed, 1])
        shape = (seen.inputs.shape[1], *HIDDEN[kind.split("-")[0]], size)
        arrays: list[Singles] = []
        for last, (a, b) in enumerate(pairwise(shape), start=2):
            reach = 1 / np.sqrt(max(a, 1))
            arrays.append(rng.uniform(-reach, reach, (a, b)).astype(np.float32))
            bias = rng.uniform(-reach, reach, b) if last < len(shape) else np.full(b, start)
            arrays.append(bias.astype(np.float32))
        learnt = seen.inputs[~seen.held]
        scale = np.sqrt(learnt.var(axis=0) + 1e-5)
        return cls(kind, arrays, learnt.mean(axis=0), scale, seed)

    def gate(self, arrays: list[Singles]) -> Gate:
        """These arrays as a gate."""
        return Gate(self.kind, tuple(arrays[::2]), tuple(arrays[1::2]), self.centre, self.scale)

    def fit(self, seen: Cached) -> Gate:
        """Steps until the held places gain no more, or the budget is used up."""
        train, held = np.flatnonzero(~seen.held), np.flatnonzero(seen.held)
        cost = 6.0 * BATCH * (sum(a.size for a in self.arrays) + 10 * (seen.inputs.shape[1] + seen.chances.shape[1]))
        limit = int(np.clip(BUDGET / cost, 40, 1500))
        every = max(4, limit // LOOKS)
        held = self.rng.permutation(held)[: BATCH * max(1, every // 2)]
        best, least, since = [a.copy() for a in self.arrays], self.loss(seen, held), 0
        while self.steps < limit and since < PATIENCE:
            for _ in range(every):
                self.step(seen, self.rng.choice(train, min(BATCH, len(train)), replace=False))
            now = self.loss(seen, held)
            since += 1
            if now < least:
                best, least, since = [a.copy() for a in self.arrays], now, 0
        return self.gate(best)

    def loss(self, seen: Cached, rows: NDArray[np.int64]) -> float:
        """The mean negative log-probability of the labels of these places."""
        return sum(self.gradient(seen, part, False)[0] * len(part) for part in _parts(rows)) / max(1, len(rows))

    def step(self, seen: Cached, rows: NDArray[np.int64]) -> None:
        """One step of Adam on these places."""
        _, gradients = self.gradient(seen, rows)
        self.steps += 1
        rate = CONSTANT_RATE if self.kind.startswith("constant") else RATE
        rate *= np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for array, gradient, (first, second) in zip(self.arrays, gradients, self.moments, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            array -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))

    def gradient(self, seen: Cached, rows: NDArray[np.int64], wanted: bool = True) -> tuple[float, list[Singles]]:
        """The mean loss of these places, and its derivative by every array."""
        layers = [(seen.inputs[rows] - self.centre) / self.scale]
        weights, biases = self.arrays[::2], self.arrays[1::2]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            layers.append(np.maximum(layers[-1] @ weight + bias, 0))
        share = 1 / (1 + np.exp(-(layers[-1] @ weights[-1] + biases[-1])))
        loss, slope = self._scalar(seen, rows, share) if share.shape[1] == 1 else self._vector(seen, rows, share)
        if not wanted:
            return loss, []
        slope = (slope * share * (1 - share) / len(rows)).astype(np.float32)
        gradients: list[Singles] = []
        for place in range(len(weights) - 1, -1, -1):
            gradients += [slope.sum(axis=0), layers[place].T @ slope]
            if place:
                slope = (slope @ weights[place].T) * (layers[place] > 0)
        return loss, gradients[::-1]

    def _scalar(self, seen: Cached, rows: NDArray[np.int64], share: Any) -> tuple[float, Any]:
        labels = seen.labels[rows]
        top = labels.max(axis=1, keepdims=True)
        chances = np.exp(labels - top)
        mixed = share[:, 0] * chances[:, 0] + (1 - share[:, 0]) * chances[:, 1]
        return float(-(np.log(mixed) + top[:, 0]).mean()), -((chances[:, 0] - chances[:, 1]) / mixed)[:, None]

    def _vector(self, seen: Cached, rows: NDArray[np.int64], share: Any) -> tuple[float, Any]:
        size = seen.chances.shape[1] // 2
        large, small = seen.chances[rows, :size], seen.chances[rows, size:]
        mixed, at = share * large + (1 - share) * small, np.arange(len(rows))
        total, there = mixed.sum(axis=1), np.maximum(mixed[at, seen.ids[rows]], 1e-30)
        slope = (large - small) / total[:, None]
        slope[at, seen.ids[rows]] -= (large - small)[at, seen.ids[rows]] / there
        return float(-np.log(there / total).mean()), slope


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[at : at + 4 * BATCH] for at in range(0, len(rows), 4 * BATCH)]
