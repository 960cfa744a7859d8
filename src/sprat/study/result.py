"""What a study found, as plain values: the terminal table, the page and the JSON are drawn from this alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from .certificate import Certificate


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Way:
    """One way of working, measured on rows that it was not fitted on.

    `cost` is dollars per 1,000 requests, `saving` a fraction of what the reference costs (of its calls, where prices
    are unknown), `kept` the ratio of qualities, `large` the share of rows that ask the reference; p50 and p95 are
    seconds; `energy` is watt-hours per 1,000 requests, estimated (the notes say how). `status` is certified,
    listed, tried, baseline, or says why it was refused.
    """

    name: str
    kind: str
    recipe: str
    thresholds: tuple[float, ...]
    status: str
    quality: Interval
    kept: Interval
    saving: Interval | None
    cost: Interval | None
    large: Interval
    p50: float | None
    p95: float | None
    p95_at_once: float | None
    energy: Interval | None
    on_front: bool
    robust: dict[str, Interval]


@dataclass(frozen=True)
class Metrics:
    """A two-model candidate over all its thresholds (share of calls on the reference), by published definitions."""

    name: str
    apgr: Interval
    over_length: Interval | None
    cpt50: Interval
    cpt80: Interval
    cpt95: Interval
    dollar_cpt50: Interval | None
    aiq: Interval | None
    ibc_lift: Interval | None
    cost_save: Interval | None


@dataclass(frozen=True)
class Trace:
    """A candidate's settings as points (cost or share of large calls, quality), cheapest first."""

    name: str
    cost: tuple[float, ...]
    quality: tuple[float, ...]


@dataclass(frozen=True)
class PromisePoint:
    """What one level of the promise would save: each is a certificate of its own, not all hold at once."""

    level: float
    way: str | None
    saving: Interval | None
    large: float | None
    rows_needed: int | None


@dataclass(frozen=True)
class Feasibility:
    """The saving to expect at n calibration rows (refusals as 0), and its ceiling with any number of rows."""

    n: int
    saving: float
    refused: float
    ceiling: float


@dataclass(frozen=True)
class Weak:
    """A part of the traffic where the small model is worse by a margin that is not chance."""

    name: str
    rows: int
    small: Interval
    large: Interval
    gap: Interval
    examples: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Bin:
    """One bin of the reliability curve: the trust, and the rate of good small answers in it."""

    trust: float
    good: Interval
    rows: int


@dataclass(frozen=True)
class Driver:
    """How one readable feature of the request goes with staying small: a rank correlation, or a group's share."""

    feature: str
    correlation: Interval


@dataclass(frozen=True)
class Result:
    """A study's findings with their evidence."""

    name: str
    command: str
    version: str
    date: str
    seed: int
    data_hash: str
    notes: tuple[str, ...]
    quality: str
    small: str
    large: str
    peers: tuple[str, ...]
    unit: str
    rows: int
    units: int
    fit_rows: int
    calibration_rows: int
    test_rows: int
    shown_on: str
    prices: dict[str, dict[str, float]]
    prices_date: str | None
    verdict: str
    shown: bool
    advice: tuple[str, ...]
    certificate: Certificate
    ways: tuple[Way, ...]
    metrics: tuple[Metrics, ...]
    traces: tuple[Trace, ...]
    promises: tuple[PromisePoint, ...]
    feasibility: tuple[Feasibility, ...]
    weak: tuple[Weak, ...]
    reliability: tuple[Bin, ...]
    drivers: tuple[Driver, ...]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def chosen(self) -> Way:
        """The certified way of working, else the reference alone."""
        certified = next((w for w in self.ways if w.status == "certified"), None)
        return certified or next(w for w in self.ways if w.status == "reference")
