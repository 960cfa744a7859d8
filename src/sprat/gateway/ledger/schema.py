"""The gateway's tables in SQLite and PostgreSQL, numbered migrations, and how a database is opened.

Both databases get the same statements; a database that is newer than this code is refused. Every name begins with
`sprat_`, so that a PostgreSQL database may be shared. Checked against real servers in tests/gateway/test_store*.py.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Float, Integer, Text, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ...errors import BadInput, MissingExtra

_TABLES = sa.MetaData()
_LOCK = 0x5350524154  # "SPRAT": one migration at a time

exchanges = sa.Table(
    "sprat_exchanges",
    _TABLES,
    Column("id", Text, primary_key=True),
    Column("at", Float),
    *(Column(name, Text) for name in ("dialect", "key", "asked", "model", "way", "thread", "request_key")),
    *(Column(name, BigInteger) for name in ("input_tokens", "output_tokens")),
    *(Column(name, Float) for name in ("cost", "reference_cost", "seconds", "first_byte")),
    Column("status", Integer),
    Column("error", Text),
    Column("streamed", Integer),
    Column("propensity", Float),
    Column("trusts", Text),
    Column("card", Text),
    *(Column(name, Text) for name in ("setting", "drawn", "crafted")),
    Column("at_most", Float),
)
prompts = sa.Table(
    "sprat_prompts",
    _TABLES,
    Column("id", Text, primary_key=True),
    Column("request", Text),
    Column("reply", Text),
)
keys = sa.Table(
    "sprat_keys",
    _TABLES,
    Column("id", Text, primary_key=True),
    *(Column(name, Text) for name in ("name", "digest", "shown")),
    Column("made", Float),
    Column("budget", Float),
    Column("per", Text),
    Column("rate", BigInteger),
    Column("tokens", BigInteger),
    Column("models", Text),
    Column("expires", Float),
    Column("disabled", Integer),
    Column("priced_only", Integer),
)
spend = sa.Table(
    "sprat_spend",
    _TABLES,
    Column("key", Text, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("dollars", Float),
    Column("calls", BigInteger),
    Column("unknown", BigInteger),
    Column("at_most", Float),
)
settings = sa.Table("sprat_settings", _TABLES, Column("name", Text, primary_key=True), Column("value", Text))
labels = sa.Table(
    "sprat_labels",
    _TABLES,
    Column("exchange", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("score", Float),
    Column("at", Float),
    Column("note", Text),
)
evidence = sa.Table(  # what the watch over the promise has not counted yet, and the pairs that it has
    "sprat_evidence",
    _TABLES,
    Column("id", Text, primary_key=True),
    *(Column(name, Text) for name in ("watch", "kind", "exchange", "shadow")),
    *(Column(name, Float) for name in ("at", "reference", "policy", "propensity", "mark_chance")),
    *(Column(name, Integer) for name in ("waits", "flipped", "folded")),
    *(Column(name, Float) for name in ("marked_reference", "marked_policy")),
    Column("body", Text),
)
watches = sa.Table(
    "sprat_watches",
    _TABLES,
    Column("name", Text, primary_key=True),
    *(Column(name, Text) for name in ("watch", "holder")),
    Column("until", Float),
    Column("version", BigInteger),
    *(Column(name, Text) for name in ("state", "status")),
)
versions = sa.Table(
    "sprat_versions", _TABLES, Column("version", Integer, primary_key=True), Column("at", Float), Column("what", Text)
)

# What was released is never changed: a change is a further step at the end.
MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "exchanges, prompts, keys, spend, settings",
        (
            "create table sprat_exchanges (id text primary key, at double precision not null, dialect text not null,"
            " key text not null, asked text not null, model text not null, way text not null, thread text not null,"
            " request_key text not null, input_tokens bigint, output_tokens bigint, cost double precision,"
            " reference_cost double precision, seconds double precision, first_byte double precision,"
            " status integer not null, error text not null, streamed integer not null, propensity double precision,"
            " trusts text, card text)",
            "create index sprat_exchanges_at on sprat_exchanges (at)",
            "create index sprat_exchanges_key on sprat_exchanges (key, at)",
            "create table sprat_prompts (id text primary key, request text, reply text)",
            "create table sprat_keys (id text primary key, name text not null unique, digest text not null unique,"
            " shown text not null, made double precision not null, budget double precision, per text, rate bigint,"
            " tokens bigint, models text, expires double precision, disabled integer not null,"
            " priced_only integer not null)",
            "create table sprat_spend (key text not null, span text not null, dollars double precision not null,"
            " calls bigint not null, unknown bigint not null, primary key (key, span))",
            "create table sprat_settings (name text primary key, value text not null)",
            "insert into sprat_settings (name, value) values ('keys', '1')",
        ),
    ),
    (
        "labels",
        (
            "create table sprat_labels (exchange text not null, source text not null, score double precision not null,"
            " at double precision not null, note text not null, primary key (exchange, source))",
        ),
    ),
    (
        "which setting was run, how it was drawn, and what looked crafted",
        tuple(
            f"alter table sprat_exchanges add column {name} text not null default ''"
            for name in ("setting", "drawn", "crafted")
        ),
    ),
    (
        "the watch over the promise",
        (
            "create table sprat_evidence (id text primary key, watch text not null, kind text not null,"
            " exchange text not null, shadow text not null, at double precision not null, reference double precision,"
            " policy double precision, propensity double precision, mark_chance double precision,"
            " waits integer not null, flipped integer not null, folded integer not null,"
            " marked_reference double precision, marked_policy double precision, body text)",
            "create index sprat_evidence_new on sprat_evidence (watch, at, id) where folded = 0",
            "create table sprat_watches (name text primary key, watch text not null, holder text not null,"
            " until double precision not null, version bigint not null, state text not null, status text not null)",
        ),
    ),
    (
        "what a call of unknown cost was at most",
        (
            "alter table sprat_exchanges add column at_most double precision",
            "alter table sprat_spend add column at_most double precision not null default 0",
        ),
    ),
    ("who answered a thread before", ("create index sprat_exchanges_thread on sprat_exchanges (thread, at)",)),
)


def parsed(url: str | Path) -> URL:
    """The database's address: a file's path, sqlite:///PATH or postgresql://...; raises BadInput for another."""
    text = str(url)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        found = make_url(text.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise BadInput("The store's address can't be read.", hint=_FORMS) from None
    if found.get_backend_name() == "sqlite":
        if not found.database or found.database == ":memory:":
            raise BadInput("The store needs a file to be kept in.", hint=_FORMS)
        return URL.create("sqlite", database=found.database)
    if found.get_backend_name() != "postgresql":
        raise BadInput(f"The store can't be kept in {found.get_backend_name()}.", hint=_FORMS)
    return found.set(drivername="postgresql+psycopg")


_FORMS = "Give a file's path, or postgresql://USER@HOST/DATABASE."


def named(url: URL) -> str:
    """The database's address without password and options, for people."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return f"postgresql://{url.host or ''}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def connect(url: str | Path, *, create: bool = True, durable: bool = False) -> Engine:
    """Open the database and bring its tables up to date.

    Raises BadInput where it can't be opened, is newer than this code or, unless `create`, is not there; MissingExtra.
    With `durable` a commit in SQLite waits for the disk too, so that it outlives a power cut.
    """
    at = parsed(url)
    engine = _sqlite(at, create, durable) if at.get_backend_name() == "sqlite" else _postgresql(at)
    try:
        migrate(engine)
    except DBAPIError as error:
        engine.dispose()
        hint = "Is it a database of sprat's, and are its rights right?"
        raise BadInput(f"The store {named(at)} can't be opened: {cause(error)}.", hint=hint) from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def cause(error: BaseException) -> str:
    """The first line of what a database said, without statements, values and addresses of connections."""
    found: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        found = error.orig
    if isinstance(found, (sqlite3.Error, OSError)):
        return str(found).splitlines()[0].rstrip(".") if str(found) else type(found).__name__
    state = str(getattr(found, "sqlstate", None) or "")
    if not state:
        said = str(found).lower()
        known = ("connection refused", "timeout expired", "server closed the connection", "authentication failed",
                 "connection is lost", "does not exist", "starting up", "shutting down")  # fmt: skip
        return next((k for k in known if k in said), type(found).__name__)
    said = getattr(getattr(found, "diag", None), "message_primary", None)
    return f"{said or type(found).__name__} ({state})"


def migrate(engine: Engine) -> None:
    """Take the steps that the database lacks, all or none; raises BadInput where it is newer than this code."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
        text = "create table if not exists sprat_versions"
        connection.exec_driver_sql(f"{text} (version integer primary key, at double precision, what text)")
        has = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar() or 0
        if has > len(MIGRATIONS):
            raise BadInput(
                f"The store {named(engine.url)} has version {has}; this sprat knows none above {len(MIGRATIONS)}.",
                hint="Upgrade sprat, or give another store.",
            )
        for number, (what, statements) in enumerate(MIGRATIONS, 1):
            if number > has:
                for statement in statements:
                    connection.exec_driver_sql(statement)
                connection.execute(sa.insert(versions).values(version=number, at=time.time(), what=what))


def writing(engine: Engine) -> Any:
    """A transaction that is to write: SQLite takes its lock at once, so that it waits rather than fails later."""
    return engine.execution_options(sprat_writes=True).begin()


def _postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401  # pyright: ignore
    except ModuleNotFoundError:
        raise MissingExtra("gateway", "A store in PostgreSQL") from None
    limits = {"connect_timeout": 3, "tcp_user_timeout": 10_000, "application_name": "sprat"}
    return sa.create_engine(url, connect_args=limits, pool_size=3, max_overflow=5, pool_pre_ping=True, pool_timeout=5)


def _sqlite(url: URL, create: bool, durable: bool) -> Engine:
    path = Path(str(url.database)).absolute()
    if not path.exists():
        if not create:
            raise BadInput(f"There is no store at {url.database}.", hint="Give it with --store, or start sprat serve.")
        try:  # it holds hashes of keys and perhaps prompts, so it is its owner's alone
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise BadInput(f"The store {url.database} can't be made: {error.strerror}.") from None

    def opened() -> sqlite3.Connection:
        # mode=rw: a file that is taken away from a running server is never silently begun anew
        made = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=5, isolation_level=None, check_same_thread=False
        )
        try:
            made.execute("pragma journal_mode = wal")
            made.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
        except BaseException:
            made.close()
            raise
        return made

    engine = sa.create_engine(url, creator=opened, pool_size=3, max_overflow=5, pool_timeout=5)

    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("sprat_writes")
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    event.listen(engine, "begin", begin)
    return engine
