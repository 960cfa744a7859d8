"""The certificate: what was promised, the counts it rests on, and a check of both that needs numpy alone.

Papers: as `sprat.study.certify` (arXiv 2010.09686, 2505.22422, 2110.01052). Checked against: tampered certificates,
one per field that the arithmetic can see.

The p-values are functions of the losses' value counts and the seed, so the counts of each setting tried are enough to
recompute the bets, the verdicts and where the walk stopped. What a check cannot see: whether the list was fixed
without these rows, whether the rows are like tomorrow's, and whether the data's hash is that of the data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import ArrayLike

from sprat.errors import BadInput, nearest
from sprat.study.certify import (
    BIGGEST_BET,
    CAUTION,
    SLACK,
    Floats,
    Promise,
    log_wealth,
    order,
    seed_from,
    stop_at_failure,
    walk,
)
from sprat.study.sequential import wealth_path

LABELS = ("held out", "cross-fitted")


@dataclass(frozen=True)
class Tried:
    """One setting as it was tested: the loss's values with their counts, the bets' scale, log wealth and p-value.

    `read` is given where labels came one at a time (labels.py) and reading stopped early: the losses in the order in
    which they came, as places in `values` ("0*45 2 0*12"). Elsewhere all units were read, in the seed's order.
    """

    name: str
    values: tuple[float, ...]
    counts: tuple[int, ...]
    spread: float
    log_wealth: float
    p_value: float
    read: str | None = None


@dataclass(frozen=True)
class Certificate:
    """A promise with its evidence. `certified` is a setting's name, or None where the walk failed at once: refused.

    `delta` is the level at which this list was walked, the study's own divided by `lists`. `listed` is the whole list
    in its order, `tried` the part that was walked. Dates are ISO; `prices_date` is None where cost has no price table.
    """

    kind: Literal["keep", "within"]
    level: float
    delta: float
    lists: int
    units: int
    rows: int
    label: str
    certified: str | None
    listed: tuple[str, ...]
    tried: tuple[Tried, ...]
    seed: int
    data_hash: str
    date: str
    prices_date: str | None = None
    earlier_studies: int = 0
    served: str = ""
    biggest_bet: float = BIGGEST_BET
    caution: float = CAUTION

    @property
    def promise(self) -> Promise:
        return Promise(self.kind, self.level)

    @property
    def evidence(self) -> Tried | None:
        """The certified setting's own counts and p-value; None where refused."""
        return next((t for t in self.tried if t.name == self.certified), None)

    @property
    def traffic(self) -> str:
        """What the promise is about: all traffic, or units where rows come in such, each then counted once."""
        if self.units == self.rows:
            return "all traffic like these rows"
        return "all units (users, threads or repeated prompts) like these, each counted once,"

    @property
    def sentence(self) -> str:
        """What is promised, in words, the traffic that it covers and the confidence."""
        best = (
            f"at least {self.level:.4g} times"
            if self.kind == "keep"
            else f"at most {100 * self.level:.4g} points below"
        )
        what = f"mean quality over {self.traffic} is {best} the reference's"
        confidence = 100 * (1 - self.delta * self.lists)
        if self.certified is None:
            short = f"{what}, at confidence {confidence:.4g} %, n = {self.units}"
            return f"Refused: no listed setting could be certified ({short})."
        return f"With {self.certified}, {what}, at confidence {confidence:.4g} % ({self.label}, n = {self.units})."


