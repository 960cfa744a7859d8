"""The store: what was asked, what it cost, the labels; in SQLite, or in PostgreSQL by URL.

Writing never blocks (see writer.py for what may be lost). By default a reply ends without waiting for its record; with
`durable` its end waits for the commit, and what was acknowledged outlives kill -9 (and in SQLite, by
`synchronous=full`, a power cut). Reading blocks: on an event loop, call it with `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ...errors import StoreFailed
from ..access.limits import Spent
from ..promise.evidence import Evidence
from . import schema
from .exchange import Exchange
from .records import exchange_of
from .writer import Health, Waiter, Watcher, Writer, read_spend

if TYPE_CHECKING:
    from ...data import Dataset

DEFAULT = "sprat.db"
WATCHED = "judge:promise"  # the source of what the watch over the promise found
__all__ = ["DEFAULT", "WATCHED", "Health", "Label", "Store", "Totals", "beside"]


def beside(toml: str | Path | None = None) -> Path:
    """Where the store is unless told: `sprat.db` beside the serve.toml, or in the current folder."""
    return Path(toml).parent / DEFAULT if toml else Path(DEFAULT)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over exchanges; `saved` is the reference's cost less the cost, over the `compared` ones with both known.

    `at_most` is what those of unknown cost were at most, as far as it is known.
    """

    requests: int
    failed: int
    dollars: float
    unknown: int
    input_tokens: int
    output_tokens: int
    compared: int
    saved: float
    reference: float
    at_most: float = 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """A score of an exchange's reply; `source` is 'human', or 'judge:NAME'."""

    exchange: str
    source: str
    score: float
    at: float
    note: str = ""


