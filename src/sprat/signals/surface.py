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
    raw = text.encode("utf-8", "surrogatepass")
    size, words = max(len(raw), 1), max(len(text.split()), 1)
    rates = np.bincount(np.frombuffer(raw, np.uint8), minlength=256) @ _KINDS / size
    spread = log(words)
    head = (log(size), spread, size / words)
    return np.array([*head, *rates, text.count("?"), log(1 + text.count("\n")), spread * spread])


def surfaces(texts: Sequence[str]) -> NDArray[np.float64]:
    """The features (n, 11) of many prompts."""
    return np.array([surface(t) for t in texts], np.float64).reshape(len(texts), len(NAMES))
