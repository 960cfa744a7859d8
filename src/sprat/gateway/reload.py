"""Hot reload: the served file is loaded anew, whole and checked, before anything that runs is changed.

Told by SIGHUP, or by the file itself where `reload` is set in [gateway] (looked at every second; taken over once it has
stayed the same from one look to the next). Whatever is wrong with the new file, the old one goes on being served, and
/readyz and /metrics say so. Running requests end with the models that they began with; connections to upstreams that
are no longer named close when they have been idle for 30 s. With several workers each does this for itself, and one
that takes the place of another begins with the file as it is then, or, where that is broken, with the one before.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SpratError
from ..shape import leaves
from .last_good import keep, kept
from .promise.keeper import Keeper, reference_of
from .served import Served, digest, load, secrets_of
from .steering.policy import policy_of

if TYPE_CHECKING:
    from .app import Gateway

log = logging.getLogger("sprat.gateway")
# What the store and the server were opened with stays until they are opened again.
FIXED = ("store_prompts", "durable", "keep_days", "header_limit", "drain", "session_hours")
_EVERY = 1.0


class Reloading:
    """The file of a gateway, as it is served and as it is now."""

    def __init__(self, gateway: Gateway, path: Path, every: float = _EVERY) -> None:
        self.gateway, self.path, self.every = gateway, path, every
        self.digest = gateway.served.digest or digest(path)
        self.loaded_at, self.loads, self.failures, self.error = time.time(), 0, 0, ""
        self.refused: str | None = None  # the digest of a file that could not be taken over, so that it is tried once
        self.waiting: tuple[str, ...] = ()  # settings that a restart would change
        self._one = asyncio.Lock()
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._unhook: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Listen for SIGHUP where that is possible here, and look at the file."""
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError, AttributeError):  # not this system, or thread
            loop.add_signal_handler(signal.SIGHUP, self._told.set)
            self._unhook = lambda: loop.remove_signal_handler(signal.SIGHUP)
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        self._unhook()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        seen = self.digest
        while True:
            told = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self.every):
                    told = await self._told.wait()
            self._told.clear()
            now = await asyncio.to_thread(digest, self.path)
            settled, seen = now == seen, now
            if settled and now == self.digest:  # what is served is there again
                self.refused, self.error = None, ""
            changed = settled and now not in (self.digest, self.refused)
            if told or (changed and self.gateway.served.settings.reload):
                await self.again()

    async def again(self) -> bool:
        """Load the file and serve it; False where it can't be: then nothing was changed."""
        async with self._one:
            try:
                served = await asyncio.to_thread(checked, self.path)
                self.waiting = await exchange(self.gateway, served)
            except Exception as error:  # whatever it is, what runs goes on
                self.failures += 1
                self.error = _said(error)
                self.refused = await asyncio.to_thread(digest, self.path)
                log.error("%s was not taken over, the one before is still served: %s", self.path.name, self.error)
                return False
            self.digest, self.refused, self.error = served.digest, None, ""
            await asyncio.to_thread(keep, served, self.gateway.folder)
            self.loaded_at, self.loads = time.time(), self.loads + 1
            left = f" A restart is needed for: {', '.join(self.waiting)}." if self.waiting else ""
            log.warning("%s was loaded anew.%s", self.path.name, left)
            return True

    def said(self) -> str:
        """A line for /readyz: which file is served since when, and why the one that is there now is not."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.loaded_at))
        line = f"config {self.digest[:12]} loaded {at}"
        line += f"; needs a restart: {', '.join(self.waiting)}" if self.waiting else ""
        # The reason may quote the file; whoever asks here needs no key.
        return line + ("; the file that is there now was not taken over: see the log" if self.error else "")

    def gauges(self) -> bytes:
        """For Prometheus: what is loaded, since when, and how often a file was not taken over."""
        rows = [
            ("info", "gauge", "Which file is served.", f'{{hash="{self.digest[:12]}"}} 1'),
            ("loaded_timestamp_seconds", "gauge", "When it was loaded.", f" {self.loaded_at!r}"),
            ("reloads_total", "counter", "Files taken over since the start.", f" {self.loads}"),
            ("reload_failures_total", "counter", "Files that were not taken over.", f" {self.failures}"),
            ("stale", "gauge", "1 where the file that is there now was not taken over.", f" {int(bool(self.error))}"),
        ]
        lines = [
            f"# HELP sprat_config_{n} {h}\n# TYPE sprat_config_{n} {k}\nsprat_config_{n}{v}\n" for n, k, h, v in rows
        ]
        return "".join(lines).encode()


def checked(path: Path) -> Served:
    """What a file serves, with all that is made of it at the start made once; BadInput says what is wrong and where."""
    served = load(path)
    policy_of(served)
    if served.promised is not None:
        reference_of(served, served.promised)
    return served


def anew(served: Served, folder: Path | None = None) -> Served:
    """The file as it is now, for a worker that starts; where it can't be served, the one that was last taken over.

    `served` is what the server began with, and `folder` where its workers keep what they took over since.
    """
    if served.path is None or digest(served.path) == served.digest:
        return served  # forked: the workers share its memory
    try:
        return checked(served.path)
    except Exception as error:  # whatever it is, a worker that serves the file before is better than none
        log.error("%s can't be served; a worker starts with the one before: %s", served.path.name, _said(error))
    try:
        return kept(served, folder)
    except Exception as error:
        log.error("The one before can't be read; a worker starts with that of the start: %s", _said(error))
        return served


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, SpratError) else f"{type(error).__name__}: {error}"


_WATCHED = ("promised", "certificate", "answering", "altered")  # of these a change begins a new watch


async def exchange(gateway: Gateway, served: Served) -> tuple[str, ...]:
    """Serve this from now on; which settings wait for a restart. What may fail is done before anything is changed."""
    before = gateway.served
    waiting = tuple(n for n in FIXED if getattr(served.settings, n) != getattr(before.settings, n))
    kept: dict[str, Any] = {n: getattr(before.settings, n) for n in waiting}
    if served.otel != before.otel:
        waiting = (*waiting, "otel")
    served = replace(served, settings=replace(served.settings, **kept), otel=before.otel)
    policy, old, keeper = policy_of(served), gateway.keeper, gateway.keeper
    if served.promised is None:
        keeper = None
    elif old is None or any(getattr(served, n) != getattr(before, n) for n in _WATCHED):
        keeper = await Keeper.open(gateway, served)
    store: Any = gateway.store
    # No await from here on: a request sees either all of the old or all of the new.
    policy.follow(gateway.policy)
    gateway.served, gateway.policy, gateway.keeper = served, policy, keeper
    gateway.metrics.models = frozenset(served.models)
    gateway.breakers.configure(served.settings.rule, {m.name for m in leaves(tuple(served.models.values()))})
    gateway.forget()
    if keeper is not None and keeper is old:
        keeper.refer(served)
    if hasattr(store, "strike"):
        store.strike(secrets_of(served))
    if old is not None and old is not keeper:
        await old.close()
    return waiting
