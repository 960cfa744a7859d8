"""A key-value cache for transformers that is written in place, each row at its own length.

A row's tokens stand in consecutive slots, from a slot of its own on, so forgetting tokens is a change of lengths alone.
What is ignored is written to one slot past the capacity, which no view shows. Checked against plain forward passes over
the whole text (tests/whitebox/test_torch_session.py).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .library import library

SPARE = 8  # slots at least that a buffer has over; many would slow attention, which reads rows that lie apart


class Layer:
    """Keys and values of one layer, (batch, heads, capacity + 1, dim); `window` is that of its attention, if any."""

    is_compileable = False
    is_croppable = False
    supports_early_init = False

    def __init__(self, window: int | None) -> None:
        self.window = window
        self.is_sliding = window is not None
        self.keys: Any = None
        self.values: Any = None


@cache
def cache_class() -> type[Any]:
    """The subclass of transformers' Cache; made at the first call, since transformers is imported only then."""
    Cache: Any = library("transformers", "A transformers model").Cache

    class InPlace(Cache):  # pyright: ignore[reportUntypedBaseClass]
        """What a model is given as `past_key_values`; `begin` says where the next tokens go."""

        def __init__(self, windows: list[int | None]) -> None:
            super().__init__(layers=[Layer(window) for window in windows])
            self.start: int | None = 0  # where every row stands; None: rows differ
            self.end = 0
            self.cut = False  # one token per row, all rows alike: a window's layer shows its window alone
            self.where: tuple[Any, Any] | None = None

        def begin(self, start: int | None, end: int, cut: bool = False, where: tuple[Any, Any] | None = None) -> None:
            """The next forward writes slots [start, end) of every row, or slot where[1] of row where[0]."""
            self.start, self.end, self.cut, self.where = start, end, cut, where

        def update(self, key_states: Any, value_states: Any, layer_idx: int, *_: Any, **__: Any) -> tuple[Any, Any]:
            """Write the new tokens; what may be attended, as views."""
            layer: Any = self.layers[layer_idx]
            end = self.end
            if layer.keys is None or layer.keys.shape[2] <= end:
                layer.keys = grown(layer.keys, key_states, end)
                layer.values = grown(layer.values, value_states, end)
            keys, values = layer.keys, layer.values
            if self.where is None:
                start = self.start or 0
                keys.narrow(2, start, end - start).copy_(key_states)
                values.narrow(2, start, end - start).copy_(value_states)
                if self.cut and layer.window is not None and end > layer.window:
                    first = end - layer.window
                    return keys.narrow(2, first, layer.window), values.narrow(2, first, layer.window)
            else:
                keys.transpose(1, 2).index_put_(self.where, key_states.transpose(1, 2))
                values.transpose(1, 2).index_put_(self.where, value_states.transpose(1, 2))
            return keys.narrow(2, 0, end), values.narrow(2, 0, end)

        def select(self, rows: Any, start: int, end: int) -> None:
            """Keep these rows of the slots [start, end), which move to the front."""
            for layer in self.layers:
                kept: Any = layer
                if kept.keys is not None:
                    kept.keys = picked(kept.keys, rows, start, end)
                    kept.values = picked(kept.values, rows, start, end)

        def get_seq_length(self, layer_idx: int = 0) -> int:
            return self.start or 0

        def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
            layer: Any = self.layers[layer_idx]
            if self.cut and layer.window is not None and self.end > layer.window:
                return layer.window, self.end - layer.window
            return self.end, 0

    return InPlace


def grown(old: Any, new: Any, end: int) -> Any:
    """A buffer for `end` slots and the one past them, with what `old` held.

    The rest is zeros: slots that a row has not reached are masked, yet a NaN there would spread.
    """
    made = new.new_empty((new.shape[0], new.shape[1], end + max(SPARE, end // 16) + 1, new.shape[3]))
    held = 0
    if old is not None:
        held = old.shape[2] - 1
        made[:, :, :held] = old[:, :, :-1]
    made[:, :, held:] = 0
    return made


def picked(old: Any, rows: Any, start: int, end: int) -> Any:
    """The rows of a buffer, as large as before, its slots [start, end) first."""
    made = old.new_zeros((rows.shape[0], *old.shape[1:]))
    made[:, :, : end - start] = old[:, :, start:end].index_select(0, rows)
    return made
