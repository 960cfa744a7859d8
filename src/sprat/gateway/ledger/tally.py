"""Sums over the store for the dashboard, by slices of time, so that looking costs little at ten million rows.

A window (an hour to a month) is cut into at most 168 slices. A slice is one grouped read by the index on time; it is
read again ever more rarely until its late replies are in, and never after that. What is read in one go is bounded by
time, newest slices first; until all is read, the window says how far it is.

Intervals. Saving, shares and failures are ratios of sums over requests, and the requests of a thread are one unit, so
their error is the delta method's over threads. A slice keeps the sums of the threads with the smallest hashes
(a bottom-k sketch), so the slices of one thread meet again: below the smallest of the slices'
bounds the sample is complete, and where all fits it is every thread. A share's interval is Wilson's at the effective
number of units; a ratio's is Student's. Quantiles of latency are weighted over at most so many requests a slice, drawn
by their random ids. Checked against: the same sums in one statement, and coverage on simulated threads.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from statistics import NormalDist

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from . import schema

WINDOWS = {"hour": (60.0, 60), "day": (900.0, 96), "week": (3600.0, 168), "month": (21600.0, 120)}
WATCHING = "promise"  # the dialect of what the watch over the promise asks: it costs, but nobody requested it
SETTLED = 900.0  # seconds after a slice's end until no reply is expected to be late
_SHARE = 20  # what was slow to read is read again only after this many times as long
_THREADS = 12_000  # kept in a window, over its slices
_LATENCIES = 40_000
_Z = NormalDist().inv_cdf(0.975)
_FEW = 10  # threads below which no interval is given


@dataclass(slots=True)
class Sums:
    """Sums over exchanges; dollars over those of known cost, `saved` and `reference` over the `compared` ones.

    What the watch over the promise asked is no request, but its cost, `watching`, is in dollars and lessens `saved`.
    """

    requests: int = 0
    failed: int = 0
    dollars: float = 0.0
    unknown: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    compared: int = 0
    saved: float = 0.0
    reference: float = 0.0
    watching: float = 0.0

    def add(self, other: Sums) -> None:
        """Add another's to these."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


Floats = NDArray[np.float64]
Unit = dict[str, tuple[int, int, float, float]]  # of a thread, by model: requests, failed, saved, reference


@dataclass(slots=True)
class Slice:
    """What was read of one span of time; `below` bounds the hashes of `units` (2**32: all are there)."""

    begin: float
    end: float
    read_at: float = 0.0
    took: float = 0.0
    models: dict[str, Sums] = field(default_factory=dict[str, Sums])
    units: dict[int, Unit] = field(default_factory=dict[int, Unit])
    below: int = 1 << 32
    latencies: dict[str, Floats] = field(default_factory=dict[str, Floats])  # by model: seconds, to the first byte
    answered: int = 0

    @property
    def sampled(self) -> int:
        """How many of the answered ones' latencies were read."""
        return sum(map(len, self.latencies.values()))

    def due(self, now: float) -> bool:
        """Whether it is to be read (again)."""
        if not self.read_at:
            return True
        if self.read_at >= self.end + SETTLED:
            return False
        return now - self.read_at >= max(1.0, (now - self.end) / 8, _SHARE * self.took)


@dataclass(frozen=True)
class Rate:
    """A ratio with its 95 % interval; None where there are too few threads to say."""

    value: float
    low: float | None
    high: float | None


