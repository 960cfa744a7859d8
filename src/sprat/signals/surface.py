"""Plain features of a prompt's look, from one pass over its bytes: the baseline that every router must beat.

Eleven numbers in a fixed order (NAMES); rates are per byte of UTF-8. Checked against counting by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "log bytes", "log words", "word length", "digits", "capitals", "signs", "mathematics", "not ascii", "questions",
    "lines", "squared log words",
)  # fmt: skip

_KINDS = np.zeros((256, 5), np.float64)
_KINDS[[ord(c) for c in "0123456789"], 0] = 1.0
_KINDS[[ord(c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"], 1] = 1.0
_KINDS[[i for i in range(33, 127) if not chr(i).isalnum()], 2] = 1.0
_KINDS[[ord(c) for c in "=+*/^\\<>"], 3] = 1.0
_KINDS[128:, 4] = 1.0


def surface(text: str) -> NDArray[np.float64]:
    """The features (11,) of one prompt."""
    return surfaces((text,))[0]


def surfaces(texts: Sequence[str]) -> NDArray[np.float64]:
    """The features (n, 11) of many prompts."""
    found = np.empty((len(texts), len(NAMES)))
    counts = np.empty((len(texts), 256))
    for i, text in enumerate(texts):
        raw = text.encode("utf-8", "surrogatepass")
        size, words = max(len(raw), 1), max(len(text.split()), 1)
        spread = log(words)
        counts[i] = np.bincount(np.frombuffer(raw, np.uint8), minlength=256)
        found[i, :3] = log(size), spread, size / words
        found[i, 8:] = text.count("?"), log(1 + text.count("\n")), spread * spread
        found[i, 3:8] = size
    found[:, 3:8] = counts @ _KINDS / found[:, 3:8]
    return found
