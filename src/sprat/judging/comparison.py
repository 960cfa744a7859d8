"""Models compared two by two on recorded replies: win rates, at equal length too, and how the judge itself behaved.

Whole units are resampled, as in the study. What could not be read is counted and left out, never taken for a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..core import Request
from ..data import Dataset
from ..errors import BadInput
from ..measure.resampling import Estimate, wilson
from ..signals.verdicts import Verdict
from .pairwise import ComparesPairs, Tell
from .wins import controlled_rate, one_sided, strengths, win_rate

FEWEST = 5  # comparisons of which rates are told
SURE = 30  # prompts from which on intervals of strengths hold about as often as they say
SHARE_UNREAD = 0.1
FAR = 0.1  # between a win rate and the same at equal length: see benchmarks/results/length_control.md


class Rate(NamedTuple):
    """A share of n with Wilson's 95 % interval; the value is None where n is 0."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, some: int, n: int) -> Rate:
        """The rate of `some` in n."""
        return cls(some / n, *wilson(some / n, n), n) if n else cls(None, None, None, 0)


@dataclass(frozen=True)
class Paired:
    """Model a against model b by one judge.

    `win_rate` counts ties as one half; `controlled` is the same at equal length; `decided` is the share won of those
    that no tie was. `ties` is of all; `first` and `second` are how often that place won in both orders, which the
    judge's bias is measured by (of all that were not equal). `longer` is the share of decided verdicts for the longer
    reply. `confidence` is the mean over verdicts.
    """

    a: str
    b: str
    n: int
    win_rate: Estimate
    controlled: Estimate | None
    decided: Rate
    ties: Rate
    first: Rate
    second: Rate
    longer: Rate
    confidence: float
    unread: int


@dataclass(frozen=True)
class Strength:
    """A model's Bradley-Terry strength in log-odds against the mean model, with its interval."""

    model: str
    strength: Estimate


@dataclass(frozen=True)
class Comparison:
    """The pairs, the strengths (with three models or more), the rows, and what the judge took."""

    judge: str
    pairs: tuple[Paired, ...]
    strengths: tuple[Strength, ...]
    rows: tuple[dict[str, Any], ...]
    calls: int
    cost: float | None
    unread_calls: int
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """All but the rows, as JSON holds it."""
        told = asdict(self)
        del told["rows"]
        return _plain(told)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if hasattr(value, "_asdict"):
        return value._asdict()
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value  # pyright: ignore[reportUnknownVariableType]


def compare(
    data: Dataset,
    judge: ComparesPairs,
    models: Sequence[str],
    *,
    share_unread: float = SHARE_UNREAD,
    tell: Tell | None = None,
    times: int = 1000,
) -> Comparison:
    """Every two of the models, on the rows where both replied; raises BadInput.

    That is where fewer than 5 rows can be compared, or more than `share_unread` of the verdicts can't be read.
    """
    data.require(models)
    if len(set(models)) < 2:
        raise BadInput("A comparison needs two models.", hint="Write --pairwise a,b.")
    units = data.units
    games: list[tuple[int, int, int]] = []  # row, a, b
    asked: list[tuple[Request, str, str]] = []
    for i, j in combinations(range(len(models)), 2):
        for row, example in enumerate(data):
            a, b = example.reply(models[i]), example.reply(models[j])
            if a is not None and b is not None and a.ok and b.ok and a.text is not None and b.text is not None:
                games.append((row, i, j))
                asked.append((example.request, a.text, b.text))
        _enough(models[i], models[j], sum(g[1:] == (i, j) for g in games))  # before any call is paid for
    verdicts = judge.many(asked, tell)
    unread = sum(v.winner is None for v in verdicts)
    if unread > share_unread * len(verdicts):
        lost = next(v for v in verdicts if v.winner is None)
        said = next((r.error or r.text or "nothing" for r in lost.asks), "nothing")
        raise BadInput(
            f"{unread:,} of {len(verdicts):,} verdicts of {judge.name} can't be read; one says: {said[:120]}",
            hint="Use a model that follows the last line of what it is asked.",
        )
    pairs = [
        _paired(models[i], models[j], [k for k, g in enumerate(games) if g[1:] == (i, j)], asked, verdicts,
                [int(units[g[0]]) for g in games], times)
        for i, j in combinations(range(len(models)), 2)
    ]  # fmt: skip
    ranked, doubts = _ranked(models, games, verdicts, units) if len(models) > 2 else ((), [])
    rows = tuple(
        {"id": data.examples[row].id, "a": models[i], "b": models[j], "winner": v.winner, "confidence": v.confidence,
         "orders": list(v.orders)}
        for (row, i, j), v in zip(games, verdicts, strict=True)
    )  # fmt: skip
    asks = {id(r): r for v in verdicts for r in v.asks}.values()
    spent = [r.cost for r in asks]
    cost = None if any(c is None for c in spent) else sum(c for c in spent if c is not None)
    lost_calls = sum(s is None for v in verdicts for order in v.said for s in order)
    notes = ["A verdict is the judge's opinion; measure it on people's with sprat evaluate judge-the-judge."]
    far = [f"{p.a} and {p.b}" for p in pairs if p.controlled and abs(p.controlled.value - p.win_rate.value) > FAR]
    if far:
        why = "lengths and verdicts go too closely together to trust either alone."
        notes.append(f"At equal length the win rates of {', '.join(far)} are far from the plain ones: {why}")
    return Comparison(judge.name, tuple(pairs), ranked, rows, len(asks), cost, lost_calls, (*notes, *doubts))


