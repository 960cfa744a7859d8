"""Reads the letter of a multiple-choice answer out of a reply, or the one choice whose text it settles on.

Checked on hand cases and against MMLU-Pro's own extraction on its recorded replies (tests/measure/test_grade.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .exact import normalised

_OPEN = r"[\s*_`$]*(?:\\boxed\{|\\text(?:bf)?\{|\\\(|[(\[{])*[\s*_`$]*"
_BOUND = r"(?![\w'’])"
_ANSWER = re.compile(
    rf"\b(?:answer|choice|option)\b[\s*_]*(?:\bis\b|:|=)[\s*_:]*(?:(?:option|choice|letter)\s+)?{_OPEN}([A-Za-z]){_BOUND}"
    r"(?=(?P<after>[^\n]{0,12}))",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text(?:bf)?\{)?\s*\(?([A-Z])\)?\s*\}")
_ALONE = re.compile(rf"^(?:(?:option|choice|letter|answer)\s)?{_OPEN}([A-Z])[)\].:*_`}}\s]*$", re.IGNORECASE)
_LEADING = re.compile(r"^[\s*_`]*(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Z])[).:](?=\s|\*|$))")
_BRACKETED = re.compile(r"[(\[]([A-Z])[)\]]")
_WORDS = re.compile(r"\s+(?!because\b|since\b|as\b|which\b|and\b|or\b)[a-z]", re.ASCII)
_EITHER = re.compile(r"^[\s)\]*]*(?:or|and|/)\s*\(?([A-Z])\b", re.IGNORECASE)


def letter(text: str, choices: Sequence[str] = (), count: int | None = None) -> str | None:
    """The letter that a reply settles on, or None: also for two at once, and letters beyond the choices.

    "answer is (B)", a box or a lone letter count first, the last of them; then a leading or the only bracketed letter;
    then the one choice whose text the reply, or its last line, is or holds.
    """
    known = count or len(choices) or 26
    for found in (_said(text), _lone(text)):
        if found is not None:
            return found if found and ord(found) - 65 < known else None
    return _by_text(text, choices)


def _said(text: str) -> str | None:
    """After "answer is", or boxed: the last; "" where it names two."""
    marks = [(m.start(), m[1].upper(), m["after"], m[1]) for m in _ANSWER.finditer(text)]
    marks = [m for m in marks if not _article(m[3], m[2])]
    marks += [(m.start(), m[1], "", m[1]) for m in _BOXED.finditer(text)]
    if not marks:
        return None
    _, found, after, _ = max(marks)
    other = _EITHER.match(after)
    return "" if other and other[1].upper() != found else found


def _article(letter: str, after: str) -> bool:
    """Whether it is a word, as in "the answer is a dog" or "is I think"; in lower case, no space may follow."""
    return (letter in "aiAI" and _WORDS.match(after) is not None) or (letter.islower() and after[:1] == " ")


def _lone(text: str) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    for line in (lines[-1:] + lines[:1]) if lines else ():
        if alone := _ALONE.match(line.strip()):
            return alone[1].upper()
    if leading := _LEADING.match(text):
        return next(g for g in leading.groups() if g).upper()
    bracketed = set(_BRACKETED.findall(text))
    return bracketed.pop() if len(bracketed) == 1 else None


def _by_text(text: str, choices: Sequence[str]) -> str | None:
    wanted = [normalised(c) for c in choices]
    lines = [line for line in text.strip().splitlines() if line.strip()]
    for part in (text, lines[-1] if lines else ""):
        said = f" {normalised(part)} "
        equal = [i for i, w in enumerate(wanted) if w and said.strip() == w]
        held = [i for i, w in enumerate(wanted) if w and f" {w} " in said]
        # "New York City" holds "New York" too: only the longest counts.
        held = [i for i in held if not any(i != j and wanted[i] in wanted[j] for j in held)]
        for found in (equal, held):
            if len(found) == 1:
                return chr(65 + found[0])
    return None


def same_choice(reply: str, target: str, choices: Sequence[str] = ()) -> float:
    """1 if the reply settles on the target: a letter, or the text of one of the choices."""
    wanted = letter(target, choices)
    return float(wanted is not None and letter(reply, choices) == wanted)
