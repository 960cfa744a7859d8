"""Folds evidence into the watch over the promise: one worker by lease, each row once, the outcome published for all.

Each worker runs a `Folder` in a thread of its own. It looks at the saved watch twice a second: what is published there
is what every worker acts on. The one that holds the lease also folds the new rows (see evidence.py for why each is
counted once). The lease ends a few seconds after its holder does, and another worker goes on from what was saved.

A pair that a person could not judge counts as the scores that speak most for the present state: against an alarm while
the promise holds, against its renewal while it is broken. So wealth is at most what the true scores would have made
it, and nobody can skip a promise into an alarm, or out of one.

A changed file begins a new watch, where it was read later than the one that is watched: a worker that still serves an
older one watches nothing, and acts on what is published. A broken promise stays broken under the same certificate,
whatever else of the file was changed: only new evidence, or a new certificate, ends that. So does a suspended one stay
suspended until it is resumed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from ...errors import BadInput
from ..asgi import fresh
from ..ledger import schema
from . import evidence
from .evidence import COMMANDS, Evidence, Watch
from .promised import Promised
from .watch import Promise, State

log = logging.getLogger("sprat.gateway")
TICK = 0.5  # seconds between two looks
JUMPED = 60.0  # seconds ahead that are a clock's fault
LEASE = 5.0  # seconds that a worker is not missed for
RECENT = 2000  # requests since the alarm whose features begin the next drift test
ALTERED = "not watched as certified: the file was changed."
ENOUGH = 100  # of them; with fewer it begins without a sample


class Folder:
    """The watch over one promise as this worker sees it; `status` is what is published."""

    def __init__(
        self,
        engine: Engine,
        promised: Promised,
        identity: str,
        *,
        certificate: str = "",
        read_at: float = 0.0,
        altered: bool = False,
    ) -> None:
        """`certificate` says which one it is, `read_at` when its file was read (seconds since 1970)."""
        self.engine, self.promised, self.identity = engine, promised, identity
        self.certificate, self.read_at, self.altered = certificate, read_at, altered
        self.name = fresh()
        self.promise = promised.begun(0.0)
        self.recent: list[Mapping[str, float]] = []
        self.version = 0  # of the state that `promise` holds
        self.refused = 0
        self.trouble = ""
        self.superseded = False
        self.waiting = 0, 0  # pairs for a person's marks, and pairs behind these
        self.status: Mapping[str, Any] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sprat-promise", daemon=True)

    def start(self) -> None:
        """Go on with the saved watch, or begin one where it is of another promise; then look twice a second."""
        try:
            self._begin()
        except SQLAlchemyError as error:
            hint = "Is the store there, and is nothing else holding it?"
            raise BadInput(f"The promise can't be watched: {schema.cause(error)}.", hint=hint) from None
        self._thread.start()

    def stop(self) -> None:
        """Fold what is there, give the lease back, and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        with contextlib.suppress(SQLAlchemyError):
            self.tick()
            if self._mine():
                self._save((), self.version, until=0.0)

    def tick(self) -> None:
        """Look at the saved watch; fold what is new where this worker holds the lease, or nobody does."""
        with self.engine.connect() as connection:
            saved = evidence.watch(connection)
            if self.promised.marks is not None:
                self.waiting = evidence.waits(connection, self.identity)
        if saved is None:  # the store was taken away and begun anew
            self._begin()
            return
        self.superseded = saved.watch != self.identity
        self.status = saved.status
        if not self.superseded:  # the same was read again by another worker
            self.read_at = max(self.read_at, _read_at(saved))
        now = time.time()
        others = saved.holder != self.name and now < saved.until < now + 10 * LEASE  # further off, a clock has jumped
        if self.superseded or others:
            return
        if saved.version != self.version:
            self._restore(saved)
        if self.promise.since > now + JUMPED:  # a clock was ahead: what comes now would wait until it is right
            self.promise.since = now
        while rows := self._new():
            if not self._fold(rows):
                return
            if len(rows) < evidence.FOLDED_AT_ONCE:
                break
        if saved.holder != self.name or saved.until - now < LEASE / 2:
            self._save((), self.version)

    def _run(self) -> None:
        while not self._stop.wait(TICK):
            try:
                self.tick()
                self.trouble = ""
            except SQLAlchemyError as error:
                if not self.trouble:
                    log.warning("The promise is not watched while the store is away: %s.", schema.cause(error))
                self.trouble = schema.cause(error)
            except Exception as error:  # whatever it is, requests go on and the watch tries again
                if self.trouble != type(error).__name__:
                    log.error("The watch over the promise failed: %s", type(error).__name__, exc_info=error)
                self.trouble = type(error).__name__

    def _begin(self) -> None:
        saved, before = evidence.begin(self.engine, self._made)
        self.version = saved.version if saved.holder == self.name else 0
        self.superseded = saved.watch != self.identity
        if self.superseded:
            log.warning("The promise is watched by a newer file than the one that is served here.")
        elif before is not None:
            still = "" if self.promise.state == "holding" else f", and the promise stays {self.promise.state}"
            log.warning("The promise or how it is watched has changed: a new watch begins%s.", still)
        self.status = saved.status

    def _made(self, there: Watch | None) -> Watch | None:
        """The watch that takes the place of the saved one; None where that is the same, or of a file read later."""
        now = time.time()
        if there is not None and (there.watch == self.identity or self.read_at < _read_at(there) < now + JUMPED):
            return None
        self.promise, self.recent = self.promised.begun(now), []
        told = there.status if there is not None else {}
        state, why = acting(told), str(told.get("why", ""))
        if told.get("certificate") == self.certificate:  # of another one nothing is known yet
            if state == "broken":
                self.promise.carry(now, why)  # only evidence mends it
            elif state == "suspended":
                self.promise.suspend(now, why)  # until it is resumed by hand
        return Watch(self.identity, self.name, now + LEASE, 1, self._state(), self._told(now))

    def _restore(self, saved: Watch) -> None:
        raw = json.loads(saved.state)
        self.promise = self.promised.begun(0.0)
        self.promise.restore(raw["promise"])
        self.recent, self.refused, self.version = raw["recent"], raw["refused"], saved.version

    def _mine(self) -> bool:
        with self.engine.connect() as connection:
            saved = evidence.watch(connection)
        return saved is not None and (saved.holder, saved.version) == (self.name, self.version)

    def _new(self) -> list[Evidence]:
        with self.engine.connect() as connection:
            return evidence.unfolded(connection, self.identity)

    def _fold(self, rows: Sequence[Evidence]) -> bool:
        """Count rows and save; False where another worker was quicker, so that nothing of it stays."""
        before, version, self.version = self.promise.state, self.version, 0  # until saved, what is counted is not known
        for row in rows:
            try:
                self._count(row)
            except (BadInput, KeyError, TypeError, ValueError) as error:
                self.refused += 1
                log.warning("Evidence on the promise was refused: %s", error)
        if self.promised.renew and self.promise.restoring is not None and self.promise.restoring.alarm:
            self._renew(time.time())
        if not self._save(rows, version):
            return False
        if self.promise.state != before:
            level = logging.WARNING if self.promise.state == "broken" else logging.INFO
            said = self.promise.status().sentence
            log.log(level, "The promise is %s", said[0].lower() + said[1:])
        return True

    def _count(self, row: Evidence) -> None:
        promise = self.promise
        if row.kind in COMMANDS:
            why = str(row.body.get("why", ""))
            if row.kind == "suspend":
                promise.suspend(row.at, why)
            elif row.kind == "resume":
                promise.resume(row.at)
            else:
                self._renew(row.at)
        elif row.kind == "request":
            if promise.restoring is not None:
                self.recent = [*self.recent, row.body["features"]][-RECENT:]
            else:
                promise.observe_request(row.at, row.body["features"], float(row.body["draw"]))
        else:
            self._pair(promise, row)

    def _pair(self, promise: Promise, row: Evidence) -> None:
        if promise.restoring is not None and not (row.body.get(evidence.RESTORING) or row.body.get("skipped")):
            return  # of what answered before the alarm was heard of, which may be a safer setting
        marks = row.marked_reference, row.marked_policy
        marked = (marks[0], marks[1]) if marks[0] is not None and marks[1] is not None else None
        if row.body.get("skipped"):
            marked = (1.0, 0.0) if promise.restoring is not None else (0.0, 1.0)
        scores = (row.reference, row.policy) if promise.labels is not None or marked is None else marked
        floor = (promise.restoring or promise.watch).floor
        if scores[0] is None or scores[1] is None or row.propensity is None or row.propensity < floor - 1e-9:
            return  # drawn at another rate, just before the state changed: too seldom for this test
        promise.observe_pair(
            row.at,
            scores[0],
            scores[1],
            row.propensity,
            marked=marked if promise.labels is not None else None,
            mark_propensity=row.mark_chance,
        )

    def _renew(self, at: float) -> None:
        names = list(self.promised.features)
        known = [f for f in self.recent if all(n in f for n in names)]
        enough = len(known) >= ENOUGH and names
        self.promise.renew(at, {n: [f[n] for f in known] for n in names} if enough else None)
        self.recent = []

    def _save(self, rows: Sequence[Evidence], version: int, until: float | None = None) -> bool:
        now = time.time()
        held = now + LEASE if until is None else until
        told = self._told(now)
        new = Watch(self.identity, self.name, held, version + 1, self._state(), told)
        if not evidence.save(self.engine, new, rows):
            return False
        self.version, self.status = new.version, told
        return True

    def _state(self) -> str:
        return json.dumps({"promise": self.promise.to_json(), "recent": self.recent, "refused": self.refused})

    def _told(self, now: float) -> dict[str, Any]:
        found, asked = self.promise.status(), self.promised
        sentence, state, why = found.sentence, found.state, found.why
        if found.state == "holding" and not asked.loss_watched:
            drift = (
                ""
                if found.drift_wealth is None
                else f" (evidence {found.drift_wealth:.3g}, alarm at {found.drift_alarm:.3g})"
            )
            sentence = f"{asked.how[0].upper()}{asked.how[1:]}{drift}."
        if found.state == "broken" and not asked.loss_watched:
            sentence = (
                f"Broken: {why} No pairs are scored, so nothing can show that it holds again: "
                'set judge = "MODEL" or marks = 0.1 under [promise], or study requests like these anew.'
            )
        if found.state == "holding" and self.altered:
            state, why = "suspended", ALTERED
            sentence = f"Suspended: {ALTERED} What is served now: {sentence[0].lower()}{sentence[1:]}"
        return {
            **asdict(found),
            "state": state,
            "why": why,
            "acting": found.state,
            "certificate": self.certificate,
            "read_at": self.read_at,
            "sentence": sentence,
            "watched": asked.watched,
            "how": asked.how,
            "loss_watched": asked.loss_watched,
            "kind": asked.kind,
            "level": asked.level,
            "kept": asked.kept(found.mean_loss),
            "delta": asked.delta,
            "reference": asked.reference,
            "setting": asked.setting,
            "share": 0.0 if not asked.loss_watched else asked.restore_rate if found.state == "broken" else asked.rate,
            "renewals": self.promise.renewals,
            "refused": self.refused,
            "written": now,
        }


def acting(status: Mapping[str, Any]) -> State:
    """The state that workers act by; what is shown differs where the file was changed."""
    return status.get("acting") or status.get("state") or "holding"


def _read_at(saved: Watch) -> float:
    return float(saved.status.get("read_at", 0.0))
