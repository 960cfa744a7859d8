"""An amount of energy: joules with a low and a high, how it was found, and how far that is to be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..errors import BadInput

Confidence = Literal["measured", "estimated", "unknown"]
_ORDER: tuple[Confidence, ...] = ("measured", "estimated", "unknown")


@dataclass(frozen=True)
class Energy:
    """Joules, None where unknown; `low` and `high` bound an estimate under its assumptions, which `notes` say.

    The range is not a confidence interval: nobody knows the chance that it holds. A measured amount's is one point.
    """

    joules: float | None
    low: float | None
    high: float | None
    method: str
    confidence: Confidence
    notes: tuple[str, ...] = ()

    @classmethod
    def measured(cls, joules: float, method: str, *notes: str) -> Energy:
        """What a counter of the hardware said."""
        return cls(joules, joules, joules, method, "measured", notes)

    @classmethod
    def unknown(cls, method: str, *notes: str) -> Energy:
        """What is there but can't be read."""
        return cls(None, None, None, method, "unknown", notes)

    @property
    def wh(self) -> float | None:
        """Watt-hours: joules / 3,600."""
        return None if self.joules is None else self.joules / 3600

    def times(self, factor: float) -> Energy:
        """So many times as much."""
        if not 0 <= factor < float("inf"):
            raise BadInput(f"An energy can't be taken {factor} times.")
        scaled = (None if v is None else v * factor for v in (self.joules, self.low, self.high))
        return replace(self, **dict(zip(("joules", "low", "high"), scaled, strict=True)))

    def carbon(self, grid: float | tuple[float, float]) -> tuple[float, float, float] | None:
        """Grams of CO2 equivalent, low and high, at a grid's grams per kWh (or its lowest and highest); None: unknown.

        The value is taken at the middle of the grid's range.
        """
        least, most = grid if isinstance(grid, tuple) else (grid, grid)
        if not 0 <= least <= most < float("inf"):
            raise BadInput(f"A grid's intensity is {grid}; it needs grams of CO2 per kWh, 0 or more, low before high.")
        if self.joules is None or self.low is None or self.high is None:
            return None
        return self.joules / 3.6e6 * (least + most) / 2, self.low / 3.6e6 * least, self.high / 3.6e6 * most

    def summary(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {
            "joules": self.joules,
            "low": self.low,
            "high": self.high,
            "wh": self.wh,
            "method": self.method,
            "confidence": self.confidence,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        if self.joules is None or self.low is None or self.high is None:
            return f"unknown ({self.method})"
        by, unit = _unit(self.joules)
        spread = "" if self.low == self.high else f" [{self.low / by:.3g}, {self.high / by:.3g}]"
        said = self.method if self.confidence in self.method else f"{self.method}, {self.confidence}"
        return f"{self.joules / by:.3g} {unit}{spread} ({said})"


def _unit(joules: float) -> tuple[float, str]:
    known = ((1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"))
    return next(((by, unit) for by, unit in known if joules >= by), (1.0, "J"))


def total(parts: Iterable[Energy]) -> Energy:
    """The sum; unknown if any part is, and only as sure as its least sure part. Lows add up to a low, highs to a high.

    BadInput where there is nothing to add up: nothing is not 0 J.
    """
    all_of = tuple(parts)
    if not all_of:
        raise BadInput("There is no energy to add up.")

    def added(values: list[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return sum(known) if len(known) == len(values) else None

    worst = _ORDER[max(_ORDER.index(p.confidence) for p in all_of)]
    methods = dict.fromkeys(p.method for p in all_of)
    notes = dict.fromkeys(n for p in all_of for n in p.notes)
    joules, low, high = (added([getattr(p, k) for p in all_of]) for k in ("joules", "low", "high"))
    return Energy(joules, low, high, " + ".join(methods), worst, tuple(notes))
