"""Gopher's rules of repetition: lines, paragraphs and n-grams that come again.

Rae et al., arXiv 2112.11446, table A1. As in datatrove, repeated n-grams (5 to 10 words) are counted from left to right
without overlap, and shares are of the text's characters. N-grams are compared by 64-bit hashes. Checked against the
definition word by word (tests/curate/test_heuristics.py) and against datatrove.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import nan

import numpy as np
from numpy.typing import NDArray

from .rules import Found, Limit, Rule
from .words import View

_PARAGRAPHS, _LINES = re.compile(r"\n{2,}"), re.compile(r"\n+")
_TOP, _AGAIN = (2, 3, 4), (5, 6, 7, 8, 9, 10)
_STEP = np.uint64(0x9E3779B97F4A7C15)


def again(pieces: Sequence[str]) -> tuple[int, int]:
    """How many pieces were there before, and their characters."""
    if len(set(pieces)) == len(pieces):
        return 0, 0
    seen, count, characters = set[str](), 0, 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        else:
            seen.add(piece)
    return count, characters


def measure(view: View) -> Found:
    """The thirteen shares of a text; NaN for an empty one."""
    text, size = view.text, len(view.text)
    scores: dict[str, float] = {}
    for name, pieces in (("paragraph", _PARAGRAPHS.split(text.strip())), ("line", _LINES.split(text))):
        count, characters = again(pieces)
        scores[f"repetition.{name}s"] = count / len(pieces)
        scores[f"repetition.{name}_characters"] = characters / size if size else nan
    words = view.words
    ends = np.concatenate([[0], np.cumsum(words.lengths, dtype=np.int64)])
    keys = _mixed(words.numbers.astype(np.uint64) + np.uint64(1))
    grams, values, times, unique = keys, keys, np.zeros(0, np.int64), False
    for n in range(2, _AGAIN[-1] + 1):
        if not unique:  # where no n-gram comes twice, no longer one does
            grams = _mixed(grams[:-1] * _STEP + keys[n - 1 :]) if len(grams) > 1 else grams[:0]
            values, times = _counted(grams)
            unique = len(values) == len(grams)
        if n in _TOP:
            at, most = (0, 1) if unique else _most(grams, values, times)
            characters = (int(ends[at + n] - ends[at]) + n - 1) * most if words.count >= n else 0
            scores[f"repetition.top_{n}_gram"] = characters / size if size else nan
        else:
            characters = 0 if unique else _repeated(grams, values[times > 1], ends, n)
            scores[f"repetition.repeated_{n}_grams"] = characters / size if size else nan
    return Found(scores)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return values ^ (values >> np.uint64(27))


def _counted(grams: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct values, ascending, and how often each is there."""
    if not len(grams):
        return grams, np.zeros(0, np.int64)
    ordered = np.sort(grams)
    new = np.empty(len(grams) + 1, bool)
    new[0] = new[-1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:-1])
    runs = np.flatnonzero(new)
    return ordered[runs[:-1]], runs[1:] - runs[:-1]


def _among(grams: NDArray[np.uint64], few: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which grams are among a few ascending values."""
    return few[np.searchsorted(few, grams).clip(max=len(few) - 1)] == grams


def _most(grams: NDArray[np.uint64], values: NDArray[np.uint64], times: NDArray[np.int64]) -> tuple[int, int]:
    """Where the most frequent n-gram first stands, and how often; the first of equals."""
    most = int(times.max())
    return int(_among(grams, values[times == most]).argmax()), most


def _repeated(grams: NDArray[np.uint64], several: NDArray[np.uint64], ends: NDArray[np.int64], n: int) -> int:
    """Characters of n-grams that stood before, from left to right, none overlapping the one before it."""
    seen, free, total = set[int](), 0, 0
    for at in np.flatnonzero(_among(grams, several)).tolist():  # the others can't have stood before
        if at < free:
            continue
        gram = int(grams[at])
        if gram in seen:
            total += int(ends[at + n] - ends[at])
            free = at + n
        else:
            seen.add(gram)
    return total


RULE = Rule(
    "repetition",
    measure,
    (
        Limit("repetition.paragraphs", at_most=0.3),
        Limit("repetition.paragraph_characters", at_most=0.2),
        Limit("repetition.lines", at_most=0.3),
        Limit("repetition.line_characters", at_most=0.2),
        *(Limit(f"repetition.top_{n}_gram", at_most=m) for n, m in zip(_TOP, (0.2, 0.18, 0.16), strict=True)),
        *(
            Limit(f"repetition.repeated_{n}_grams", at_most=m)
            for n, m in zip(_AGAIN, (0.15, 0.14, 0.13, 0.12, 0.11, 0.1), strict=True)
        ),
    ),
)
