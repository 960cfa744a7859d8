"""The main job: the cheapest way of working that keeps the quality asked for, with a guarantee.

Candidates are fitted and one ordered list of settings is fixed on the fit rows (arrange.py); the list is walked once
on the calibration rows (certify.py); what is shown is measured on rows that played no part in fitting.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core import Model
from ..data import Dataset, Floats
from ..errors import BadInput
from . import show, where
from .arrange import Arranged, arrange, feasible, rows_for, rows_needed
from .candidates import Candidate, propose
from .certificate import Certificate, issue
from .certify import Promise, by_unit, walk
from .result import Feasibility, PromisePoint, Result
from .score import Outcome, Trusted, by_folds, fitted, out_of_fold, outcome, thresholds, trusted, whole
from .screen import Screened, screen
from .split import Cut, cut

Tell = Callable[[str, int, int], None]
FEWEST = 20


@dataclass(frozen=True)
class Setting:
    """A candidate with its thresholds, and its place among the candidate's settings."""

    candidate: int
    column: int
    thresholds: tuple[float, ...]
    name: str


@dataclass(frozen=True)
class Study:
    """What was found, and the model to serve: the certified way of working, or the reference alone."""

    result: Result
    model: Model
    certificate: Certificate


@dataclass(frozen=True)
class Asked:
    """What the user asked of the study."""

    small: str
    large: str
    peers: tuple[str, ...]
    promise: Promise
    delta: float
    max_p95: float | None = None
    prices: dict[str, dict[str, float]] | None = None
    prices_date: str | None = None
    command: str = ""
    earlier: int = 0

    @property
    def models(self) -> tuple[str, ...]:
        """All models, the small one first, the reference last."""
        return (self.small, *self.peers, self.large)


def study(data: Dataset, asked: Asked, *, encoder: Any = None, tell: Tell = lambda *_: None) -> Study:
    """Study recorded calls; raises BadInput for data that cannot be studied at all."""
    data, dropped = _checked(data, asked)
    rows = cut(data)
    fit, prices = data.take(rows.fit), _prices(data, rows, asked)
    candidates = propose(data, asked.small, asked.large, asked.peers, encoder)
    parts = by_folds(data, rows.fit, 5)
    trusts: list[Trusted] = []
    for i, candidate in enumerate(candidates):
        tell(f"fitting: {candidate.name}", i, 2 * len(candidates))
        trusts.append(out_of_fold(candidate, data, rows.fit, parts))
    screened = screen(candidates, trusts, data, rows.fit, asked)
    settings, outcomes = _settings(candidates, trusts, fit, prices)
    unit, saving = _saving(outcomes, asked, fit)
    arranged = _arranged(settings, outcomes, saving, screened, fit, rows, asked)
    listed = [settings[i] for i in arranged.places]
    signals: list[tuple[Any, ...]] = []
    held: list[Trusted] = []
    rest = np.concatenate([rows.calibration, rows.test])
    for i, candidate in enumerate(candidates):
        tell(f"measuring: {candidate.name}", len(candidates) + i, 2 * len(candidates))
        signals.append(screened[i].wrapped(fitted(candidate, data, rows.fit), data, rows.fit))
        held.append(trusted(candidate, signals[i], data.take(rest)))
    n = len(rows.calibration)
    calibration = data.take(rows.calibration)
    on_calibration = [
        outcome(c, _rows(t, slice(0, n)), _of(settings, i), calibration, prices(c))
        for i, (c, t) in enumerate(zip(candidates, held, strict=True))
    ]
    losses = _losses(calibration, [_column(on_calibration, s) for s in listed], asked)
    certificate = issue(
        asked.promise,
        [s.name for s in listed],
        losses,
        arranged.spread,
        asked.delta,
        rows=n,
        seed=data.seed,
        data_hash=data.hash,
        date=datetime.date.today().isoformat(),
        prices_date=asked.prices_date,
        earlier_studies=asked.earlier,
    ) if listed else _refused(data, asked, n, calibration)  # fmt: skip
    tell("measuring: what is shown", 1, 3)
    chosen = next((s for s in listed if s.name == certificate.certified), None)
    on_shown = on_calibration
    shown, kept = calibration, [_rows(t, slice(0, n)) for t in held]
    if len(rows.test):
        shown, kept = data.take(rows.test), [_rows(t, slice(n, None)) for t in held]
        on_shown = [
            outcome(c, t, _of(settings, i), shown, prices(c))
            for i, (c, t) in enumerate(zip(candidates, kept, strict=True))
        ]
    view = show.View(data, shown, asked, unit, candidates, kept, settings, outcomes, on_shown, screened, signals)
    model = _model(candidates, signals, chosen, asked, prices)
    tell("measuring: promise against saving", 2, 3)
    curve = _curve(settings, outcomes, saving, screened, fit, rows, asked, calibration, on_calibration, on_shown, shown)
    fit_losses = by_unit(_losses_of(fit, outcomes, asked), fit.units.tolist())
    allowed = _allowed(settings, screened)
    sizes = sorted({300, 1000, 3000, 10000, n})
    ahead = feasible(fit_losses[:, allowed], saving[allowed], sizes, asked.delta, asked.promise.top, seed=data.seed)
    result = Result(
        **show.heading(data, asked, rows, dropped, unit),
        **show.words(certificate, chosen, view, ahead, _more(fit_losses, allowed, saving, arranged, asked, n)),
        certificate=certificate,
        ways=show.ways(view, {s.name for s in listed}, chosen, model),
        metrics=show.metrics(view),
        traces=show.traces(view),
        promises=tuple(curve),
        feasibility=tuple(Feasibility(*f) for f in ahead),
        weak=where.weak(data, rows, asked, encoder),
        reliability=show.reliability(view, chosen),
        drivers=where.drivers(shown, kept, chosen),
    )
    tell("done", 3, 3)
    return Study(result, model, certificate)
