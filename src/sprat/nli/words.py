"""How the small model reads a text: words in one canonical form, stems, and marks (number, negation, name, ...).

Numbers are one word with their points and commas, and spelled ones are digits ("seven" is "7"); "isn't" is "is not".
Checked by hand (tests/nli/test_words.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..encoders.protocol import Rows
from ..encoders.static import token_table
from ..words import stem

Ids = NDArray[np.int64]
_WORD = re.compile(r"\d[\d.,:]*\d|(?:[^\W\d_]\.){2,}|[^\W_]+(?:['’][^\W\d_]+)?|[^\w\s]")
_END = frozenset('.!?:;"“”')
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SPELLED = {w: str(n) for n, w in enumerate(_UNITS.split())} | {w: str(10 * n) for n, w in enumerate(_TENS.split(), 2)}
_NEGATING = (
    "no not none nobody nothing never neither nor nowhere without cannot hardly barely rarely scarcely seldom refuse "
    "refused refuses fail failed fails lack lacked lacks lacking unable except unless deny denied denies"
)
_QUANTIFYING = (
    "all every each everyone everything always any some most many much several few little only both half more less "
    "least entire whole another other"
)
_NEGATIONS, _QUANTIFIERS = frozenset(_NEGATING.split()), frozenset(_QUANTIFYING.split())
_SHORT = {"wo": "will", "ca": "can", "sha": "shall"}
MARKS = 7  # number, negation, quantifier, name, punctuation, rarity, in several pieces


@dataclass(frozen=True)
class Text:
    """A text's words: which form and which stem each has (numbers over all texts read together), and marks (n, 7)."""

    forms: Ids
    stems: Ids
    marks: Rows


@dataclass(frozen=True)
class Page:
    """Texts read together: their words, and a unit vector (d,) of each form."""

    texts: tuple[Text, ...]
    vectors: Rows


def split(text: str) -> list[tuple[str, bool]]:
    """The canonical words of a text, and whether each is a name: a capital that no sentence's beginning explains."""
    out: list[tuple[str, bool]] = []
    begins = True
    for found in _WORD.finditer(text):
        word = found[0]
        low = word.lower().replace("’", "'")
        name = word[0].isupper() and not begins and low != "i"
        begins = word in _END
        if low.endswith("n't"):
            out += [(_SHORT.get(low[:-3], low[:-3] or "do"), False), ("not", False)]
        elif low == "cannot":
            out += [("can", False), ("not", False)]
        elif "'" in low[1:]:
            stem, _, rest = low.partition("'")
            out.append((stem, name))
            if rest != "s":
                out.append(({"m": "am", "re": "are", "ve": "have", "ll": "will", "d": "would"}.get(rest, rest), False))
        elif "." in low and not low[0].isdigit() and len(low) > 1:
            out.append((low.replace(".", ""), True))
        elif low[0].isdigit():
            plain = low.replace(",", "")
            out.append((plain.lstrip("0") or "0", False))
        else:
            out.append((_SPELLED.get(low, low), name))
    return out


@lru_cache(maxsize=50_000)
def _known(form: str) -> tuple[str, tuple[int, ...], tuple[float, ...]]:
    splitter, _ = token_table()
    ids = tuple(splitter.ids(form)) or (len(splitter.vocabulary),)
    digit = any(c.isdigit() for c in form)
    marks = (
        float(digit), float(form in _NEGATIONS), float(form in _QUANTIFIERS), 0.0,
        float(not form[0].isalnum()), 0.0, float(len(ids) > 1),
    )  # fmt: skip
    return form if digit else stem(form), ids, marks


def read(texts: Sequence[str]) -> Page:
    """The words of every text; a text without any has one empty word, so that nothing has length 0."""
    forms, stems = dict[str, int](), dict[str, int]()
    words = [split(t) or [("\0", False)] for t in texts]
    flat: list[int] = []
    starts: list[int] = []
    of_stem: list[int] = []
    marks: list[tuple[float, ...]] = []
    for said in words:
        for form, _ in said:
            if form not in forms:
                forms[form] = len(forms)
                root, ids, told = _known(form)
                of_stem.append(stems.setdefault(root, len(stems)))
                starts.append(len(flat))
                flat += ids
                marks.append(told)
    _, table = token_table()
    sums = np.add.reduceat(table[np.array(flat, np.int64)], starts, axis=0) if flat else np.zeros((0, 1), np.float32)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    told = np.array(marks, np.float32).reshape(-1, MARKS)
    told[:, 5] = norms[:, 0]
    stem_of = np.array(of_stem, np.int64)
    out: list[Text] = []
    for said in words:
        at = np.array([forms[f] for f, _ in said], np.int64)
        own = told[at]
        own[:, 3] = [name for _, name in said]
        out.append(Text(at, stem_of[at], own))
    return Page(tuple(out), (sums / np.maximum(norms, 1e-6)).astype(np.float32))
