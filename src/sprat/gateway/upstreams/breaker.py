"""A circuit breaker per upstream (address and model): one that fails is left alone for a while, so it costs no waiting.

Closed, open, half-open, as in Nygard's Release It! (2007): over a sliding window of seconds, at least so many failures
that are half of all calls open it; then one probe at a time is let through, and its success closes it. Failures are no
connection, timeouts, 5xx, garbled answers and 429; what an upstream refuses as the client's fault is an answer. Checked
with hand-driven clocks in tests/gateway/test_breaker.py. A worker knows its own calls alone: breakers are not shared.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...endpoints.http import Call
from ...errors import EndpointError, RateLimited, Refused, ServerFailed
from ..wire.problem import PASSED_ON
from ..wire.struck import struck

log = logging.getLogger("sprat.gateway")
_BUCKETS = 10
_LONGEST, _LONGEST_ASKED = 60.0, 300.0  # seconds that it stays open: by its own rule, and by an upstream's Retry-After
_MOST = 1000
_SILENT = 60.0  # seconds


class CircuitOpen(ServerFailed):
    """The upstream failed so often lately that it is not asked; `after` is when it will be."""

    retryable = sent = False
    what = "it failed too often lately to be asked"


@dataclass(frozen=True)
class Rule:
    """It opens at `failures` within `window` seconds where they are half of the calls; then for `pause` seconds."""

    failures: int = 5
    window: float = 30.0
    pause: float = 5.0


class Circuit:
    """One upstream's; `now` is monotonic seconds everywhere."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.buckets: dict[int, list[int]] = {}  # [answered, failed] per tenth of the window
        self.until: float | None = None  # open or half-open; None: closed
        self.probed: float | None = None
        self.again = self.opened = 0
        self.why = ""
        self.said_at: float | None = None  # when the log last told what it answered

    def state(self, now: float) -> str:
        """Closed, open or half-open."""
        return "closed" if self.until is None else "open" if now < self.until else "half-open"

    def counts(self, rule: Rule, now: float) -> tuple[int, int]:
        """How many calls were answered and how many failed within the window."""
        oldest = int(now / rule.window * _BUCKETS) - _BUCKETS
        for place in [p for p in self.buckets if p <= oldest]:
            del self.buckets[place]
        found = list(self.buckets.values())
        return sum(b[0] for b in found), sum(b[1] for b in found)

    def enter(self, rule: Rule, now: float) -> bool:
        """Whether the attempt is a probe; raises CircuitOpen where none may be made."""
        if self.until is None:
            return False
        if now < self.until or (self.probed is not None and now - self.probed < rule.pause):
            wait = max(1.0, self.until - now)
            raise CircuitOpen(
                f"'{self.name}' failed too often lately ({self.why}), so it is not asked for {wait:.0f} s.",
                status=503,
                after=wait,
            )
        self.probed = now
        return True

    def note(self, rule: Rule, now: float, probe: bool, error: EndpointError | None) -> None:
        """Take in how an attempt went."""
        if self.until is not None and not probe:
            return  # it began before the circuit opened, or between two probes
        if error is None and probe:
            self.until, self.probed, self.again = None, None, 0
            self.buckets.clear()
            log.warning("'%s' answers again.", self.name)
        bucket = self.buckets.setdefault(int(now / rule.window * _BUCKETS), [0, 0])
        bucket[error is not None] += 1
        if error is None:
            return
        self.why = error.what
        answered, failed = self.counts(rule, now)
        if probe or (failed >= rule.failures and failed >= answered):
            self._open(rule, now, error)

    def _open(self, rule: Rule, now: float, error: EndpointError) -> None:
        asked = min(error.after or 0.0, _LONGEST_ASKED) if isinstance(error, RateLimited) else 0.0
        pause = max(min(rule.pause * 2**self.again, max(_LONGEST, rule.pause)), asked)
        if self.again == 0:
            log.warning("'%s' fails (%s) and is not asked for %.0f s.", self.name, self.why, pause)
        self.until, self.probed = now + pause, None
        self.again = min(self.again + 1, 16)
        self.opened += 1


class _Attempt:
    __slots__ = ("breakers", "circuit", "probe", "told")

    def __init__(self, breakers: Breakers, circuit: Circuit, probe: bool) -> None:
        self.breakers, self.circuit, self.probe, self.told = breakers, circuit, probe, False

    def passed(self) -> None:
        if not self.told:
            self.told = True
            self.circuit.note(self.breakers.rule, self.breakers.clock(), self.probe, None)

    def failed(self, error: EndpointError) -> None:
        self.breakers.say(self.circuit, error)
        if isinstance(error, Refused):
            return self.passed()
        if not self.told:
            self.told = True
            self.circuit.note(self.breakers.rule, self.breakers.clock(), self.probe, error)
        return None

    def left(self) -> None:
        if self.probe and not self.told:
            self.circuit.probed = None  # the client went: another may probe
        self.told = True


class Breakers:
    """Every upstream's circuit; set as the gate of all calls that a request makes."""

    def __init__(self, rule: Rule | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rule, self.on, self.clock = rule or Rule(), rule is not None, clock
        self.circuits: dict[tuple[str, str], Circuit] = {}

    def enter(self, call: Call) -> _Attempt:
        """An attempt of the call; raises CircuitOpen."""
        circuit = self._of(call)
        return _Attempt(self, circuit, circuit.enter(self.rule, self.clock()) if self.on else False)

    def say(self, circuit: Circuit, error: EndpointError) -> None:
        """Log why an upstream fails, in its own words, at most once a minute: clients are not told.

        What it refuses as the client's fault is for the client, and may quote the prompt.
        """
        now = self.clock()
        if error.status in PASSED_ON or (circuit.said_at is not None and now - circuit.said_at < _SILENT):
            return
        circuit.said_at = now
        log.warning("An upstream failed: %s", struck(str(error)))

    def broke(self, call: Call, error: EndpointError) -> None:
        """An answer that had begun broke off: a failure, though its call counted as answered when it began."""
        self.say(self._of(call), error)
        self._of(call).note(self.rule, self.clock(), False, error)

    def _of(self, call: Call) -> Circuit:
        model = str(call.body.get("model", "")) if isinstance(call.body, Mapping) else call.name
        key = (call.url, model)
        circuit = self.circuits.get(key)
        if circuit is None:
            if len(self.circuits) >= _MOST:
                self.circuits.clear()
            circuit = self.circuits[key] = Circuit(call.name)
        return circuit

    def configure(self, rule: Rule | None, names: set[str]) -> None:
        """Go on by another rule, and forget the upstreams that are no longer named."""
        self.rule, self.on = rule or Rule(), rule is not None
        self.circuits = {k: c for k, c in self.circuits.items() if c.name in names}

    def status(self) -> list[dict[str, Any]]:
        """Per upstream, ready for JSON: state, calls and failures in the window, times opened, seconds until asked."""
        now, found = self.clock(), list[dict[str, Any]]()
        for circuit in self.circuits.values():
            answered, failed = circuit.counts(self.rule, now)
            row = {"upstream": circuit.name, "state": circuit.state(now) if self.on else "off", "failed": failed}
            row |= {"calls": answered + failed, "opened": circuit.opened, "why": circuit.why}
            wait = None if circuit.until is None else round(max(0.0, circuit.until - now), 1)
            found.append({**row, "asked_in": wait})
        return found
