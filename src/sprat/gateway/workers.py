"""Several processes on one listening socket: a supervisor that starts them, restarts who dies, and stops them all.

Workers are forked from a process that has loaded what is served, so they share its memory; each has its own event
loop and its own writer to the same store. The supervisor itself answers nothing.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from ..errors import BadInput

log = logging.getLogger("sprat.gateway")
NOT_STARTED = 3  # a worker's exit status: it could not begin, so another try would hardly
_PAUSE = (0.1, 30.0)
_SETTLED = 10.0  # seconds after which a worker that dies is started again at once


@dataclass(eq=False)
class _Place:
    number: int
    process: Any = None
    began: float = 0.0
    pause: float = _PAUSE[0]
    due: float = 0.0


class Workers:
    """`count` processes that run `work(folder, number)`; the folder is what they share besides the store."""

    def __init__(self, count: int, work: Callable[[Path, int], int], patience: float) -> None:
        if not hasattr(os, "fork"):
            raise BadInput(f"There can't be {count} workers on {sys.platform}.", hint="Leave --workers out.")
        self.work, self.patience = work, patience
        self.places = [_Place(n) for n in range(count)]
        self.stopping = 0.0
        self._fork: Any = multiprocessing.get_context("fork")

    def run(self) -> int:
        """Run until told to stop (SIGTERM, SIGINT) or until no worker can begin; 0 where all went well."""
        with tempfile.TemporaryDirectory(prefix="sprat-") as folder:
            self.folder = Path(folder)
            handled = {s: signal.signal(s, self._told) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
            try:
                return self._watch()
            finally:
                for name, handler in handled.items():
                    signal.signal(name, handler)

    def _watch(self) -> int:
        begun = False
        for place in self.places:
            self._start(place)
        while True:
            living = [p for p in self.places if p.process is not None]
            if self.stopping and not living:
                return 0
            wait([p.process.sentinel for p in living], timeout=self._idle())
            for place in living:
                if place.process.exitcode is not None:
                    begun = begun or place.process.exitcode != NOT_STARTED
                    self._ended(place)
            if not begun and all(p.process is None for p in self.places):
                return 1
            for place in self.places:
                if place.process is None and not self.stopping and time.monotonic() >= place.due:
                    self._start(place)
            if self.stopping and time.monotonic() > self.stopping + self.patience:
                self._send(signal.SIGKILL)

    def _start(self, place: _Place) -> None:
        place.began = time.monotonic()
        place.process = self._fork.Process(target=self._be, args=(place.number,), name=f"sprat-{place.number}")
        place.process.start()

    def _be(self, number: int) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the application says what it does
        threading.Thread(target=_orphaned, daemon=True).start()
        sys.exit(self.work(self.folder, number))

    def _ended(self, place: _Place) -> None:
        process, place.process = place.process, None
        code, lived = process.exitcode, time.monotonic() - place.began
        process.close()
        for file in self.folder.glob(f"gauge_live*_{place.number}.db"):  # what it was doing just then
            file.unlink(missing_ok=True)
        if self.stopping:
            return
        place.pause = _PAUSE[0] if lived > _SETTLED else min(2 * place.pause, _PAUSE[1])
        place.due = time.monotonic() + (0.0 if lived > _SETTLED else place.pause)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        log.error("Worker %d %s after %.0f s; another takes its place.", place.number, how, lived)

    def _idle(self) -> float:
        now = time.monotonic()
        due = [p.due - now for p in self.places if p.process is None and not self.stopping]
        return max(0.01, min([0.5, *due]))

    def _told(self, sig: int, frame: object) -> None:
        del frame
        if sig == signal.SIGHUP:
            self._send(sig)
            return
        self.stopping = self.stopping or time.monotonic()
        self._send(signal.SIGTERM)  # of Ctrl-C they heard themselves; by a second one they would stop without draining

    def _send(self, sig: int) -> None:
        for place in self.places:
            if place.process is not None and place.process.is_alive():
                os.kill(place.process.pid, sig)


def _orphaned() -> None:
    """End this worker in good order when its supervisor is gone."""
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)
