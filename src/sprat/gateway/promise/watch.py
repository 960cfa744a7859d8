"""The promise while it is served: watched on shadowed pairs and on requests, broken when either alarms, and renewed.

Papers: those of `e_process`, `drift` and `labels`; watching a deployed model for harm (arXiv 2110.06177). Checked
against: false alarms of both tests together over 1,000 simulated months, delays and renewals
(`benchmarks/promise_watch.py`).

delta is split between the loss test and the drift test, so that while the promise holds and the requests stay alike,
either alarms ever with probability at most delta. Which requests are shadowed, and which pairs a person marks, is
drawn with known probabilities: that randomness is part of the policy, and each probability is to be logged.

After an alarm the state is broken: the reference is to answer, and the policy is shadowed beside it, at
`restore_share`. The opposite test then bets that the promise holds; once its wealth is 1/delta, `renew` begins a new
watch. That evidence is about the traffic since the alarm alone. Each renewal is a certificate of its own, wrong with
probability at most delta. A promise can also be suspended by hand (a budget that allows uncertified settings does so):
what is seen meanwhile is not about the certified policy, so neither pairs nor requests are counted.

Nothing here draws, sleeps or reads a clock: uniform draws and times (seconds since 1970) are passed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from sprat.errors import BadInput
from sprat.gateway.promise.drift import DriftTest
from sprat.gateway.promise.e_process import EProcess, Kind, Law, bounds_of, loss_of
from sprat.gateway.promise.labels import CorrectedLosses

State = Literal["holding", "suspended", "broken"]

BINS = 48  # of losses, whose means stand for them
ENOUGH = 30  # losses since the alarm before their own law replaces the certificate's


@dataclass(frozen=True)
class Drawn:
    """Whether something was drawn to be done, and with which probability: log both."""

    taken: bool
    propensity: float


@dataclass(frozen=True)
class PromiseStatus:
    """The state, since when (seconds since 1970) and why; wealths, of which `loss_alarm` and `drift_alarm` are alarms.

    `pairs` and `requests` are those of this watch. Where broken, `pairs_needed` more pairs (of them `marks_needed`
    marked by a person) are expected to restore it with probability .8: None if none would, 0 once `restorable`.
    """

    state: State
    since: float
    why: str
    loss_wealth: float
    loss_alarm: float
    drift_wealth: float | None
    drift_alarm: float | None
    pairs: int
    requests: int
    mean_loss: float | None
    restorable: bool
    pairs_needed: int | None
    marks_needed: int | None

    @property
    def sentence(self) -> str:
        """The state in words, with what would restore it."""
        if self.state == "holding":
            drift = "" if self.drift_wealth is None else f", drift evidence {self.drift_wealth:.3g}"
            alarm = f" (alarm at {self.loss_alarm:.3g})"
            return f"Holding: evidence against it {self.loss_wealth:.3g}{alarm}{drift}, {self.pairs} pairs seen."
        if self.state == "suspended":
            return f"Suspended: {self.why}"
        if self.restorable:
            return f"Broken: {self.why} The new pairs show that it holds again: renew it."
        if self.pairs_needed is None:
            return f"Broken: {self.why} As the new pairs look, no number of them restores it: choose a safer setting."
        marks = f", {self.marks_needed} of them marked," if self.marks_needed is not None else ""
        return f"Broken: {self.why} About {self.pairs_needed} more labelled pairs{marks} are expected to restore it."


class Promise:
    """A certified promise under watch; every method takes the time `at` and is quick enough for the request path."""

    def __init__(
        self,
        kind: Kind,
        level: float,
        delta: float,
        at: float,
        *,
        share: float = 0.05,
        restore_share: float = 0.2,
        marks: float | None = None,
        law: Law | None = None,
        samples: Mapping[str, ArrayLike] | None = None,
        loss_part: float = 0.5,
        tolerance: float = 0.0,
        seed: int = 0,
    ) -> None:
        """`share` of requests is shadowed; `marks` is the smallest chance of a human mark (None: no judge, all marked).

        `law` is the certificate's law of losses, `samples` the calibration rows' features (None: no drift test);
        `loss_part` of delta goes to the loss test. Raises BadInput out of range.
        """
        if kind not in ("keep", "within") or not (0 < level < 1 and 0 < share <= 1 and 0 < restore_share <= 1):
            hint = "A promise is 'keep' or 'within'; its level and the shares lie in (0, 1]."
            raise BadInput(
                f"This is no promise to watch: {kind} {level}, shadowed {share}, {restore_share}.", hint=hint
            )
        if not 0 < delta < 1 or not 0 < loss_part <= 1 or (samples and loss_part == 1):
            raise BadInput(f"delta and loss_part must lie between 0 and 1, not {delta} and {loss_part}.")
        self.kind: Kind = kind
        self.level, self.delta, self.share, self.restore_share = level, delta, share, restore_share
        self.marks, self.law, self.loss_part = marks, law, loss_part if samples else 1.0
        self.drift = DriftTest.of(samples, delta * (1 - loss_part), seed=seed, tolerance=tolerance) if samples else None
        self.state: State = "holding"
        self.renewals, self.since, self.why = 0, at, ""
        self._begin()

    def _begin(self) -> None:
        """A new watch on the loss."""
        low, high = bounds_of(self.kind, self.level)
        self.labels = CorrectedLosses(low, high, self.marks) if self.marks is not None else None
        self.bounds = self.labels.bounds if self.labels else (low, high)
        self.watch = EProcess(*self.bounds, self.delta * self.loss_part, self.share)
        self.restoring: EProcess | None = None
        self._tally = [[0.0, 0.0] for _ in range(BINS)]
        self._known: tuple[int, int | None] = -1, None

    def shadow(self, draw: float) -> Drawn:
        """Whether this request is shadowed, by a uniform draw: the reference's answer is asked for beside, or instead.

        Where a budget for shadowing has run out, do not call it: what is skipped whatever the request, is no bias.
        """
        rate = self.restore_share if self.state == "broken" else self.share
        return Drawn(draw < rate, rate)

    def mark(self, draw: float) -> Drawn:
        """Whether a person is to mark this pair, by a uniform draw."""
        rate = 1.0 if self.marks is None else self.marks
        return Drawn(draw < rate, rate)

    def observe_pair(
        self,
        at: float,
        reference: float,
        policy: float,
        propensity: float,
        *,
        marked: tuple[float, float] | None = None,
        mark_propensity: float | None = None,
    ) -> State:
        """Counts one shadowed request: scores in [0, 1] of the reference's answer and of the policy's.

        `propensity` is the chance it was shadowed with. With a judge, the scores are the judge's, `marked` the
        person's where asked. Call once per pair, when it is settled whether there is a mark; `at` is the request's
        time, and a pair from before the present state began is not counted. Raises BadInput.
        """
        if self.state == "suspended" or at < self.since:
            return self.state
        loss = loss_of(self.kind, self.level, reference, policy)
        if self.labels is not None:
            true = loss_of(self.kind, self.level, *marked) if marked is not None else None
            loss = self.labels.correct(loss, true, mark_propensity)
        low, high = self.bounds
        bucket = self._tally[min(int((loss - low) / (high - low) * BINS), BINS - 1)]
        bucket[0] += 1
        bucket[1] += loss
        if self.restoring is not None:
            if propensity >= self.restoring.floor:  # else it was drawn just before the alarm was raised
                self.restoring.update(-loss, propensity)
            return self.state
        self.watch.update(loss, propensity)
        if self.watch.alarm:
            self._break(at, f"the loss on shadowed requests is above the promised one ({self.watch.seen} pairs).")
        return self.state

    def observe_request(self, at: float, features: Mapping[str, float], draw: float) -> State:
        """Counts one request's features, with a uniform draw; every request, not only those shadowed.

        One from before the present state began is not counted, nor is any while the promise is suspended.
        """
        if self.state == "suspended" or at < self.since:
            return self.state
        if self.drift is not None and self.restoring is None:
            self.drift.update(features, draw)
            if self.drift.alarm:
                moved = f"'{self.drift.moved}' has moved ({self.drift.seen} requests)."
                self._break(at, f"the requests are no longer like those that it was certified on: {moved}")
        return self.state

    def _break(self, at: float, why: str) -> None:
        self.state, self.since, self.why = "broken", at, why
        self.restoring, self._known = self.watch.mirrored(self.delta, self.restore_share), (-1, None)
        self._tally = [[0.0, 0.0] for _ in range(BINS)]

    def carry(self, at: float, why: str) -> None:
        """Begins broken, as the watch before it was; nothing of that one's evidence is counted."""
        self._break(at, why)

    def suspend(self, at: float, why: str) -> None:
        """Says that what is served now is not what was certified; a broken promise stays broken."""
        if self.state == "holding":
            self.state, self.since, self.why = "suspended", at, why

    def resume(self, at: float) -> None:
        """Ends a suspension; the watch goes on where it was."""
        if self.state == "suspended":
            self.state, self.since, self.why = "holding", at, ""

    def renew(self, at: float, samples: Mapping[str, ArrayLike] | None = None) -> None:
        """Begins a new watch once the pairs since the alarm show that the promise holds; BadInput before that.

        `samples` are the features of requests since the alarm; without, the drift test begins without a sample.
        """
        if self.restoring is None or not self.restoring.alarm:
            raise BadInput("The promise cannot be renewed yet.", hint=self.status().sentence)
        if self.drift is not None:
            self.drift = self.drift.again(samples)
        self.renewals += 1
        self.state, self.since, self.why = "holding", at, ""
        self._begin()

    def status(self) -> PromiseStatus:
        """The state of the promise and of the evidence."""
        shown = self.restoring is not None and self.restoring.alarm
        needed = 0 if shown else self._needed()
        total = sum(n for n, _ in self._tally)
        drift = self.drift
        return PromiseStatus(
            state=self.state,
            since=self.since,
            why=self.why,
            loss_wealth=self.watch.wealth,
            loss_alarm=1 / self.watch.delta,
            drift_wealth=drift.wealth if drift else None,
            drift_alarm=1 / drift.delta if drift else None,
            pairs=self.restoring.seen if self.restoring else self.watch.seen,
            requests=drift.seen if drift else 0,
            mean_loss=sum(s for _, s in self._tally) / total if total else None,
            restorable=shown,
            pairs_needed=needed,
            marks_needed=None if needed is None or self.marks is None else round(needed * self.marks),
        )

    def delay(self, by: float, confidence: float = 0.9) -> int | None:
        """How many pairs after the mean loss rose by `by` the alarm has come with this probability; needs a law."""
        law = self._seen() or self.law
        return None if law is None else self.watch.delay(law.worse(by, self.bounds[1]), confidence)

    def _seen(self) -> Law | None:
        """The law of the losses of this watch, or since the alarm, where there are enough."""
        used = [(n, s) for n, s in self._tally if n]
        if sum(n for n, _ in used) < ENOUGH:
            return None
        return Law(tuple(s / n for n, s in used), tuple(n for n, _ in used))

    def _needed(self) -> int | None:
        law, test = self._seen() or self.law, self.restoring
        if test is None or law is None:
            return None
        if self._known[0] != test.seen:  # simulated anew only when there is something new
            self._known = test.seen, test.delay(law.negated(), 0.8)
        return self._known[1]

    def to_json(self) -> str:
        """The whole state; the configuration (promise, shares, law) is given anew to `restore`."""
        restoring, labels, drift = self.restoring, self.labels, self.drift
        own = {"state": self.state, "since": self.since, "why": self.why, "renewals": self.renewals}
        return json.dumps(
            {
                **own,
                "watch": self.watch.state(),
                "restoring": restoring.state() if restoring else None,
                "labels": labels.state() if labels else None,
                "drift": drift.state() if drift else None,
                "tally": self._tally,
            }
        )

    def restore(self, text: str) -> None:
        """Goes on from what `to_json` wrote under the same promise; raises BadInput for anything else."""
        try:
            raw: Any = json.loads(text)
            watch = EProcess.restored(raw["watch"])
            restoring = EProcess.restored(raw["restoring"]) if raw["restoring"] else None
            labels = CorrectedLosses.restored(raw["labels"]) if raw["labels"] else None
            drift = DriftTest.restored(raw["drift"]) if raw["drift"] else None
            tally = [[float(n), float(s)] for n, s in raw["tally"]]
            own = str(raw["why"]), float(raw["since"]), int(raw["renewals"])
            state: State = raw["state"]
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"This is not the state of a promise: {error!r}.") from error
        same = (watch.bottom, watch.top, watch.delta, watch.floor)
        if same != (*self.bounds, self.delta * self.loss_part, self.share) or (drift is None) != (self.drift is None):
            raise BadInput("This state is of another promise.", hint="Begin a new watch, or give back its settings.")
        self._known = -1, None
        self.watch, self.restoring, self.labels, self.drift, self._tally = watch, restoring, labels, drift, tally
        (self.why, self.since, self.renewals), self.state = own, state
