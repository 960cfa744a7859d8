"""Numbers as the report writes them: with their interval, without false digits, and a dash where unknown."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import NamedTuple

from ..result import Interval, Result, Way

DASH = "–"
SKEWED = 1.7  # one side of an interval so many times the other: ± would mislead


def known(x: Interval | None) -> Interval | None:
    """The interval, or None where its value is missing or not a number."""
    return x if x is not None and isfinite(x.value) else None


def half(x: Interval) -> float:
    """The longer side of an interval, so that 'value ± half' covers it; 0 where its ends are not numbers."""
    sides = [s for s in (x.high - x.value, x.value - x.low) if isfinite(s)]
    return max([0.0, *sides])


def plus_minus(x: Interval | None, scale: float = 100, digits: int = 1) -> str:
    """'90.8 ± 2.3' in units of 1/scale; the ends where the interval is skewed, a dash where the value is unknown."""
    if (x := known(x)) is None:
        return DASH
    value = minus(scale * x.value, digits)
    if half(x) <= 1e-12:
        return value
    if half(x) > SKEWED * min(x.high - x.value, x.value - x.low):
        return f"{value} [{minus(scale * x.low, digits)}, {minus(scale * x.high, digits)}]"
    return f"{value} ± {scale * half(x):,.{digits}f}"


def between(x: Interval | None, scale: float = 100, digits: int = 1) -> str:
    """'88.5 to 93.1': the interval's ends, for a tooltip; empty where unknown."""
    if (x := known(x)) is None:
        return ""
    return f"{minus(scale * x.low, digits)} to {minus(scale * x.high, digits)}"


def minus(x: float, digits: int) -> str:
    """A number with a true minus sign, and never '-0'."""
    text = f"{x:,.{digits}f}"
    return text.lstrip("-") if not float(text.replace(",", "")) else text.replace("-", "−")


def percent(x: float | None, digits: int = 0) -> str:
    """A fraction as '62 %'; a dash where unknown."""
    return DASH if x is None or not isfinite(x) else f"{minus(100 * x, digits)} %"


def span(x: Interval | None, digits: int = 0) -> str:
    """A fraction with its interval, '62 % [58, 66]'; a dash where unknown."""
    if (x := known(x)) is None:
        return DASH
    return f"{percent(x.value, digits)} [{minus(100 * x.low, digits)}, {minus(100 * x.high, digits)}]"


def rough(n: int) -> int:
    """Two significant digits, for a number that is an estimate."""
    return n if n < 100 else round(n, 2 - len(str(n)))


def level(kind: str, x: float) -> str:
    """A promise's level in words: '98 %' for keep, '2 points' for within."""
    points = f"{100 * x:.4g}"
    return f"{points} %" if kind == "keep" else f"{points} point{'' if points == '1' else 's'}"


def decimals(x: float) -> int:
    """The decimals that show about three significant digits of an amount, at least two below 100."""
    if not x or not isfinite(x):
        return 2
    return 0 if abs(x) >= 100 else max(2, 2 - floor(log10(abs(x))))


def dollars(x: float | None) -> str:
    """An amount of dollars, '$0.0123'; a dash where unknown."""
    return DASH if x is None or not isfinite(x) else f"${x:,.{decimals(x)}f}"


def seconds(x: float | None) -> str:
    """'1.24 s', or '12.3 ms' below a tenth of a second; a dash where unknown."""
    if x is None or not isfinite(x):
        return DASH
    if x >= 0.1:
        return f"{x:.2f} s" if x < 100 else f"{x:,.0f} s"
    return f"{1000 * x:.3g} ms"


class Cost(NamedTuple):
    """How the report counts cost: `scale` times a way's own figure, per so many requests, in dollars or calls.

    Figures come in dollars per 1,000 requests; where the reference costs less than ten cents for that, a million is
    counted instead. Without prices the share of calls to the reference stands in, in per cent.
    """

    scale: float
    unit: str
    head: str
    priced: bool

    def of(self, way: Way) -> Interval | None:
        """A way's cost in this unit, None where unknown."""
        own = known(way.cost if self.priced else way.large)
        return None if own is None else Interval(*(self.scale * v for v in (own.value, own.low, own.high)))

    def text(self, way: Way) -> str:
        """A way's cost with its interval, as a table writes it (the head names the unit)."""
        if (own := self.of(way)) is None:
            return "unknown" if self.priced else DASH
        digits = decimals(own.value) if self.priced else 1
        return plus_minus(own, 1, digits)


def counted(result: Result) -> Cost:
    """The unit in which this study's costs are written."""
    if result.unit != "dollars":
        return Cost(100.0, f"share of calls to {result.large} (%)", "calls, %", False)
    reference = next((w.cost for w in result.ways if w.status == "reference"), None)
    if reference is not None and 0 < reference.value < 0.1:
        return Cost(1000.0, "dollars per 1,000,000 requests", "$ / 1M", True)
    return Cost(1.0, "dollars per 1,000 requests", "$ / 1k", True)
