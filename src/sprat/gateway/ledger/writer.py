"""Writes exchanges in batches, off the request path: one thread, one bounded queue, one transaction a batch.

What may be lost: on kill -9, what is queued and not committed (by default what was put in about the last 50 ms, more
where the database is slow or away); where the queue is full, the newest exchange, which is counted, while its dollars
still reach the spend. What failed is tried again under the same ids, spend without an exchange too, so that nothing is
written or charged twice, though nobody heard whether the first attempt took place.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError

from ..access.limits import Spent
from ..promise import evidence
from ..promise.evidence import Evidence
from . import schema
from .exchange import Exchange
from .records import COLUMNS, Charges, charges, prompt_of, row_of
from .retention import STEP, delete_older

_BATCH = 500
_CHUNK = 100  # rows of one statement: a thread that runs many small ones waits for Python's lock before each
_RETRY = (0.1, 5.0)
_POISON = (IntegrityError, DataError, ValueError, TypeError, OverflowError)
_ADD = """insert into sprat_spend (key, span, dollars, calls, unknown, at_most)
values (:key, :span, :dollars, :calls, :unknown, :at_most)
on conflict (key, span) do update set dollars = sprat_spend.dollars + excluded.dollars,
calls = sprat_spend.calls + excluded.calls, unknown = sprat_spend.unknown + excluded.unknown,
at_most = sprat_spend.at_most + excluded.at_most"""


@dataclass(frozen=True, slots=True)
class Health:
    """How the store fares: `ok` goes into readyz, `said` says why not; the counts are since the start."""

    ok: bool
    said: str
    queued: int
    written: int
    dropped: int  # not written, because the queue was full
    stripped: int  # written without prompt and reply, because the queue was long
    unwritable: int  # refused by the database again and again
    failing_seconds: float


class Watcher(Protocol):
    """Who wants to know what was committed, and to look at the database about once a second."""

    def committed(self, totals: Charges, added: Charges) -> None:
        """Hear the new totals and what was just added; called in the writer's thread."""

    def poll(self, connection: Connection) -> None:
        """Read what others changed; called in the writer's thread."""


