"""Reads the number that a reply settles on: marked by ####, a box or "answer is", else the last one.

Checked on signs, thousands, units, LaTeX, fractions, powers and dates, and on GSM8K's recorded replies.
"""

from __future__ import annotations

import re
import unicodedata

_SIGNS = {"−": "-", "–": "-", "﹣": "-", "－": "-", "⁄": "/", "\u00a0": " ", "\u202f": " ", "\u2009": " "}
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{?\s*(-?[\d.]+)\s*\}?\s*\{?\s*([\d.]+)\s*\}?")
_MIXED = re.compile(r"(?<![\d./])(\d+)\s+(\d+)/(\d+)(?![\d/])")
_SENTENCE = re.compile(r"(?<=[\w)%$*}])\.(?:\s|$)")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\,| )(?=\d{3}(?!\d))")
_PLAIN = r"(?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?"
_NUMBER = re.compile(
    rf"(?<![\w.])(-\s?)?\$?\s?({_PLAIN})(?:\s*/\s*({_PLAIN})(?![\w/]))?(?:\s*(?:\\times|[×x*])\s*10\^\{{?(-?\d+)\}}?)?",
    re.IGNORECASE,
)
_MARKS = (
    re.compile(r"####\s*([^\n]+)"),
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"\banswer(?:\s+is|\s*:|\s*=)+\s*(?:\\\(|\$|\*|\s|[a-z]\s*=)*([^\n]*)", re.IGNORECASE),
)


def numbers(text: str) -> list[float]:
    """Every number in a text, in order; a fraction is one number, the minus in a range or a date is none."""
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    text = _VULGAR.sub(lambda m: f" {unicodedata.normalize('NFKC', m[0]).replace('⁄', '/')}", text)
    text = _SUPERSCRIPT.sub(lambda m: "^" + m[0].translate(_POWERS), text)
    text = _MIXED.sub(_mixed, _FRACTION.sub(r"\1/\2", text))
    while (joined := _THOUSANDS.sub("", text)) != text:
        text = joined
    found: list[float] = []
    for m in _NUMBER.finditer(text):
        sign, whole, below, power = m.groups()
        if m.start() and text[m.start() - 1] == "^":
            continue
        value = float(whole) / float(below) if below and float(below) else float(whole)
        value *= 10.0 ** min(300, int(power)) if power else 1.0
        found.append(-value if sign and _minus(sign, text[: m.start()]) else value)
    return found


def _minus(sign: str, before: str) -> bool:
    """Whether it is a minus: in "a-5", "5 - 3", "5-10" and a list's "- 5" it is none; in "x = - 5" it is."""
    last = before.rstrip()[-1:]
    if sign != "-":
        return last in ("=", "(")
    return not (last.isdigit() or last == ")" or before[-1:].isalpha())


def _mixed(m: re.Match[str]) -> str:
    whole, above, below = int(m[1]), int(m[2]), int(m[3])
    return str(whole + above / below) if above < below else m[0]


def final_number(text: str) -> float | None:
    """The number that a text settles on: the last marked one, else its last one; None where there is none."""
    for mark in _MARKS:
        for said in reversed(mark.findall(text)):
            if found := numbers(_SENTENCE.split(said, maxsplit=1)[0].rpartition("=")[2]):
                return found[0]
    found = numbers(text)
    return found[-1] if found else None


def same_number(reply: str, target: str, tolerance: float = 0.0) -> float:
    """1 if both settle on numbers at most `tolerance` apart (beyond rounding), else 0."""
    said, wanted = final_number(reply), final_number(target)
    if said is None or wanted is None:
        return 0.0
    return float(abs(said - wanted) <= tolerance + 1e-9 * max(1.0, abs(wanted)))
