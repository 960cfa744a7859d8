"""Weighs a block of code: what NVML and RAPL count while it runs, else this process's CPU seconds times a core's share.

Counters see the whole machine: other processes and idle power are in them, and nothing is subtracted. CPU seconds are
of this process and of the children that it has waited for. Checked against counters made up in tests, over wraps.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import CannotDo
from . import nvml, rapl
from .amount import Energy, total
from .processor import Share, share
from .tally import Counter, Tally


def _cpu_seconds() -> float:
    children = os.times()  # counts hundredths of a second; process_time is finer, but of this process alone
    return time.process_time() + children.children_user + children.children_system


class Meter:
    """A context manager; after it `energy` is the sum and `parts` what it is made of. Before that it is not known."""

    def __init__(
        self,
        watts_per_core: float | None = None,
        gpus: Sequence[int] | None = None,
        powercap: Path = rapl.POWERCAP,
        library: Any = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share: Share = share(watts=watts_per_core)
        self._gpus, self._powercap, self._library, self._clock = gpus, powercap, library, clock
        self.parts: tuple[Energy, ...] = ()
        self.seconds: float | None = None
        self.cpu_seconds: float | None = None

    def __enter__(self) -> Meter:
        self.parts, self.seconds, self.cpu_seconds = (), None, None
        self._boards, self._missing = nvml.boards(self._gpus, self._library)
        self._gpu = [Tally(b, self._clock) for b in self._boards]
        self._cpu = [Tally(z, self._clock) for z in rapl.zones(self._powercap)]
        self._began, self._used = self._clock(), _cpu_seconds()
        self._stop = threading.Event()
        self._watcher = self._watch()
        return self

    def _watch(self) -> threading.Thread | None:
        """A thread that looks at what wraps, often enough that no wrap is missed."""
        wrapping = [t for t in self._cpu if t.look_within is not None and not t.lost]
        if not wrapping:
            return None
        pause = min(t.look_within or 0.0 for t in wrapping)

        def look() -> None:
            while not self._stop.wait(pause):
                for tally in wrapping:
                    tally.advance()

        thread = threading.Thread(target=look, name="sprat-energy", daemon=True)
        thread.start()
        return thread

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        for tally in (*self._gpu, *self._cpu):
            tally.advance()
        self.seconds, self.cpu_seconds = self._clock() - self._began, _cpu_seconds() - self._used
        nvml.close(self._boards)
        boards = [_counted(t, "NVML", "whole GPUs: other processes and idle power are in it") for t in self._gpu]
        missing = [Energy.unknown("NVML", why) for why in self._missing]
        self.parts = (*boards, *missing, *self._processor())

    def _processor(self) -> list[Energy]:
        lost = [t.lost for t in self._cpu if t.lost]
        if self._cpu and not lost:
            return [_counted(t, "RAPL", "whole packages: other processes and idle power are in it") for t in self._cpu]
        guess = self._share.of(self.cpu_seconds or 0.0)
        why = f"RAPL is there, but {lost[0]}" if lost else "no counter for the processor (RAPL) here"
        return [Energy(guess.joules, guess.low, guess.high, guess.method, guess.confidence, (why, *guess.notes))]

    @property
    def energy(self) -> Energy:
        """All parts together; CannotDo before the block has ended."""
        if not self.parts:
            raise CannotDo("The meter is still running, or was never begun.", hint="Read it after its `with` block.")
        return total(self.parts)

    @property
    def joules(self) -> float | None:
        """Joules, None where a part is unknown."""
        return self.energy.joules

    @property
    def low(self) -> float | None:
        """The least that it was under the assumptions."""
        return self.energy.low

    @property
    def high(self) -> float | None:
        """The most that it was under the assumptions."""
        return self.energy.high

    @property
    def method(self) -> str:
        """How it was found."""
        return self.energy.method

    @property
    def confidence(self) -> str:
        """measured, estimated, or unknown."""
        return self.energy.confidence


def _counted(tally: Tally, method: str, note: str) -> Energy:
    return Energy.unknown(method, tally.lost) if tally.lost else Energy.measured(tally.joules, method, note)


def counters(powercap: Path = rapl.POWERCAP, library: Any = None) -> list[tuple[Counter, str]]:
    """What this machine can count, each with why it can't be read ("": it can)."""
    found, missing = nvml.boards(None, library)
    told: list[tuple[Counter, str]] = [(c, Tally(c).lost) for c in (*found, *rapl.zones(powercap))]
    nvml.close(found)
    return [*told, *((nvml.Board(None, None, "GPU"), why) for why in missing)]


def meter(watts_per_core: float | None = None, gpus: Sequence[int] | None = None) -> Meter:
    """`with meter() as m: ...`, then `m.joules`, `m.method`, `m.energy`.

    `watts_per_core` is a busy core's, used where RAPL can't be read; `gpus` the numbers of the boards to count (all).
    """
    return Meter(watts_per_core, gpus)
