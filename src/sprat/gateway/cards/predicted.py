"""How good a reply is likely to be, from the study's held-out rows: what [card] of serve.toml says, read for a request.

A rate is that of rows with a like trust: its interval holds on average over such requests, not for one of them, and
only while traffic is like those rows. Nothing here is a certificate.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from ...combine import Cascade, Route
from ...core import Ask, Reply, Request, Technique, ask
from ...errors import BadInput
from ..wire.problem import Problem
from .neighbours import Logged

NEITHER = "No model within the maximum cost is shown to reach the minimum quality"
_MADE = 256  # minimum qualities whose ways are kept
_SAME = 1e-6  # what one request at a time may differ from the study's many


@dataclass(frozen=True, slots=True)
class Predicted:
    """A rate in [0, 1] with its interval and the number of units behind it; `by` says which rows those are.

    Where `outside`, no row was like the request: the interval is all of [0, 1].
    """

    value: float
    low: float
    high: float
    n: int
    by: str = ""
    outside: bool = False

    @property
    def row(self) -> dict[str, Any]:
        """As the card has it."""
        row: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "by": self.by}
        return {**row, "outside": True} if self.outside else row

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Level:
    """How good every model of a way was, by the trust in one of them; lists are (bins,) and (bins, models).

    Below `least` trusts are not told apart: a draft that is stopped while it is written has one somewhere below.
    """

    signal: str
    model: str
    starts: Sequence[float]
    top: float
    units: Sequence[int]
    value: Sequence[Sequence[float]]
    low: Sequence[Sequence[float]]
    high: Sequence[Sequence[float]]
    least: float | None = None

    def at(self, trust: float, column: int) -> Predicted:
        """The rate of a model at a trust."""
        if self.least is not None:
            trust = max(trust, self.least)
        place = min(max(bisect_right(self.starts, trust) - 1, 0), len(self.starts) - 1)
        if not self.starts[0] * (1 - _SAME) - _SAME <= trust <= self.top * (1 + _SAME) + _SAME:
            seen = f"trust {trust:.3g} is outside of what was seen, {self.starts[0]:.3g} to {self.top:.3g}"
            return Predicted(self.value[place][column], 0.0, 1.0, self.units[place], seen, True)
        return self._told[place][column]

    @cached_property
    def _told(self) -> list[list[Predicted]]:
        ends = [*self.starts[1:], self.top]
        by = [f"trust {a:.3g} to {b:.3g} by {self.signal}" for a, b in zip(self.starts, ends, strict=True)]
        if self.least is not None and self.starts[0] <= self.least:
            by[0] = f"trust up to {ends[0]:.3g} by {self.signal}"
        rates = zip(self.value, self.low, self.high, self.units, by, strict=True)
        return [[Predicted(*r, n, said) for r in zip(v, low, high, strict=True)] for v, low, high, n, said in rates]

    def reaches(self, quality: float, column: int) -> float | None:
        """The least trust from which the lower bound is at least `quality`; None where none was seen."""
        found = next((i for i, low in enumerate(self.low) if low[column] >= quality), None)
        return None if found is None else self.starts[found]


@dataclass(frozen=True)
class Way:
    """A candidate of the study: its models, cheap to dear, the certified settings by name, and a level per signal."""

    kind: str
    models: tuple[str, ...]
    settings: Mapping[str, tuple[tuple[float, ...], Predicted]]
    levels: tuple[Level, ...]

    def level(self, model: Any, trusts: Sequence[tuple[str, float]]) -> tuple[Level, float] | None:
        """The last level whose trust was found, and that trust; None where the trusts can't be told apart."""
        active = self._active(model)
        if not trusts or len(trusts) > len(active) or active[len(trusts) - 1] >= len(self.levels):
            return None
        place, (signal, trust) = active[len(trusts) - 1], trusts[-1]
        found = self.levels[place]
        stops = model.at_least[place] if found.least is not None and isinstance(model, Cascade) else 0.0
        untold = found.least is not None and found.least < stops <= 1  # it may lie anywhere below what it is stopped at
        return (found, trust) if found.signal == signal and not untold else None

    def _active(self, model: Any) -> Sequence[int]:
        """The levels whose trust the model looks at."""
        if isinstance(model, AtLeast):
            return model.active if model.way is self else ()
        if getattr(model, "use", "") != self.kind:
            return ()
        if isinstance(model, (Route, Cascade)):
            return [i for i, t in enumerate(model.at_least) if 0 < t <= 1]
        return (0,)  # what explores reads the first signal too


