"""Numbers that can be read off a request and its reply without asking anyone: length, form, sums that are wrong.

Every feature is finite, and 0 where the reply does not show it; so one that came as a letter alone can be read too.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..answers import final_answer
from ..core import Reply, Request
from ..errors import BadInput
from ..sums import calculate, equations

Floats = NDArray[np.float64]

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_MARK = re.compile(r"####|\\boxed\{|answer is\b|(?:final )?answer:", re.IGNORECASE)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|likely|not sure|unsure|unclear|however|assum\w+|approximately|about|around|"
    r"cannot|can't|unable|sorry|don't know|seems?|appears?|might|could be|i think)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.?!](?:\s|$)")
_READ = 20_000  # characters of a text in which numbers and sums are looked for

NAMES = (
    "log tokens", "log lines", "marked", "marks", "log numbers", "share of digits", "sums", "wrong sums",
    "share of wrong sums", "hedges", "ran out", "broken off", "answer length", "answer is a number",
    "answer is whole", "answer is negative", "log answer", "answer is in the prompt", "answer is said before",
    "says nothing", "repeats itself", "log-probability", "lowest log-probability", "has log-probabilities",
    "prompt's log length", "prompt's log numbers", "prompt's sentences", "prompt's largest number",
)  # fmt: skip
_LOGGED = {
    "log tokens": "tokens", "log lines": "lines", "log numbers": "numbers", "sums": "sums",
    "answer length": "characters of the answer", "log answer": "size of the answer",
    "prompt's log length": "prompt's characters", "prompt's log numbers": "prompt's numbers",
    "prompt's largest number": "prompt's largest number",
}  # fmt: skip
_WHOLE = {
    "lines", "numbers", "sums", "characters of the answer", "prompt's characters", "prompt's numbers", "marks",
    "wrong sums", "hedges", "prompt's sentences",
}  # fmt: skip
_YES = {
    "marked": "its answer is marked", "ran out": "it ran out of tokens", "broken off": "it is broken off",
    "answer is a number": "its answer is a number", "answer is whole": "its answer is a whole number",
    "answer is negative": "its answer is negative", "answer is in the prompt": "its answer is in the prompt",
    "answer is said before": "its answer was said before", "says nothing": "it says nothing",
    "has log-probabilities": "it has log-probabilities",
}  # fmt: skip


def in_words(name: str, above: bool, limit: float) -> str:
    """A bound on a feature as people read it: logarithms undone, whole for counts, and what is yes or no said so."""
    if name in _YES:
        return _YES[name] if above else f"not: {_YES[name]}"
    told = float(np.expm1(limit)) if name in _LOGGED else limit
    said = _LOGGED.get(name, name)
    return f"{said} {'>' if above else '<='} {np.floor(told) if said in _WHOLE else told:,.4g}"


def tokens_of(reply: Reply) -> float:
    """The reply's length in tokens: as billed, else as given, else a quarter of its characters."""
    if reply.usage is not None and reply.usage.output_tokens is not None:
        return float(reply.usage.output_tokens)
    return float(len(reply.tokens)) if reply.tokens is not None else len(reply.text or "") / 4


def features(request: Request, reply: Reply) -> Floats:
    """The features (len(NAMES),) of a reply to a request."""
    spoken = reply.text or "", tokens_of(reply), reply.finish, reply.logprobs or ()
    return _features(request.text, *spoken, final_answer(reply), bool(reply.tool_calls))


# Folds, candidates and thresholds read the same replies again and again.
@lru_cache(maxsize=1 << 14)
def _features(
    asked: str, text: str, tokens: float, finish: str | None, logprobs: tuple[float, ...], answer: str, called: bool
) -> Floats:
    lines = [line for line in text.splitlines() if line.strip()]
    numbers, given = numbers_in(text), numbers_in(asked)
    sums = checked_sums(text)
    wrong = sum(not right for right in sums)
    value = _number(answer)
    marks, end, words = _MARK.findall(text), text.rstrip(), text.split()
    found = np.array(
        [
            np.log1p(tokens),
            np.log1p(len(lines)),
            bool(marks),
            min(len(marks), 4),
            np.log1p(len(numbers)),
            sum(c.isdigit() for c in text) / max(1, len(text)),
            np.log1p(len(sums)),
            min(wrong, 5),
            wrong / max(1, len(sums)),
            min(len(_HEDGE.findall(text)), 5),
            finish in ("length", "max_tokens"),
            bool(end) and (text.count("<<") != text.count(">>") or end[-1] in "=+-*/(,:<"),
            np.log1p(len(answer)),
            value is not None,
            value is not None and value == round(value),
            value is not None and value < 0,
            0.0 if value is None else np.log1p(abs(value)),
            value is not None and value in given,
            value is not None and value in numbers[:-1],
            not text.strip() and not called,
            1 - len(set(words)) / len(words) if words else 0.0,
            max(-20.0, float(np.mean(logprobs))) if logprobs else 0.0,
            max(-20.0, min(logprobs)) if logprobs else 0.0,
            bool(logprobs),
            np.log1p(len(asked)),
            np.log1p(len(given)),
            min(len(_SENTENCE.findall(asked)), 20),
            np.log1p(max(map(abs, given), default=0.0)),
        ],
        dtype=np.float64,
    )
    found.setflags(write=False)
    return found


def numbers_in(text: str) -> list[float]:
    """The numbers written in a text, in order, up to 10^15."""
    found: list[float] = [float(n.replace(",", "")) for n in _NUMBER.findall(text[:_READ])]
    return [n for n in found if abs(n) <= 1e15]


def checked_sums(text: str) -> list[bool]:
    """Whether each `a op b = c` in the text is right to half a per cent; what cannot be read is left out."""
    checked: list[bool] = []
    for formula, told in equations(text[:_READ]):
        try:
            value, said = float(calculate(formula)), float(told)
        except (BadInput, OverflowError):
            continue
        checked.append(abs(value - said) <= 0.005 * max(1.0, abs(said)))
    return checked


def _number(answer: str) -> float | None:
    found = re.match(r"^[^\d-]{0,3}(-?\d[\d,]*(?:\.\d+)?)", answer)
    return float(found[1].replace(",", "")) if found and len(found[1]) <= 15 else None