class Store:
    """A database of exchanges, keys, spend and labels, and the thread that writes to it."""

    def __init__(self, engine: Engine, writer: Writer | None = None, durable: bool = False) -> None:
        self.engine, self.writer, self.durable = engine, writer, durable

    @classmethod
    async def open(
        cls,
        url: str | Path = DEFAULT,
        *,
        durable: bool = False,
        prompts: bool = False,
        keep_days: float | None = None,
        limit: int = 10_000,
        linger: float = 0.05,
        poll: float = 1.0,
        secrets: Sequence[str] = (),
    ) -> Store:
        """Open for serving: makes what is missing, migrates, starts the writer; raises BadInput, MissingExtra.

        `prompts` stores prompts and replies, `keep_days` deletes older exchanges in small steps, `limit` bounds the
        queue, `linger` is how many seconds a batch may gather, `secrets` are struck out of all that is written.
        """
        engine = await asyncio.to_thread(schema.connect, url, durable=durable)
        told: dict[str, Any] = {
            "prompts": prompts,
            "keep_days": keep_days,
            "limit": limit,
            "linger": linger,
            "poll": poll,
        }
        return cls(engine, Writer(engine, secrets=secrets, **told), durable)

    @classmethod
    def read(cls, url: str | Path = DEFAULT, *, create: bool = False) -> Store:
        """Open without a writer, for commands; raises BadInput where it is not there."""
        return cls(schema.connect(url, create=create))

    @property
    def name(self) -> str:
        """The database's address, without password."""
        return schema.named(self.engine.url)

    def put(self, exchange: Exchange) -> bool:
        """Queue an exchange and return at once; False where the queue is full: then it is dropped and counted."""
        return self._writer.put(exchange)

    def note(self, found: Evidence) -> bool:
        """Queue evidence for the watch over the promise and return at once; False where it was dropped."""
        return self._writer.note(found)

    async def record(self, exchange: Exchange, patience: float = 5.0) -> bool:
        """What a reply's end awaits: put and, where `durable`, wait for the commit; whether it is acknowledged.

        Not durable, True says no more than queued. Durable, False says that it was not committed within `patience`
        seconds: it stays queued, and the reply should end all the same.
        """
        if not self.durable:
            return self._writer.put(exchange)
        waiter = Waiter()
        self._writer.put(exchange, waiter)
        return await _told(waiter, patience)

    async def flush(self, patience: float = 30.0) -> bool:
        """Wait until all that was put before is committed; False where that takes longer than `patience` seconds."""
        waiter = Waiter()
        self._writer.put(None, waiter)
        return await _told(waiter, patience)

    async def close(self, patience: float = 10.0) -> int:
        """Write what is queued and stop; how many exchanges could not be written within `patience` seconds."""
        left = await asyncio.to_thread(self.writer.stop, patience) if self.writer else 0
        self.engine.dispose()
        return left

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Close a store that was opened with `read`; what its database said becomes a BadInput."""
        self.engine.dispose()
        if isinstance(error, DBAPIError):
            raise self._unreadable(error) from None

    @contextmanager
    def _reading(self) -> Generator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeout) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> StoreFailed:
        said = f"The store {self.name} can't be used: {schema.cause(error)}."
        return StoreFailed(said, hint="Is it there, and is nothing else holding it?")

    @property
    def health(self) -> Health:
        """How the writer fares, for readyz and metrics."""
        return self._writer.health

    def attach(self, watcher: Watcher) -> None:
        """Tell this one of commits, and let it look at the database every second."""
        self._writer.watchers.append(watcher)

    def detach(self, watcher: Watcher) -> None:
        """Tell this one nothing any more."""
        self._writer.watchers = [w for w in self._writer.watchers if w is not watcher]

    def replace(self, before: Watcher, watcher: Watcher) -> None:
        """Tell this one what the other was told; no commit is told to both or to none."""
        self._writer.watchers = [watcher if w is before else w for w in self._writer.watchers]

    def strike(self, secrets: Sequence[str]) -> None:
        """Strike these out too of all that is written from now on."""
        self._writer.secrets = tuple(dict.fromkeys((*self._writer.secrets, *(s for s in secrets if s))))

    @property
    def _writer(self) -> Writer:
        assert self.writer is not None, "a store opened with read() has no writer"
        return self.writer

    def exchanges(
        self,
        since: float | None = None,
        until: float | None = None,
        key: str | None = None,
        limit: int | None = None,
        prompts: bool = False,
        crafted: bool = False,
    ) -> list[Exchange]:
        """Exchanges with since <= at < until, newest first; `prompts` with request and reply where stored.

        `crafted` gives those alone that look made to force the dear model.
        """
        table = schema.exchanges
        asked: Any = sa.select(table)
        if prompts:
            asked = sa.select(table, schema.prompts.c.request, schema.prompts.c.reply)
            asked = asked.outerjoin(schema.prompts, schema.prompts.c.id == table.c.id)
        asked = asked.where(table.c.crafted != "") if crafted else asked
        asked = _within(asked, since, until, key).order_by(table.c.at.desc(), table.c.id.desc())
        with self._reading() as connection:
            return [exchange_of(dict(row)) for row in connection.execute(asked.limit(limit)).mappings()]

    def exchange(self, number: str) -> Exchange | None:
        """One exchange by its id, with request and reply where stored; None where it is not there."""
        table = schema.exchanges
        asked: Any = sa.select(table, schema.prompts.c.request, schema.prompts.c.reply).where(table.c.id == number)
        asked = asked.outerjoin(schema.prompts, schema.prompts.c.id == table.c.id)
        with self._reading() as connection:
            found = connection.execute(asked).mappings().first()
        return exchange_of(dict(found)) if found else None

    def writer_of(self, key: str, thread: str, request_key: str = "") -> str | None:
        """The model that answered a key's thread last, or this very request of it; None where none is known."""
        table = schema.exchanges
        asked: Any = sa.select(table.c.model).where(table.c.thread == thread, table.c.key == key)
        asked = asked.where(table.c.request_key == request_key) if request_key else asked
        asked = asked.where(table.c.status == 200, table.c.model != "").order_by(table.c.at.desc()).limit(1)
        with self._reading() as connection:
            return connection.execute(asked).scalar()

    def totals(self, since: float | None = None, until: float | None = None, key: str | None = None) -> Totals:
        """Sums over exchanges with since <= at < until."""
        e, f = schema.exchanges.c, sa.func
        both = sa.and_(e.cost.is_not(None), e.reference_cost.is_not(None))
        asked = sa.select(
            f.count(),
            f.coalesce(f.sum(sa.case((e.status >= 400, 1), else_=0)), 0),
            f.coalesce(f.sum(e.cost), 0.0),
            f.coalesce(f.sum(sa.case((e.cost.is_(None), 1), else_=0)), 0),
            f.coalesce(f.sum(e.input_tokens), 0),
            f.coalesce(f.sum(e.output_tokens), 0),
            f.coalesce(f.sum(sa.case((both, 1), else_=0)), 0),
            f.coalesce(f.sum(sa.case((both, e.reference_cost - e.cost))), 0.0),
            f.coalesce(f.sum(sa.case((both, e.reference_cost))), 0.0),
            f.coalesce(f.sum(e.at_most), 0.0),
        ).select_from(schema.exchanges)
        with self._reading() as connection:
            found = tuple(connection.execute(_within(asked, since, until, key)).one())
        n, bad, cost, unknown, read, wrote, compared, saved, reference, at_most = found
        counts = (int(n), int(bad), float(cost), int(unknown), int(read), int(wrote), int(compared))
        return Totals(*counts, float(saved), float(reference), float(at_most))

    def spend(self, key: str | None, since: float | None = None) -> Spent:
        """What a key (None: all) spent in the exchanges that are kept."""
        found = self.totals(since, None, key)
        return Spent(found.dollars, found.requests, found.unknown, found.at_most)

    def spent_in(self, window: str) -> dict[str, Spent]:
        """What each key spent in a window (see limits.span), whether or not its exchanges are kept."""
        with self._reading() as connection:
            return {key: spent for (key, _), spent in read_spend(connection, None, {window}).items()}

    def label(self, exchange: str, source: str, score: float, note: str = "") -> None:
        """Keep a score of an exchange's reply; another of the same source takes its place."""
        table = schema.labels
        same = sa.and_(table.c.exchange == exchange, table.c.source == source)
        with schema.writing(self.engine) as connection:
            connection.execute(sa.delete(table).where(same))
            row = {"exchange": exchange, "source": source, "score": float(score), "at": time.time(), "note": note}
            connection.execute(sa.insert(table).values(row))

    def labels(self, since: float | None = None, until: float | None = None) -> list[Label]:
        """The labels of the exchanges with since <= at < until, oldest label first."""
        table = schema.labels
        joined = sa.select(table).join(schema.exchanges, schema.exchanges.c.id == table.c.exchange)
        asked = _within(joined, since, until, None).order_by(table.c.at, table.c.exchange)
        with self._reading() as connection:
            return [Label(**row) for row in connection.execute(asked).mappings()]

    def watched(self, reference: str, since: float | None = None) -> list[Label]:
        """How the watch over the promise scored what clients got; `reference` is the setting that asks it alone.

        A person's marks come before the judge's scores.
        """
        pair, done = schema.evidence.c, schema.exchanges.c
        first: Any = sa.func.coalesce(pair.marked_policy, pair.policy)
        score: Any = sa.case(
            (done.setting == reference, sa.func.coalesce(pair.marked_reference, pair.reference)), else_=first
        )
        told = done.id.label("exchange"), score.label("score"), pair.at.label("at")
        asked = sa.select(*told).join(schema.evidence, pair.exchange == done.id)
        asked = asked.where(pair.kind == "pair", score.is_not(None)).order_by(pair.at, done.id)
        with self._reading() as connection:
            rows = connection.execute(_within(asked, since, None, None)).mappings()
            return [Label(**row, source=WATCHED) for row in rows]

    def facts(self, name: str, words: Sequence[str]) -> dict[str, int]:
        """How many kept exchanges have a card whose fact of this name begins with each word and a colon."""
        card = schema.exchanges.c.card
        sums = [sa.func.sum(sa.case((card.contains(f'"{name}":"{w}: ', autoescape=True), 1), else_=0)) for w in words]
        with self._reading() as connection:
            return {w: int(n or 0) for w, n in zip(words, connection.execute(sa.select(*sums)).one(), strict=True)}

    def setting(self, name: str) -> str | None:
        """A text that was kept under this name, such as a controller's state."""
        table = schema.settings
        with self._reading() as connection:
            return connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()

    def keep(self, name: str, value: str) -> None:
        """Keep a text under a name, in place of the one before; raises BadInput where it can't be written."""
        table = schema.settings
        try:
            with schema.writing(self.engine) as connection:
                connection.execute(sa.delete(table).where(table.c.name == name))
                connection.execute(sa.insert(table).values(name=name, value=value))
        except (DBAPIError, PoolTimeout) as error:
            raise self._unreadable(error) from None

    def swap(self, name: str, before: str, value: str) -> bool:
        """Keep a text in place of `before`; False where another has taken that one's place already."""
        table = schema.settings
        same = sa.and_(table.c.name == name, table.c.value == before)
        try:
            with schema.writing(self.engine) as connection:
                return connection.execute(sa.update(table).where(same).values(value=value)).rowcount == 1
        except (DBAPIError, PoolTimeout) as error:
            raise self._unreadable(error) from None

    def dataset(self, since: float | None = None, until: float | None = None) -> Dataset:
        """The calls whose prompts were stored, by request, with the scores of the labelled; raises BadInput if none."""
        from .study_rows import dataset

        kept = self.exchanges(since, until, prompts=True)
        return dataset(kept, self.labels(since, until), self.name, self._drawn())

    def _drawn(self) -> frozenset[str]:
        """The exchanges that the watch over the promise took by chance, before anything of them was looked at."""
        asked = sa.select(schema.evidence.c.exchange).where(schema.evidence.c.kind == "pair")
        with self.engine.connect() as connection:
            return frozenset(connection.execute(asked).scalars())


def _within(asked: Any, since: float | None, until: float | None, key: str | None) -> Any:
    table = schema.exchanges
    asked = asked if since is None else asked.where(table.c.at >= since)
    asked = asked if until is None else asked.where(table.c.at < until)
    return asked if key is None else asked.where(table.c.key == key)


async def _told(waiter: Waiter, patience: float) -> bool:
    try:
        return await asyncio.wait_for(waiter.future, patience)
    except TimeoutError:
        return False
