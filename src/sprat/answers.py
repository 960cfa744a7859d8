"""Reads the answer out of a reply, so that replies can be compared: a letter, a number, a tool call, or the text."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from .core import Reply

_LETTER = re.compile(
    r"answer is:?\s*\(?\**\(?([A-Z])\b|\\boxed\{\(?([A-Z])\)?\}|^\s*\(?([A-Z])\)?[.:]?\s*$", re.MULTILINE
)
_MARKED = re.compile(
    r"####\s*(\S[^\n]*)|\\boxed\{([^{}]+)\}|(?:final )?answer(?: is)?:?\s*\$?(-?[\d][\d,./]*)", re.IGNORECASE
)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def final_answer(reply: Reply) -> str:
    """What the reply settles on, in a form that can be compared.

    Tool calls by name and canonical arguments; else a marked answer ("answer is (B)", "#### 18", a boxed one), else
    the last number of a reply of several words, else the text without case and spacing.
    """
    if reply.tool_calls:
        return json.dumps([canonical_call(c) for c in reply.tool_calls], sort_keys=True)
    return _settled(reply.text or "")


@lru_cache(maxsize=1 << 14)
def _settled(text: str) -> str:
    letters = list(_LETTER.finditer(text))
    if letters:
        return next(g for g in letters[-1].groups() if g)
    marks = list(_MARKED.finditer(text))
    if marks:
        return number_or_text(next(g for g in marks[-1].groups() if g))
    numbers = _NUMBER.findall(text)
    if numbers and len(text.split()) > 6:
        return number_or_text(numbers[-1])
    return number_or_text(text)


def canonical_call(call: object) -> object:
    """A tool call as its name and arguments, whatever order or spacing these were written in."""
    function = call.get("function", call) if isinstance(call, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    arguments = function.get("arguments", "")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = arguments.strip()
    return [function.get("name", ""), arguments]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def number_or_text(text: str) -> str:
    """A number in its shortest form ("1,200.0" and "1200" agree), else the text without case and spacing."""
    trimmed = text.strip().strip("$. ").replace(",", "")
    try:
        return f"{float(trimmed):.12g}"
    except ValueError:
        return " ".join(text.lower().split()).strip(" .")
