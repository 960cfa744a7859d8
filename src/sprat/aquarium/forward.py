"""A Llama's forward pass in numpy alone, with a cache of keys and values that can be rolled back row by row.

Paper: arXiv 2302.13971 (rotary positions, RMS norm, gated feed-forward; embeddings are tied here).
Checked against transformers' LlamaForCausalLM: the logits of the three shipped models agree to 1e-4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sprat.aquarium.checkpoint import Floats, Weights
from sprat.errors import BadInput

Integers = NDArray[np.int64]


class TinySession:
    """Rows of text that a model has read: `feed` reads on, `rollback` forgets, `select` picks rows."""

    def __init__(self, weights: Weights, batch: int, capacity: int) -> None:
        head = weights.embed.shape[1] // weights.heads
        self.weights, self.capacity = weights, capacity
        self.lengths: Integers = np.zeros(batch, np.int64)
        # One place more than rows may fill: what is not to be read is written there.
        self.cache = np.zeros((len(weights.layers), 2, batch, weights.heads, capacity + 1, head), np.float32)
        speeds: NDArray[np.float64] = np.power(weights.theta, -np.arange(0, head, 2, dtype=np.int64) / head)
        angles = np.tile(np.outer(np.arange(capacity + 1), speeds), 2)
        self.cos, self.sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def feed(self, ids: NDArray[Any], counts: Integers | None = None, keep: int | None = None) -> Floats:
        """Read `ids` (batch, n) after what was read; the next-token logits after the last `keep` of them (default all).

        Of row r only the last counts[r] ids are read (default: all). Returns (batch, keep, vocabulary).
        """
        batch, n = ids.shape
        kept = n if keep is None else keep
        x = self._read(ids, counts).reshape(batch, n, -1)[:, n - kept :].reshape(batch * kept, -1)
        return (_norm(x, self.weights.epsilon) @ self.weights.unembed).reshape(batch, kept, -1)

    def states(self, ids: NDArray[Any], counts: Integers | None = None) -> Floats:
        """Read as `feed` does; the last token's hidden states, (batch, layers + 1, width), the embedding's first.

        The last layer's are normed, as the head reads them.
        """
        after: list[Floats] = []
        last = _norm(self._read(ids, counts, after), self.weights.epsilon) * self.weights.norm
        found = [x.reshape(*ids.shape, -1)[:, -1] for x in (*after[:-1], last)]
        return np.stack(found, axis=1)

    def _read(self, ids: NDArray[Any], counts: Integers | None, after: list[Floats] | None = None) -> Floats:
        """The residual stream (batch * n, width) of `ids` (batch, n); `after` takes that after each layer, too."""
        weights, (batch, n) = self.weights, ids.shape
        last = self.lengths + (n if counts is None else counts)
        end = int(last.max())
        if end > self.capacity:
            raise BadInput(f"{end} tokens do not fit into a session of {self.capacity}.", hint="Roll back, or shorten.")
        at: Integers = np.add.outer(last, np.arange(-n, 0, dtype=np.int64))
        if counts is not None:
            at = np.where(at < self.lengths[:, None], self.capacity, at)
        rows, half = np.arange(batch, dtype=np.int64).reshape(-1, 1), self.cache.shape[-1] // 2
        cos, sin = self.cos[at][:, :, None, None], self.sin[at][:, :, None, None]
        uneven = n > 1 or bool((at != at[0]).any())
        unseen = np.where(np.arange(end) > at[:, None, :, None], np.float32(-np.inf), np.float32(0)) if uneven else None
        x = weights.embed[ids.reshape(-1)]
        if after is not None:
            after.append(x)
        for layer, (keys, values) in zip(weights.layers, self.cache, strict=True):
            qkv = (_norm(x, weights.epsilon) @ layer.qkv).reshape(batch, n, 3, weights.heads, -1)
            qk = qkv[:, :, :2]
            turned = qk * cos + np.concatenate([-qk[..., half:], qk[..., :half]], axis=-1) * sin
            keys[rows, :, at] = turned[:, :, 1]
            values[rows, :, at] = qkv[:, :, 2]
            scores = turned[:, :, 0].swapaxes(1, 2) @ keys[:, :, :end].swapaxes(2, 3)
            if unseen is not None:
                scores += unseen
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ values[:, :, :end]
            x = x + mixed.swapaxes(1, 2).reshape(batch * n, -1) @ layer.out
            gate, up = np.split(_norm(x, weights.epsilon) @ layer.gate_up, 2, axis=1)
            x = x + (gate * (0.5 + 0.5 * np.tanh(0.5 * gate)) * up) @ layer.down  # the SiLU, without overflow
            if after is not None:
                after.append(x)
        self.lengths = last
        return x

    def rollback(self, n: Integers | int) -> None:
        """Forget the last `n` tokens, one number for all rows or one per row; BadInput where so many were not read."""
        lengths: Integers = np.subtract(self.lengths, n)
        if (lengths < 0).any() or (lengths > self.lengths).any():
            raise BadInput(f"Cannot forget {n} tokens of rows that hold {self.lengths.tolist()}.", hint="Forget fewer.")
        self.lengths = lengths

    def select(self, rows: Integers | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be named more than once."""
        chosen = np.asarray(rows, np.int64)
        self.lengths = self.lengths[chosen]
        end = int(self.lengths.max(initial=0))
        old, shape = self.cache, self.cache.shape
        self.cache = np.zeros((*shape[:2], len(chosen), *shape[3:]), np.float32)
        self.cache[..., :end, :] = old[:, :, chosen, :, :end]

    def close(self) -> None:
        """Free the cache."""
        self.cache = self.cache[:, :, :0]


def _norm(x: Floats, epsilon: float) -> Floats:
    return x / np.sqrt(np.einsum("ij,ij->i", x, x)[:, None] / x.shape[1] + np.float32(epsilon))