def issue(
    promise: Promise,
    names: Sequence[str],
    losses: ArrayLike,
    spread: ArrayLike,
    delta: float,
    *,
    rows: int,
    data_hash: str,
    date: str,
    label: str = "held out",
    lists: int = 1,
    prices_date: str | None = None,
    earlier_studies: int = 0,
) -> Certificate:
    """Walks the list on calibration losses (units, settings), in the order of `names`, and writes down the evidence.

    `spread` (settings,) is the losses' second moment on the fit rows; `delta` the level of this one list; `data_hash`
    covers the calibration rows and gives the seed. Raises
    BadInput for a label other than 'held out' or 'cross-fitted', repeated names, or shapes that do not match.
    """
    loss, scale = np.asarray(losses, float), np.asarray(spread, float)
    if label not in LABELS:
        raise BadInput(f"A certificate is labelled 'held out' or 'cross-fitted', not {label!r}.")
    if loss.ndim != 2 or loss.shape[1] != len(names) or scale.shape != (len(names),) or len(set(names)) != len(names):
        raise BadInput("A certificate needs one name, all different, one spread and one column of losses per setting.")
    if not len(loss) or rows < len(loss):
        raise BadInput(f"{rows} rows cannot make {len(loss)} units.", hint="Give the number of calibration rows.")
    seed = seed_from(data_hash)
    path = walk(loss, delta, promise.top, seed, scale)
    tried: list[Tried] = []
    for j, p in enumerate(path.p_values):
        values, counts = np.unique(loss[:, j], return_counts=True)
        counted = tuple(float(v) for v in values), tuple(int(c) for c in counts)
        tried.append(Tried(names[j], *counted, float(scale[j]), float(-np.log(p)), p))
    return Certificate(
        kind=promise.kind,
        level=promise.level,
        delta=delta,
        lists=lists,
        units=len(loss),
        rows=rows,
        label=label,
        certified=None if path.certified is None else names[path.certified],
        listed=tuple(names),
        tried=tuple(tried),
        seed=seed,
        data_hash=data_hash,
        date=date,
        prices_date=prices_date,
        earlier_studies=earlier_studies,
    )


def check(certificate: Certificate) -> list[str]:
    """Recomputes the certificate from its counts: an empty list says verified, else one sentence per disagreement."""
    c = certificate
    wrong: list[str] = []
    if c.kind not in ("keep", "within") or not 0 < c.level < 1 or not 0 < c.delta < 1 or not 1 <= c.lists <= 3:
        return ["The promise, its level, delta or the number of lists is out of range."]
    if c.label not in LABELS:
        wrong.append(f"The label '{c.label}' is neither 'held out' nor 'cross-fitted'.")
    if (c.biggest_bet, c.caution) != (BIGGEST_BET, CAUTION):
        wrong.append("The betting rule's constants are not those of this version of sprat.")
    if not 1 <= c.units <= c.rows:
        wrong.append(f"{c.rows} rows cannot make {c.units} units.")
    if c.seed != seed_from(c.data_hash):
        wrong.append("The seed is not the one that belongs to the data's hash.")
    if c.earlier_studies < 0:
        wrong.append("The number of earlier studies is negative.")
    if tuple(t.name for t in c.tried) != c.listed[: len(c.tried)] or len(set(c.listed)) != len(c.listed):
        wrong.append("The settings tried are not the beginning of the list, or a name is repeated.")
    found = [_p_value(t, c, wrong) for t in c.tried]
    path = stop_at_failure(found, c.delta)
    if len(path.p_values) != len(c.tried) or (path.stopped is None and len(c.tried) < len(c.listed)):
        wrong.append("The walk does not end where the first setting fails.")
    certified = None if path.certified is None else c.tried[path.certified].name
    if certified != c.certified:
        wrong.append(f"The last setting that passes is {certified}, not {c.certified}.")
    return wrong


def _p_value(tried: Tried, certificate: Certificate, wrong: list[str]) -> float:
    """The p-value from the counts, or 1 where the counts cannot be right; says what is wrong."""
    promise = certificate.promise
    values, counts = np.asarray(tried.values, float), np.asarray(tried.counts, np.int64)
    if values.shape != counts.shape or values.ndim != 1 or (counts < 1).any() or not (np.diff(values) > 0).all():
        wrong.append(f"{tried.name}: values must rise, each with a count of at least 1.")
        return 1.0
    if tried.read is not None:
        return _p_read(tried, certificate, wrong)
    if counts.sum() != certificate.units:
        wrong.append(f"{tried.name}: the counts add up to {counts.sum()}, not to {certificate.units} units.")
        return 1.0
    if not _within_bounds(values, tried, promise, wrong):
        return 1.0
    sequence = np.repeat(values, counts)[order(certificate.units, certificate.seed)]
    wealth = float(log_wealth(sequence, promise.top, certificate.delta, np.asarray(tried.spread)))
    return _compared(tried, wealth, wrong)