class Window:
    """The slices of a window; one thread at a time may use it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.step, self.count = WINDOWS[name]
        self.slices: dict[int, Slice] = {}

    def refresh(self, connection: Connection, now: float, patience: float) -> int:
        """Read what is due, newest first, for about `patience` seconds; how many slices were read at least once."""
        last = int(now // self.step)
        wanted = range(last, last - self.count, -1)
        self.slices = {i: s for i, s in self.slices.items() if last - self.count < i <= last}
        first = connection.execute(sa.select(sa.func.min(schema.exchanges.c.at))).scalar()
        until = time.monotonic() + patience
        for i in wanted:
            if time.monotonic() >= until:
                break
            at = self.slices.setdefault(i, Slice(i * self.step, (i + 1) * self.step))
            if not at.due(now):
                continue
            if first is None or at.end <= first:
                at.read_at = now
            else:
                began = time.monotonic()
                fresh = read(connection, at.begin, at.end, _THREADS // self.count, _LATENCIES // self.count)
                fresh.read_at, fresh.took = now, time.monotonic() - began
                self.slices[i] = fresh
        return sum(s.read_at > 0 for s in self.slices.values())

    def ordered(self) -> list[Slice]:
        """The slices, oldest first; one that was not read yet is empty."""
        return [self.slices[i] for i in sorted(self.slices)]


def read(connection: Connection, begin: float, end: float, threads: int, latencies: int) -> Slice:
    """One slice: sums by model, the threads of the smallest hashes, and a sample of latencies."""
    e, f = schema.exchanges.c, sa.func
    within = sa.and_(e.at >= begin, e.at < end)
    asked_for = e.dialect != WATCHING
    both = sa.and_(e.cost.is_not(None), e.reference_cost.is_not(None))
    asked = sa.select(
        e.thread,
        e.model,
        f.coalesce(f.sum(sa.case((asked_for, 1), else_=0)), 0),
        f.coalesce(f.sum(sa.case((sa.and_(asked_for, e.status >= 400), 1), else_=0)), 0),
        f.coalesce(f.sum(e.cost), 0.0),
        f.coalesce(f.sum(sa.case((e.cost.is_(None), 1), else_=0)), 0),
        f.coalesce(f.sum(e.input_tokens), 0),
        f.coalesce(f.sum(e.output_tokens), 0),
        f.coalesce(f.sum(sa.case((sa.and_(both, asked_for), 1), else_=0)), 0),
        f.coalesce(f.sum(sa.case((both, e.reference_cost - e.cost))), 0.0),
        f.coalesce(f.sum(sa.case((both, e.reference_cost))), 0.0),
        f.coalesce(f.sum(sa.case((asked_for, 0.0), else_=e.cost)), 0.0),
    ).where(within)
    asked = asked.group_by(e.thread, e.model)
    found = Slice(begin, end)
    for thread, model, *sums in connection.execution_options(yield_per=1000).execute(asked):
        n, failed, dollars, unknown, read_in, wrote_out, compared, saved, reference, watching = sums
        counts = int(read_in), int(wrote_out), int(compared)
        one = Sums(
            int(n), int(failed), float(dollars), int(unknown), *counts, float(saved), float(reference), float(watching)
        )
        found.models.setdefault(model, Sums()).add(one)
        number = zlib.crc32(thread.encode())
        if number < found.below:
            found.units.setdefault(number, {})[model] = (one.requests, one.failed, one.saved, one.reference)
            if len(found.units) > 2 * threads:
                _thin(found, threads)
    if len(found.units) > threads:
        _thin(found, threads)
    n = sum(s.requests for s in found.models.values())
    found.answered = n - sum(s.failed for s in found.models.values())
    if found.answered:
        sampled = sa.select(e.model, e.seconds, e.first_byte).where(within, e.status < 400, asked_for)
        if n > latencies:  # ids are random hexadecimal digits
            sampled = sampled.where(e.id < f"{int((1 << 32) * latencies / n):08x}")
        by_model: dict[str, list[tuple[float, float]]] = {}
        for model, *seconds in connection.execute(sampled.limit(2 * latencies)):
            by_model.setdefault(model, []).append(tuple(math.nan if v is None else float(v) for v in seconds))  # pyright: ignore[reportArgumentType]
        found.latencies = {m: np.asarray(rows) for m, rows in by_model.items()}
    return found


def _thin(found: Slice, threads: int) -> None:
    found.below = sorted(found.units)[threads]
    found.units = {k: v for k, v in found.units.items() if k < found.below}


class Threads:
    """The sums of a sample of threads over several slices; `share` is the part of all threads that is in it."""

    def __init__(self, slices: Iterable[Slice]) -> None:
        used = list(slices)
        below = min((s.below for s in used), default=1 << 32)
        self.share = below / (1 << 32)
        places: dict[int, int] = {}
        names: dict[str, int] = {}
        rows: list[tuple[int, int, int, int, float, float]] = []
        for s in used:
            for number, unit in s.units.items():
                if number < below:
                    at = places.setdefault(number, len(places))
                    rows += [(at, names.setdefault(m, len(names)), *sums) for m, sums in unit.items()]
        self.count, self._names = len(places), names
        # By thread, model, and requests, failed, saved, reference.
        self._sums = np.zeros((len(places), len(names), 4))
        if rows:
            table = np.asarray(rows, float)
            np.add.at(self._sums, (table[:, 0].astype(int), table[:, 1].astype(int)), table[:, 2:])

    def saving(self, whole: Sums) -> Rate | None:
        """What part of the reference's cost was saved; None where nothing was compared."""
        return ratio(self._sums[:, :, 2:].sum(axis=1), whole.saved, whole.reference, self.share)

    def part(self, model: str, whole: Sums, of: Sums) -> Rate | None:
        """What part of the requests a model answered."""
        all_requests = self._sums[:, :, 0].sum(axis=1)
        return proportion(
            np.stack([self._of(model)[:, 0], all_requests], axis=1), of.requests, whole.requests, self.share
        )

    def failures(self, whole: Sums, model: str | None = None) -> Rate | None:
        """What part of the requests (of a model's) failed."""
        sums = self._sums.sum(axis=1) if model is None else self._of(model)
        pairs = sums[:, 1::-1]
        return proportion(pairs[pairs[:, 1] > 0], whole.failed, whole.requests, self.share)

    def _of(self, model: str) -> Floats:
        at = self._names.get(model)
        return np.zeros((self.count, 4)) if at is None else self._sums[:, at]


