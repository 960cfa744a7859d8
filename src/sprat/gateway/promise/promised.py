"""The [promise] table of serve.toml: what was certified, and how it is to be watched.

`sprat study` writes what was certified (kind, level, delta, measure, reference, setting, losses, features); the
operator may add how to watch it (share, judge, marks, budget, ...). Nothing here does I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

import numpy as np

from ...errors import BadInput, nearest
from ..access.limits import Budget
from .drift import FIRST, SECOND
from .e_process import BETS, BLOCK, Kind, Law
from .watch import Promise

AGREEMENT = "agreement"
AGREEMENTS = (AGREEMENT, "agreement:f1")  # the same final answer; the token F1 of prose
# The certified settings, how they are drawn, what ordinary prompts read like: the policy reads these; `drop` is of
# earlier files.
_BESIDE = ("settings", "explore", "ordinary", "drop")
_SHARES = ("delta", "share", "restore_share", "marks", "loss_part")
_NUMBERS = ("level", *_SHARES, "tolerance", "drift_rate")
_FOUND = "floors"  # no key of the file: it is found from the models
_WATCH_ALONE = ("budget", "at_once", "renew")  # of these a change does not begin a new watch


@dataclass(frozen=True)
class Promised:
    """A certified promise. Shares and chances lie in (0, 1]; `drift_rate` is in requests a second.

    `measure` is what the study scored with; `judge` (an agreement, a model's name, or "" for none) and `marks` (the
    smallest chance that a person marks a pair) say how shadowed pairs are scored. `losses` is the certified setting's
    law of losses, `features` the calibration rows' values by name. `budget` is the most that watching may cost a day
    or month. `renew` begins a new watch by itself once a broken promise is shown to hold again. `floors` is what
    `told_apart` found: below its floor a trust is not told, and at inf it is not watched.
    """

    kind: Kind
    level: float
    delta: float
    measure: str = ""
    reference: str = ""
    setting: str = ""
    losses: Law | None = None
    features: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    share: float = 0.05
    restore_share: float = 0.2
    judge: str = ""
    marks: float | None = None
    budget: Budget | None = None
    at_once: int = 8
    renew: bool = False
    drift_rate: float = 5.0
    tolerance: float = 0.0
    loss_part: float = 0.5
    floors: Mapping[str, float] = field(default_factory=dict[str, float])

    def kept(self, loss: float | None) -> str:
        """What a mean loss says of the promise, in words; "" where it is not known."""
        if loss is None:
            return ""
        if self.kind == "within":
            drop = 100 * (loss + self.level)
            side = "below" if drop > 0 else "above"
            return f"{abs(drop):.3g} points {side} the reference, of {100 * self.level:.3g} allowed"
        if self.judge in AGREEMENTS and self.marks is None:  # the reference's own score is 1
            return f"kept {100 * (self.level - loss):.3g} % of the {100 * self.level:.3g} % needed"
        return f"{abs(100 * loss):.3g} points {'worse' if loss > 0 else 'better'} than needed"

    @property
    def loss_watched(self) -> bool:
        """Whether shadowed pairs get scores at all."""
        return bool(self.judge) or self.marks is not None

    @property
    def watched(self) -> bool:
        """Whether anything is watched, pairs or requests."""
        return self.loss_watched or bool(self.features)

    @property
    def how(self) -> str:
        """What is watched, in words; and what to do where the loss is not."""
        drift = f"requests are watched for drift by {', '.join(self.features)}" if self.features else ""
        untold = [name for name in self.floors if name not in self.features]
        if untold:
            said = f"{', '.join(untold)} not, since drafts are kept before it is known"
            drift = f"{drift}; {said}" if drift else f"requests are not watched for drift: {said}"
        if not self.loss_watched:
            scores = f"no reply tells the study's scores ({self.measure})" if self.measure else "no judge is named"
            todo = 'set judge = "MODEL" or marks = 0.1 under [promise]'
            return f"the loss is not watched, since {scores}: {todo}; {drift or 'nor are the requests: no features'}"
        how = f"as {self.judge} judges" if self.judge else ""
        if self.judge in AGREEMENTS:
            how = "by agreement with the reference" + ("" if self.judge == AGREEMENT else ", as token F1")
        if self.marks is not None:
            how = f"{how}, corrected by a person's marks" if how else "by a person's marks"
        elif self.judge not in AGREEMENTS and not self.measure.endswith(self.judge):
            how += " (an opinion: no marks correct it)"
        return f"the loss is watched {how}; {drift or 'requests are not watched for drift: there are no features'}"

    @property
    def rate(self) -> float:
        """The chance with which a request is shadowed; without a judge only pairs that a person marks count."""
        return self.share if self.judge or self.marks is None else self.share * self.marks

    @property
    def restore_rate(self) -> float:
        """The same while the promise is broken."""
        return self.restore_share if self.judge or self.marks is None else self.restore_share * self.marks

    @property
    def corrected(self) -> float | None:
        """The chance of a mark beside a judge's scores; None where there is no judge to correct."""
        return self.marks if self.judge else None

    def identity(self, certificate: Mapping[str, Any], served: str = "") -> str:
        """A hash of all that a watch depends on: another certificate, way of watching or `served` is a new watch."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _WATCH_ALONE}
        told["losses"] = self.losses and [self.losses.values, self.losses.counts]
        tests = BETS, BLOCK, FIRST, SECOND  # a state of other bets can't be gone on with
        text = json.dumps([told, dict(certificate), served, tests], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def certified(self, certificate: Mapping[str, Any]) -> str:
        """A hash of the certificate; where the file has none, of what it says was certified."""
        law = self.losses and [self.losses.values, self.losses.counts]
        own = [self.kind, self.level, self.delta, self.measure, self.reference, self.setting, law]
        text = json.dumps(dict(certificate) or own, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def begun(self, at: float) -> Promise:
        """A watch that begins now."""
        return Promise(
            self.kind,
            self.level,
            self.delta,
            at,
            share=self.rate,
            restore_share=self.restore_rate,
            marks=self.corrected,
            law=self.losses,
            samples=self.features or None,
            loss_part=self.loss_part,
            tolerance=self.tolerance,
        )


def promised(table: Any, where: str, models: Mapping[str, Any]) -> Promised | None:
    """The promise in a [promise] table, None where there is none; BadInput says what is wrong and where."""
    if table is None:
        return None
    at = f"{where}, [promise]"
    if not isinstance(table, dict):
        raise BadInput(f"{at} is not a table.", hint='Such as kind = "within", level = 0.05, delta = 0.1.')
    given = cast("dict[str, Any]", table)
    known = [f.name for f in fields(Promised) if f.name != _FOUND]
    for key in given:
        if key not in (*known, *_BESIDE):
            raise BadInput(f"{at}: '{key}' is not known.", hint=nearest(key, [*known, *_BESIDE]))
    told: dict[str, Any] = {k: _value(k, v, at) for k, v in given.items() if k in known}
    lacking = next((k for k in ("kind", "level", "delta") if k not in told), None)
    if lacking:
        raise BadInput(f"{at} says no '{lacking}'.", hint='Such as kind = "within", level = 0.05, delta = 0.1.')
    if told.get("measure") in AGREEMENTS:
        told.setdefault("judge", told["measure"])
    made = Promised(**told)
    for what in ("reference", "judge"):
        name = getattr(made, what)
        if name and name not in models and not (what == "judge" and name in AGREEMENTS):
            raise BadInput(f"{at}: the {what} '{name}' is no model of [models].", hint=nearest(name, models))
    if made.judge in AGREEMENTS and made.measure not in ("", made.judge) and made.marks is None:
        said = f"{at}: scores by {made.measure} can't be watched by {made.judge}, whose loss is another one."
        raise BadInput(said, hint="Set marks = 0.1, so that a person's marks correct it, or let a model judge.")
    made.begun(0.0)  # whatever else is out of range is said now
    return made


def _value(key: str, value: Any, at: str) -> Any:
    if key == "kind":
        if value not in ("keep", "within"):
            raise BadInput(f"{at}: kind is {value!r}.", hint="Needed: 'keep' or 'within'.")
        return value
    if key in _NUMBERS:
        right = isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)
        if not right or value < 0 or (value == 0 and key != "tolerance") or (key in _SHARES and value > 1):
            most = " and at most 1" if key in _SHARES else ""
            raise BadInput(f"{at}: {key} is {value!r}.", hint=f"Needed: a number above 0{most}.")
        return float(value)
    if key == "budget":
        if not isinstance(value, str):
            raise BadInput(f"{at}: budget is {value!r}.", hint='Such as budget = "2/day".')
        return Budget.of(value)
    if key == "at_once":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadInput(f"{at}: at_once is {value!r}.", hint="Needed: a whole number of at least 1.")
        return value
    if key == "losses":
        return _law(value, at)
    if key == "features":
        return _features(value, at)
    kind = bool if key == "renew" else str
    if not isinstance(value, kind):
        raise BadInput(f"{at}: {key} is {value!r}.", hint=f"Needed: {'true or false' if kind is bool else 'a text'}.")
    return value


def _law(value: Any, at: str) -> Law:
    try:
        return Law(*(tuple(np.asarray(value[k], float).ravel().tolist()) for k in ("values", "counts")))
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"{at}: losses can't be read.", hint="Needed: values and counts, two equally long lists."
        ) from None


def _features(value: Any, at: str) -> dict[str, tuple[float, ...]]:
    try:
        found = {str(k): tuple(np.asarray(v, float).ravel().tolist()) for k, v in value.items()}
    except (AttributeError, TypeError, ValueError):
        hint = "Needed: a table of lists of numbers, the calibration rows' values."
        raise BadInput(f"{at}: features can't be read.", hint=hint) from None
    return found