def _enough(a: str, b: str, rows: int) -> None:
    if rows < FEWEST:
        raise BadInput(f"'{a}' and '{b}' can be compared on {rows} rows; {FEWEST} are needed.",
                       hint="Give rows to which both replied.")  # fmt: skip


def _paired(
    a: str,
    b: str,
    places: list[int],
    asked: Sequence[tuple[Request, str, str]],
    verdicts: Sequence[Verdict],
    units: Sequence[int],
    times: int,
) -> Paired:
    told = [(k, p) for k in places if (p := verdicts[k].preference) is not None]
    _enough(a, b, len(told))
    kept, preference = [k for k, _ in told], np.array([p for _, p in told])
    of = [units[k] for k in kept]
    lengths = np.array([[len(asked[k][1]), len(asked[k][2])] for k in kept], np.float64)
    counts = Counter(verdicts[k].winner for k in kept)
    asked_about = [verdicts[k] for k in kept if verdicts[k].said[0]]
    flips = Counter(v.flipped for v in asked_about)
    uneven = (preference != 0.5) & (lengths[:, 0] != lengths[:, 1])
    longer = int(((preference == 1) == (lengths[:, 0] > lengths[:, 1]))[uneven].sum())
    controlled = None
    if len(set(of)) >= 10 and np.ptp(lengths[:, 0] - lengths[:, 1]) > 0:
        controlled = controlled_rate(preference, lengths[:, 0], lengths[:, 1], of, min(times, 300))
    return Paired(
        a,
        b,
        len(kept),
        win_rate(preference, of, times),
        controlled,
        Rate.of(counts["a"], counts["a"] + counts["b"]),
        Rate.of(counts["tie"], len(kept)),
        Rate.of(flips["first"], len(asked_about)),
        Rate.of(flips["second"], len(asked_about)),
        Rate.of(longer, int(uneven.sum())),
        float(np.mean([c for k in kept if (c := verdicts[k].confidence) is not None])),
        len(places) - len(kept),
    )


def _ranked(
    models: Sequence[str], games: Sequence[tuple[int, int, int]], verdicts: Sequence[Verdict], units: Any
) -> tuple[tuple[Strength, ...], list[str]]:
    """The strengths, strongest first, and what makes their intervals less than 95 % sure."""
    told = [(i, j, p, int(units[row])) for (row, i, j), v in zip(games, verdicts, strict=True)
            if (p := v.preference) is not None]  # fmt: skip
    compared, of = [(i, j, p) for i, j, p, _ in told], [u for *_, u in told]
    found, notes = strengths(compared, len(models), of), list[str]()
    if len(set(of)) < SURE:
        notes.append(f"Strengths of {len(set(of))} prompts: fewer than {SURE}, so that intervals hold less than 95 %.")
    if one_sided(compared, len(models)):
        notes.append("Some models won every comparison with the others: how much stronger they are is not known.")
    made = [Strength(m, s) for m, s in zip(models, found, strict=True)]
    return tuple(sorted(made, key=lambda s: -s.strength.value)), notes
