"""A rule measures a text; limits on what it measured say whether the text is kept, and which of them did not hold.

Measuring and deciding are apart: every measure of every text is kept, whatever was decided, so that limits may be moved
afterwards without a look at the texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

from ..errors import BadInput, nearest
from .words import View


@dataclass(frozen=True, slots=True)
class Limit:
    """A text is kept only where the score lies from `at_least` to `at_most`; a score that is unknown (NaN) passes."""

    score: str
    at_least: float = -inf
    at_most: float = inf

    def holds(self, value: float) -> bool:
        """Whether a text of this value is kept."""
        return not (value < self.at_least or value > self.at_most)

    def __str__(self) -> str:
        low, high = f"at least {self.at_least:g}", f"at most {self.at_most:g}"
        if isfinite(self.at_least) and isfinite(self.at_most):
            return f"{self.score} {low} and {high}"
        return f"{self.score} {low if isfinite(self.at_least) else high if isfinite(self.at_most) else 'unlimited'}"


@dataclass(frozen=True, slots=True)
class Edit:
    """A line that was changed or taken out: its number in the text as it came (from 0), and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule measured, by score; where it edits, the text that it left and every edit."""

    scores: dict[str, float]
    text: str | None = None
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True)
class Rule:
    """A named rule: what it measures of a text, and its limits, the first that fails being named first."""

    name: str
    measure: Callable[[View], Found]
    limits: tuple[Limit, ...]

    def scores(self) -> tuple[str, ...]:
        """The scores in order."""
        return tuple(limit.score for limit in self.limits)

    def limited(self, given: Mapping[str, Any]) -> Rule:
        """The rule under other limits: {"alpha": {"at_least": 0.7}} or {"alpha": False} for none; raises BadInput."""
        own = {limit.score.removeprefix(f"{self.name}."): i for i, limit in enumerate(self.limits)}
        limits = list(self.limits)
        for key, value in given.items():
            if key not in own:
                raise BadInput(f"The rule '{self.name}' measures no '{key}'.", hint=nearest(key, own))
            limits[own[key]] = _limit(limits[own[key]].score, value)
        return replace(self, limits=tuple(limits))


def _limit(score: str, value: Any) -> Limit:
    if value is False:
        return Limit(score)
    if not isinstance(value, dict) or not value or not set(value) <= {"at_least", "at_most"}:
        raise BadInput(
            f"The limit of '{score}' is {value!r}; it is a table of at_least and at_most, or false for none.",
            hint=f"Write: {score.split('.')[-1]} = {{ at_least = 0.5 }}",
        )
    low, high = value.get("at_least", -inf), value.get("at_most", inf)
    if any(isinstance(v, bool) or not isinstance(v, int | float) or v != v for v in (low, high)) or low > high:
        raise BadInput(f"The limit of '{score}' is {value!r}; at_least and at_most are numbers, the first no higher.")
    return Limit(score, float(low), float(high))


@dataclass(frozen=True, slots=True)
class Judged:
    """A text after all rules: kept or not, the limits that failed in order, its scores, and what was edited."""

    text: str
    kept: bool
    reasons: tuple[str, ...]
    scores: dict[str, float]
    edits: tuple[Edit, ...]


def judge(text: str, rules: Sequence[Rule], words: str = "whitespace") -> Judged:
    """Every rule on a text, in order; each reads what an earlier one left of it."""
    view, scores, edits, reasons = View(text, words), dict[str, float](), list[Edit](), list[str]()
    places: list[int] | None = None  # of the present lines in the text as it came
    for rule in rules:
        found = rule.measure(view)
        scores.update(found.scores)
        reasons += [limit.score for limit in rule.limits if not limit.holds(found.scores[limit.score])]
        if found.text is not None and found.text != view.text:
            numbers = places or list(range(len(view.lines)))
            edits += [Edit(numbers[e.line], e.why) for e in found.edits]
            gone = {e.line for e in found.edits if e.why not in CHANGES}
            places = [n for i, n in enumerate(numbers) if i not in gone]
            view = view.edited(found.text)
    return Judged(view.text, not reasons, tuple(reasons), scores, tuple(edits))


CHANGES = frozenset({"c4.citation", "c4.space"})  # edits that leave the line in its place