@dataclass(frozen=True, repr=False, eq=False)
class AtLeast(Technique):
    """The way's models, cheap to dear, until the predicted rate's lower bound is at least `quality`.

    `firm` says that the last model may not be asked where it is not (then Problem 400), `only` which levels may be.
    """

    models: tuple[Any, ...]
    trust: tuple[Any, ...]
    way: Way
    quality: float
    firm: bool = False
    only: tuple[int, ...] | None = None
    use = "min_quality"

    @cached_property
    def active(self) -> tuple[int, ...]:
        """The levels at which the bound can be reached: a model that never reaches it is not paid for."""
        if self.only is not None:
            return self.only
        return tuple(i for i, level in enumerate(self.way.levels) if level.reaches(self.quality, i) is not None)

    async def answer(self, request: Request) -> Reply | Ask:
        """The first reply, or model, that reaches the bound, else the last one's; on later turns the last one's."""
        reason = "no trust seen reaches the quality"
        if request.continues:
            reason = "a later turn of a conversation: rates are of first turns"
        for i in () if request.continues else self.active:
            reply: Reply | None = await ask(self.models[i], request, reason) if self.way.kind != "route" else None
            asked = request if reply is not None else request.opening
            trust: float = await self.trust[i].trust(asked, reply)
            found = self.way.levels[i].at(trust, i)
            if found.low >= self.quality:
                return reply or ask(self.models[i], request, f"quality {found}, needed {self.quality:g}")
            reason = f"quality {found} < {self.quality:g}"
        if self.firm:
            raise Problem(400, f"{NEITHER}: {reason}.", param="sprat.min_quality", code="min_quality")
        return ask(self.models[-1], request, reason)


@dataclass(frozen=True)
class Evidence:
    """The [card] table: `base` is each model's rate over all rows, `ways` each certified setting's candidate."""

    measure: str
    rows: str
    n: int
    units: int
    confidence: float
    interval: str
    models: tuple[str, ...]
    base: Mapping[str, Predicted]
    way: str
    ways: Mapping[str, Way]
    logged: Logged | None = field(default=None, compare=False)
    made: dict[Any, AtLeast] = field(default_factory=dict[Any, "AtLeast"], compare=False, repr=False)

    def at_least(self, model: Any, way: Way, quality: float, firm: bool = False, only: Any = None) -> AtLeast:
        """The way asked for this quality; the same object for the same question, since others keep notes by it."""
        key = (id(model), quality, firm, only)
        found = self.made.get(key)
        if found is None or found.models is not model.models or found.way is not way:
            if len(self.made) >= _MADE:
                self.made.clear()
            found = self.made[key] = AtLeast(model.models, model.trust, way, quality, firm, only)
        return found

    def predicted(self, setting: str, model: Any, trusts: Sequence[tuple[str, float]]) -> Mapping[str, Predicted]:
        """Each model's rate for this request, by the last trust found; else over all rows."""
        way = self.ways.get(setting)
        found = way.level(model, trusts) if way else None
        if way is None or found is None:
            return self.base
        level, trust = found
        return {**self.base, **{name: level.at(trust, i) for i, name in enumerate(way.models)}}

    def overall(self, setting: str) -> Predicted | None:
        """A certified setting's own rate over all rows."""
        way = self.ways.get(setting)
        return way.settings[setting][1] if way else self.base.get(setting.removesuffix(" alone"))

    @property
    def said(self) -> str:
        """What the rates are, in a sentence."""
        rows = f"{self.n:,} {self.rows} rows"
        units = "" if self.n == self.units else f" in {self.units:,} units"
        return f"{self.measure}, from {rows}{units}; intervals {100 * self.confidence:.4g} %, {self.interval}"


def evidence_of(table: Any, where: str) -> Evidence | None:
    """What a [card] table holds; None where there is none, BadInput where it is not what `sprat study` wrote."""
    if not table:
        return None
    try:
        return _read(cast("Mapping[str, Any]", table))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        said = f"{where}, [card] can't be read: {type(error).__name__} {error}."
        raise BadInput(said, hint="Leave it as `sprat study` wrote it, or leave it out.") from error


def _read(table: Mapping[str, Any]) -> Evidence:
    models, units = tuple(map(str, table["models"])), int(table["units"])
    all_rows = f"all {table['rows']} rows"
    rates = zip(models, np.asarray(table["base"], float).tolist(), strict=True)
    base = {m: Predicted(value, low, high, units, all_rows) for m, (value, low, high) in rates}
    ways: dict[str, Way] = {}
    for entry in table.get("ways", ()):
        settings = {
            str(s["name"]): (
                tuple(map(float, s["at_least"])),
                Predicted(s["value"], s["low"], s["high"], units, all_rows),
            )
            for s in entry["settings"]
        }
        levels = tuple(_level(row) for row in entry["levels"])
        if entry["kind"] == "watchful" and any(level.least is None for level in levels):
            levels = ()  # written before stopped drafts were told apart: the rates are of trusts that none is known by
        way = Way(str(entry["kind"]), tuple(map(str, entry["models"])), settings, levels)
        ways |= dict.fromkeys(settings, way)
    return Evidence(
        str(table["measure"]),
        str(table["rows"]),
        int(table["n"]),
        units,
        float(table["confidence"]),
        str(table["interval"]),
        models,
        base,
        str(table["way"]),
        ways,
        Logged.of(table["neighbours"], models) if "neighbours" in table else None,
    )


def _level(row: Mapping[str, Any]) -> Level:
    lists = (row[name].tolist() for name in ("value", "low", "high"))
    starts, units = row["starts"].tolist(), row["units"].tolist()
    least = float(row["least"]) if "least" in row else None
    return Level(row["signal"], row["model"], starts, float(row["top"]), units, *lists, least=least)