def _variance(pairs: Floats, value: float, below: float, share: float) -> float | None:
    """The delta method's variance of a ratio, from a share of its units; None where they are too few."""
    m = len(pairs)
    if m < _FEW or below <= 0:
        return None
    return float(np.square(pairs[:, 0] - value * pairs[:, 1]).sum()) / share * m / (m - 1) / below**2


def ratio(pairs: Floats, top: float, below: float, share: float = 1.0) -> Rate | None:
    """top / below, the sums over all units, with its interval from the `pairs`, (m, 2), of a share of the units."""
    if below <= 0:
        return None
    value = top / below
    variance = _variance(pairs, value, below, share)
    if variance is None:
        return Rate(value, None, None)
    spread = (_Z + (_Z**3 + _Z) / (4 * (len(pairs) - 1))) * math.sqrt(variance)  # Student's, to first order
    return Rate(value, value - spread, value + spread)


def proportion(pairs: Floats, top: float, below: float, share: float = 1.0) -> Rate | None:
    """The same for a part in [0, 1]: Wilson's interval at the number of units that the variance is worth."""
    if below <= 0:
        return None
    value = top / below
    variance = _variance(pairs, value, below, share)
    if variance is None:
        return Rate(value, None, None)
    worth = value * (1 - value) / variance if variance > 0 else len(pairs) / share
    return Rate(value, *wilson(value, worth))


def wilson(value: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a part that was seen in n units."""
    middle = (value + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
    half = _Z / (1 + _Z * _Z / n) * math.sqrt(value * (1 - value) / n + _Z * _Z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def quantiles(slices: Iterable[Slice], which: int, at: Sequence[float], model: str | None = None) -> list[float] | None:
    """Weighted quantiles of seconds (`which` 0) or time to first byte (1); None where none is known."""
    values, weights = [np.zeros(0)], [np.zeros(0)]
    for s in slices:
        for name, rows in s.latencies.items():
            if model is None or name == model:
                known = rows[~np.isnan(rows[:, which]), which]
                values.append(known)
                weights.append(np.full(len(known), s.answered / s.sampled))
    found, weight = np.concatenate(values), np.concatenate(weights)
    if not len(found):
        return None
    order = np.argsort(found)
    passed = np.cumsum(weight[order])
    places = np.searchsorted(passed, np.asarray(at) * passed[-1] - 1e-9)
    return found[order][np.minimum(places, len(found) - 1)].tolist()