def _p_read(tried: Tried, certificate: Certificate, wrong: list[str]) -> float:
    """The p-value from losses in the order in which they were read, as far as that went."""
    promise, values = certificate.promise, np.asarray(tried.values, float)
    try:
        runs = [part.partition("*") for part in (tried.read or "").split()]
        places = np.repeat([int(i) for i, _, _ in runs], [int(k or 1) for _, _, k in runs]).astype(np.int64)
    except ValueError:
        wrong.append(f"{tried.name}: the order read is not a list of places.")
        return 1.0
    if len(places) > certificate.units or (places < 0).any() or (places >= len(values)).any():
        wrong.append(f"{tried.name}: the order read does not fit the values or the {certificate.units} units.")
        return 1.0
    if np.bincount(places, minlength=len(values)).tolist() != list(tried.counts):
        wrong.append(f"{tried.name}: the order read and the counts disagree.")
        return 1.0
    if not _within_bounds(values, tried, promise, wrong):
        return 1.0
    path = wealth_path(values[places], promise.top, certificate.delta, tried.spread, certificate.units)
    return _compared(tried, float(np.max(path, initial=0.0)), wrong)


def _within_bounds(values: Floats, tried: Tried, promise: Promise, wrong: list[str]) -> bool:
    inside = ((values >= promise.bottom - SLACK) & (values <= promise.top + SLACK)).all()
    if not (inside and tried.spread >= 0):
        wrong.append(f"{tried.name}: a loss lies outside [{promise.bottom:.4g}, {promise.top:.4g}].")
        return False
    return True


def _compared(tried: Tried, wealth: float, wrong: list[str]) -> float:
    p = float(np.exp(-wealth))
    if abs(wealth - tried.log_wealth) > 1e-6 or abs(p - tried.p_value) > 1e-6:
        wrong.append(f"{tried.name}: the counts give p = {p:.6g}, the certificate says {tried.p_value:.6g}.")
    return p


def to_json(certificate: Certificate) -> str:
    """The certificate as JSON, every field, numbers in full."""
    return json.dumps(asdict(certificate), indent=2)


def from_json(text: str) -> Certificate:
    """Reads what `to_json` wrote; raises BadInput for anything else."""
    try:
        raw: Any = json.loads(text)
        if not isinstance(raw, dict):
            raise BadInput("A certificate is a JSON object.", hint="Give the file that sprat study wrote.")
        found = _known(cast("Mapping[str, Any]", raw), Certificate)
        for name in ("level", "delta", "biggest_bet", "caution"):
            found[name] = float(found[name])
        for name in ("lists", "units", "rows", "seed", "earlier_studies"):
            found[name] = int(found[name])
        rows: list[dict[str, Any]] = [_known(t, Tried) for t in found["tried"]]
        for row in rows:
            row |= {"values": tuple(map(float, row["values"])), "counts": tuple(map(int, row["counts"]))}
            row |= {name: float(row[name]) for name in ("spread", "log_wealth", "p_value")}
        found |= {"tried": tuple(Tried(**row) for row in rows), "listed": tuple(map(str, found["listed"]))}
        return Certificate(**found)
    except (ValueError, TypeError, KeyError) as error:
        hint = "Give the file that sprat study wrote, unchanged."
        raise BadInput(f"This is not a certificate: {error}.", hint=hint) from error


def _known(raw: Mapping[str, Any], kind: type[Certificate] | type[Tried]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    for name in raw:
        if name not in names:
            raise BadInput(f"A certificate has no field '{name}'.", hint=nearest(name, names))
    return dict(raw)
