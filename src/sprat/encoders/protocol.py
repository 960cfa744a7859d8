"""The one thing that every text encoder is: a name, a width, and texts to unit rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Texts to vectors; frozen, so that the same text always has the same row whatever its neighbours."""

    @property
    def name(self) -> str:
        """Which encoder this is, version and fitted state included: rows of one name may be compared and cached."""
        ...

    @property
    def dim(self) -> int:
        """Length of a row."""
        ...

    def encode(self, texts: Sequence[str]) -> Rows:
        """Rows (n, dim), float32, each of length one; BadInput where `texts` is not a sequence of str."""
        ...


def check_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list; BadInput for a single string or for anything in it that is not a str."""
    from sprat.errors import BadInput

    if isinstance(texts, str):
        raise BadInput("encode() takes a list of texts and was given one string.", hint="Write encode([text]).")
    found = list(texts)
    for i, text in enumerate(found):
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadInput(f"encode() takes texts; item {i} is {type(text).__name__}.", hint="Pass str only.")
    return found


def unit(rows: Rows) -> Rows:
    """Rows (n, dim) scaled to length one; a row of zeros becomes the first axis."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    zero = norms < 1e-12
    out = (rows / np.where(zero, 1.0, norms)[:, None]).astype(np.float32)
    if zero.any():
        out[zero] = 0.0
        out[zero, 0] = 1.0
    return out