class Waiter:
    """Tells a coroutine, from the writer's thread, whether all that was put before is committed."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[bool] = self.loop.create_future()

    def tell(self, done: bool) -> None:
        """Wake the coroutine."""

        def settle() -> None:
            if not self.future.done():
                self.future.set_result(done)

        with suppress(RuntimeError):  # the loop was closed meanwhile
            self.loop.call_soon_threadsafe(settle)


_Item = tuple[Exchange | None, Waiter | None]


class Writer:
    """The thread that writes, and its queue."""

    def __init__(
        self,
        engine: Engine,
        *,
        prompts: bool = False,
        limit: int = 10_000,
        linger: float = 0.05,
        poll: float = 1.0,
        keep_days: float | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.engine, self.prompts, self.limit, self.linger, self.poll = engine, prompts, limit, linger, poll
        self.keep_days, self.secrets = keep_days, tuple(s for s in secrets if s)
        self.watchers: list[Watcher] = []
        self.written = self.dropped = self.stripped = self.unwritable = 0
        self._queue: deque[_Item] = deque()
        self._batch: list[_Item] = []
        self._evidence: deque[Evidence] = deque()
        self._spend_only: Charges = {}
        self._aside: Charges = {}  # of the spend alone, what is being written, under its number
        self._name, self._asides = f"spend:{uuid4().hex}", 0
        self._lock = threading.Lock()
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._stopping = self._abandoned = self._again = False
        self._failing, self._failing_since, self._pause = "", 0.0, _RETRY[0]
        self._retry_at = self._poll_at = self._retain_at = 0.0
        self._clocks = time.time() - time.monotonic()
        self._file = Path(str(engine.url.database)).absolute() if engine.dialect.name == "sqlite" else None
        self._inode = self._seen()
        self._thread = threading.Thread(target=self._run, name="sprat-store", daemon=True)
        self._thread.start()

    def put(self, exchange: Exchange | None, waiter: Waiter | None = None) -> bool:
        """Queue an exchange and return at once; False where the queue is full and it was dropped."""
        queued = len(self._queue) + len(self._batch)
        if exchange is not None:
            if queued >= self.limit:
                return self._drop(exchange, waiter)
            if exchange.request is not None or exchange.reply is not None:
                exchange = self._slim(exchange, queued)
        self._queue.append((exchange, waiter))
        if waiter is not None or queued >= _BATCH:
            self._hurry.set()
        if not self._wake.is_set():
            self._wake.set()
        return True

    def note(self, found: Evidence) -> bool:
        """Queue evidence for the watch over the promise and return at once; False where it was dropped."""
        if len(self._evidence) >= self.limit:
            self.dropped += 1
            return False
        self._evidence.append(found)
        self._wake.set()
        return True

    def _slim(self, exchange: Exchange, queued: int) -> Exchange:
        if self.prompts and queued < self.limit // 10:
            return exchange
        self.stripped += self.prompts
        return replace(exchange, request=None, reply=None)

    def _drop(self, exchange: Exchange, waiter: Waiter | None) -> bool:
        with self._lock:
            self.dropped += 1
            with suppress(*_POISON):
                _merge(self._spend_only, charges([exchange]))
        if waiter is not None:
            waiter.tell(False)
        return False

    @property
    def health(self) -> Health:
        """How the writer fares, for readyz."""
        since = time.monotonic() - self._failing_since if self._failing else 0.0
        queued = len(self._queue) + len(self._batch)
        said = self._failing and f"The store can't be written: {self._failing}; {queued} exchanges wait."
        if not self._thread.is_alive() and not self._stopping:
            said = "The store's writer has stopped."
        counts = (queued, self.written, self.dropped, self.stripped, self.unwritable)
        return Health(not said, said, *counts, since)

    def stop(self, patience: float) -> int:
        """Write what is queued, for at most `patience` seconds; how many exchanges were not written."""
        self._stopping, self._retry_at = True, 0.0
        self._hurry.set()
        self._wake.set()
        self._thread.join(patience)
        self._abandoned = True
        return sum(e is not None for e, _ in [*self._batch, *self._queue])

    def _run(self) -> None:
        while True:
            self._wake.wait(self._idle())
            if self._wake.is_set() and not self._hurry.is_set():
                self._hurry.wait(self.linger)
            self._wake.clear()
            self._hurry.clear()
            try:
                self._drain()
                self._chores()
            except Exception as error:  # whatever it is, the requests go on and the store tries again
                self._failed(error)
            if self._abandoned or (self._stopping and not self._left):
                return

    @property
    def _left(self) -> bool:
        """Whether there is anything to write."""
        return any((self._batch, self._queue, self._spend_only, self._aside, self._evidence))

    def _idle(self) -> float:
        if self._failing and self._left:
            return max(0.0, self._retry_at - time.monotonic()) + 0.01
        return self.poll

    def _drain(self) -> None:
        while self._left:
            if time.monotonic() < self._retry_at:
                return
            while self._queue and len(self._batch) < _BATCH:
                self._batch.append(self._queue.popleft())
            self._write_evidence()
            self._write()
            self._failing, self._pause = "", _RETRY[0]

    def _write(self) -> None:
        self._look_for_file()
        exchanges = [e for e, _ in self._batch if e is not None]
        with self._lock:
            if not self._aside and self._spend_only:
                self._aside, self._spend_only, self._asides = self._spend_only, {}, self._asides + 1
        try:
            totals, added = self._commit(exchanges, self._aside)
        except _POISON:
            totals, added = self._one_by_one(exchanges)
        self._look_for_file()
        self._again = False
        done, self._batch, self._aside = self._batch, [], {}
        for watcher in self.watchers:
            watcher.committed(totals, added)
        for _, waiter in done:
            if waiter is not None:
                waiter.tell(True)

    def _write_evidence(self) -> None:
        """Before the batch, so that whoever waits for the batch knows what was noted before; twice is once."""
        noted = list(islice(self._evidence, _BATCH))
        if noted:
            with schema.writing(self.engine) as connection:
                evidence.insert(connection, noted, self.secrets)
            for _ in noted:
                self._evidence.popleft()

    def _one_by_one(self, exchanges: Sequence[Exchange]) -> tuple[Charges, Charges]:
        """Find what the database refuses, so that it does not hold up the rest."""
        self._again = True
        totals, added = self._commit([], self._aside)
        for exchange in exchanges:
            try:
                new_totals, new = self._commit([exchange], {})
            except _POISON:
                self._charge_alone(exchange)
                continue
            totals.update(new_totals)
            _merge(added, new)
        return totals, added

    def _charge_alone(self, exchange: Exchange) -> None:
        """Take it out of the batch; its spend is written next."""
        self.unwritable += 1
        self._batch = [(None if e is exchange else e, waiter) for e, waiter in self._batch]
        with self._lock, suppress(*_POISON):  # where not even its time can be read
            _merge(self._spend_only, charges([exchange]))

    def _commit(self, exchanges: Sequence[Exchange], aside: Charges) -> tuple[Charges, Charges]:
        heard = charges(exchanges)
        _merge(heard, aside)
        if not heard and not exchanges:  # what was refused at the door is no spend, but it is kept
            return {}, {}
        with schema.writing(self.engine) as connection:
            fresh = self._unwritten(connection, exchanges) if self._again else exchanges
            if fresh:
                insert(connection, schema.exchanges, COLUMNS, [row_of(e, self.secrets) for e in fresh])
                said = [prompt_of(e, self.secrets) for e in fresh if e.request is not None or e.reply is not None]
                if said:
                    connection.execute(sa.insert(schema.prompts), said)
            added = charges(fresh)
            if aside and self._numbered(connection):
                _merge(added, aside)
            rows = [{"key": k, "span": s, **v._asdict()} for (k, s), v in sorted(added.items())]
            if rows:
                connection.execute(sa.text(_ADD), rows)
            totals = read_spend(connection, {k for k, _ in heard}, {s for _, s in heard})
        self.written += len(fresh)
        return totals, heard

    def _numbered(self, connection: Connection) -> bool:
        """Keep the number of the spend that is set aside, with it; False where an earlier attempt did that."""
        table, number = schema.settings, str(self._asides)
        mine = table.c.name == self._name
        if self._again and connection.execute(sa.select(table.c.value).where(mine)).scalar() == number:
            return False
        connection.execute(sa.delete(table).where(mine))
        connection.execute(sa.insert(table).values(name=self._name, value=number))
        return True

    def _unwritten(self, connection: Connection, exchanges: Sequence[Exchange]) -> list[Exchange]:
        """Those whose ids are not there yet; an attempt whose end nobody heard may have been committed."""
        table = schema.exchanges
        there = set(
            connection.execute(sa.select(table.c.id).where(table.c.id.in_([e.id for e in exchanges]))).scalars()
        )
        found: dict[str, Exchange] = {}
        for exchange in exchanges:
            if exchange.id not in there:
                found.setdefault(exchange.id, exchange)
        return list(found.values())

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        if not self._failing:
            self._failing_since = now
        self._failing = schema.cause(error)
        self._again = True
        self._retry_at, self._pause = now + self._pause, min(self._pause * 2, _RETRY[1])
        self._poll_at = max(self._poll_at, self._retry_at)

    def _chores(self) -> None:
        now = time.monotonic()
        if now < self._retry_at or now < self._poll_at:
            return
        self._poll_at = now + self.poll
        self._look_for_file()
        if self.watchers or self._failing:
            with self.engine.begin() as connection:
                connection.execute(sa.select(1))
                for watcher in self.watchers:
                    watcher.poll(connection)
        self._failing, self._pause = "", _RETRY[0]
        if self.keep_days is not None and now >= self._retain_at:
            self._retain_at = now + (0.0 if self._retain() else 3600.0)

    def _retain(self) -> bool:
        """Delete one step of what is too old; whether more may be. A clock that jumped deletes nothing."""
        jumped = abs(time.time() - time.monotonic() - self._clocks) > 3600
        return not jumped and delete_older(self.engine, time.time() - (self.keep_days or 0) * 86400) == STEP

    def _seen(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        found = self._file.stat()
        return found.st_dev, found.st_ino

    def _look_for_file(self) -> None:
        """A file that was deleted or moved can still be written to, and nobody would ever read it again."""
        if self._file is None:
            return
        try:
            found = self._seen()
        except OSError:
            raise FileNotFoundError(f"{self._file.name} is gone (deleted, moved, or its disk is away)") from None
        if found != self._inode:
            self.engine.dispose()
            schema.migrate(self.engine)
            self._inode, self._again = found, True


def insert(connection: Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows, in SQLite many with one statement."""
    if connection.dialect.name != "sqlite":
        connection.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
        return
    for i in range(0, len(rows), _CHUNK):
        chunk = rows[i : i + _CHUNK]
        values = tuple(value for row in chunk for value in row)
        connection.exec_driver_sql(_statement(table.name, tuple(columns), len(chunk)), values)


@lru_cache(maxsize=2 * _CHUNK)
def _statement(table: str, columns: tuple[str, ...], n: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"insert into {table} ({', '.join(columns)}) values {', '.join([row] * n)}"


def read_spend(connection: Connection, keys: set[str] | None, spans: set[str]) -> Charges:
    """What keys (None: all) have spent in these windows."""
    table = schema.spend
    asked = sa.select(table).where(table.c.span.in_(spans))
    asked = asked if keys is None else asked.where(table.c.key.in_(keys))
    return {(r.key, r.span): Spent(r.dollars, r.calls, r.unknown, r.at_most) for r in connection.execute(asked)}


def _merge(into: Charges, more: Charges) -> None:
    for place, spent in more.items():
        into[place] = into[place].plus(spent) if place in into else spent
