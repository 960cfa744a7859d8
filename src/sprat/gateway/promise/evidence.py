"""What the watch over the promise counts, in the store: shadowed pairs, requests' features, what a person told it.

Every worker adds rows through the store's writer. One worker folds them into the state of the watch, in the same
transaction that saves the state: it names the version that it began from, and where another worker was quicker
nothing is changed. So each row is counted exactly once, whatever dies when; the lease only says who is to do it, and
a clock that is wrong costs no more than a handover. Folded rows are kept, so that a writer which did not hear that it
had committed adds none again; those of requests are deleted after an hour.

A pair that a person is to mark holds back the pairs after it: counted out of turn, those that need no mark would come
first, and what is seen first would no longer be a fair draw.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from ...errors import BadInput
from ..asgi import fresh
from ..ledger import schema
from ..ledger.records import finite
from ..wire.struck import struck

Kind = Literal["pair", "request", "suspend", "resume", "renew"]
COMMANDS: tuple[Kind, ...] = ("suspend", "resume", "renew")
NAME = "promise"  # of the one watch of a store
FOLDED_AT_ONCE = 500
_KEPT = 3600.0  # seconds that a folded request's row is kept: no writer adds it again so late
_OF_THREAD = 86_400.0  # seconds that it is where it stands for its thread: so long no worker counts another of these
_CLEARED = 500  # savings between two looks for rows that are older

RESTORING = "restoring"  # in a pair's body: while the promise was broken, beside the reference's own answer
_SKIPPED = '{"skipped":true}'
_ROWS, _WATCHES = schema.evidence, schema.watches


@dataclass(frozen=True, slots=True)
class Evidence:
    """One row. `at` is the request's time; scores are in [0, 1]; `body` holds features, a reason, or texts to mark.

    `exchange` is the client's request, `shadow` the one that watching made. `waits` says that a person is to mark the
    pair, which was drawn with `mark_chance`; `flipped`, that the reference's reply is shown first.
    """

    id: str
    watch: str
    kind: Kind
    at: float
    exchange: str = ""
    shadow: str = ""
    reference: float | None = None
    policy: float | None = None
    propensity: float | None = None
    mark_chance: float | None = None
    waits: bool = False
    flipped: bool = False
    marked_reference: float | None = None
    marked_policy: float | None = None
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Watch:
    """The state of the watch as it is saved; `watch` is the promise's identity."""

    watch: str
    holder: str
    until: float
    version: int
    state: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair that waits for a person's marks: one text where both replies are the same, in a random order else."""

    id: str
    at: float
    question: str
    replies: tuple[str, ...]


def insert(connection: Connection, rows: Iterable[Evidence], secrets: Sequence[str] = ()) -> None:
    """Add rows; one that is there already is left as it is."""
    values = [_row(e, secrets) for e in rows]
    placed = sa.text(
        f"insert into sprat_evidence ({', '.join(_NAMES)}) values ({', '.join(f':{n}' for n in _NAMES)})"
        " on conflict (id) do nothing"
    )
    connection.execute(placed, values)


def watch(connection: Connection) -> Watch | None:
    """The watch that is saved, None before the first."""
    row = connection.execute(sa.select(_WATCHES).where(_WATCHES.c.name == NAME)).mappings().first()
    if row is None:
        return None
    status = json.loads(row["status"])
    return Watch(row["watch"], row["holder"], row["until"], row["version"], row["state"], status)


def begin(engine: Engine, made: Callable[[Watch | None], Watch | None]) -> tuple[Watch, Watch | None]:
    """The watch to go on with, and the one that it took the place of (None for none).

    `made` is told what is saved, and gives what is to take its place; None, where something is saved, leaves that.
    """
    with schema.writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # there may be no row to lock yet
            connection.exec_driver_sql("lock table sprat_watches in share row exclusive mode")
        there = watch(connection)
        new = made(there)
        if new is None:
            assert there is not None, "the first watch is always begun"
            return there, None
        version = there.version + 1 if there else 1
        values = {**_values(new), "version": version}
        if there is None:
            connection.execute(sa.insert(_WATCHES).values(name=NAME, **values))
        else:
            connection.execute(sa.update(_WATCHES).where(_WATCHES.c.name == NAME).values(**values))
            old = sa.and_(_ROWS.c.watch == there.watch, _ROWS.c.folded == 0)
            connection.execute(sa.delete(_ROWS).where(old))
        return Watch(new.watch, new.holder, new.until, version, new.state, new.status), there


def unfolded(connection: Connection, identity: str) -> list[Evidence]:
    """What is to be folded next, in the requests' order; pairs up to the first that waits for a person."""
    new = sa.and_(_ROWS.c.watch.in_((identity, "")), _ROWS.c.folded == 0)
    pairs = sa.select(_ROWS).where(new, _ROWS.c.kind == "pair").order_by(_ROWS.c.at, _ROWS.c.id)
    others = sa.select(_ROWS).where(new, _ROWS.c.kind != "pair").order_by(_ROWS.c.at, _ROWS.c.id)
    found: list[Evidence] = []
    for row in connection.execute(pairs.limit(FOLDED_AT_ONCE)).mappings():
        if row["waits"]:
            break
        found.append(_evidence(dict(row)))
    found += [_evidence(dict(row)) for row in connection.execute(others.limit(FOLDED_AT_ONCE)).mappings()]
    return sorted(found, key=lambda e: (e.at, e.id))


def save(engine: Engine, new: Watch, folded: Sequence[Evidence]) -> bool:
    """Save a state in place of version - 1, and with it that these rows are in it; False where another was quicker."""
    with schema.writing(engine) as connection:
        same = sa.and_(_WATCHES.c.name == NAME, _WATCHES.c.version == new.version - 1, _WATCHES.c.watch == new.watch)
        done = connection.execute(sa.update(_WATCHES).where(same).values(**_values(new)))
        if done.rowcount != 1:
            return False
        if folded:
            these = _ROWS.c.id.in_([e.id for e in folded])
            connection.execute(sa.update(_ROWS).where(these).values(folded=1, body=None))
        if new.version % _CLEARED == 0:
            now, own = time.time(), _ROWS.c.id == sa.literal("request-").concat(_ROWS.c.exchange)
            late = sa.or_(_ROWS.c.at < now - _OF_THREAD, sa.and_(own, _ROWS.c.at < now - _KEPT))
            old = sa.and_(_ROWS.c.folded == 1, _ROWS.c.kind != "pair", late)
            connection.execute(sa.delete(_ROWS).where(old))
    return True


def tell(engine: Engine, kind: Kind, at: float, why: str = "") -> None:
    """Ask the watch to suspend, resume or renew; it is done by the worker that folds."""
    with schema.writing(engine) as connection:
        insert(connection, [Evidence(f"{kind}-{fresh()}", "", kind, at, body={"why": why})])


def waiting(engine: Engine, limit: int = 100) -> tuple[list[Pair], int]:
    """The oldest pairs that wait for a person's marks, and how many there are in all."""
    wait = sa.and_(_ROWS.c.waits == 1, _ROWS.c.folded == 0)
    with engine.connect() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(_ROWS).where(wait)).scalar() or 0
        asked = sa.select(_ROWS).where(wait).order_by(_ROWS.c.at, _ROWS.c.id).limit(limit)
        found: list[Pair] = []
        for row in connection.execute(asked).mappings():
            body = json.loads(row["body"] or "{}")
            texts = [body.get("policy", ""), body.get("reference", "")]
            shown = texts[:1] if body.get("same") else texts[::-1] if row["flipped"] else texts
            found.append(Pair(row["id"], row["at"], body.get("question", ""), tuple(shown)))
    return found, int(total)


def mark(engine: Engine, pair: str, scores: Sequence[float] | None, at: float) -> None:
    """Give a pair's replies, as they were shown, scores in [0, 1]; None where they can't be judged.

    A pair that can't be judged counts as what speaks most for the state as it is (see folding.py). The scores are
    kept as a person's labels of both exchanges too. Raises BadInput.
    """
    for score in scores or ():
        if not 0 <= score <= 1:
            raise BadInput(f"A score of {score:g} is out of range.", hint="Needed: 0 (wrong) to 1 (right).")
    with schema.writing(engine) as connection:
        row = connection.execute(sa.select(_ROWS).where(_ROWS.c.id == pair)).mappings().first()
        if row is None or not row["waits"] or row["folded"]:
            raise BadInput(f"No pair '{pair[:80]}' waits for marks.", hint="See: sprat promise mark --list")
        given: dict[str, Any] = {"waits": 0, "body": _SKIPPED}
        if scores is not None:
            told = json.loads(row["body"] or "{}")
            texts = 1 if told.get("same") else 2
            if len(scores) != texts:
                raise BadInput(f"This pair needs {texts} scores, and {len(scores)} came.")
            ordered = [*scores[::-1], *scores][:2] if texts == 1 or row["flipped"] else [*scores]
            given |= {"marked_policy": ordered[0], "marked_reference": ordered[1]}
            given["body"] = json.dumps({RESTORING: True}) if told.get(RESTORING) else None
            # While broken the client has the reference's reply, and the policy's is the one that watching made.
            own = ordered[::-1] if told.get(RESTORING) else ordered
            for exchange, score in zip((row["exchange"], row["shadow"]), own, strict=True):
                if exchange:
                    _label(connection, exchange, score, at)
        connection.execute(sa.update(_ROWS).where(_ROWS.c.id == pair).values(**given))


def forget(connection: Connection, cut: float) -> None:
    """Take the texts away from pairs from before `cut` that nobody marked; they count as if they were skipped."""
    late = sa.and_(_ROWS.c.waits == 1, _ROWS.c.folded == 0, _ROWS.c.at < cut)
    connection.execute(sa.update(_ROWS).where(late).values(waits=0, body=_SKIPPED))


def waits(connection: Connection, identity: str) -> tuple[int, int]:
    """How many pairs wait for a person's marks, and how many more wait behind these."""
    new = sa.and_(_ROWS.c.watch == identity, _ROWS.c.folded == 0, _ROWS.c.kind == "pair")
    asked = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_ROWS.c.waits), 0)).where(new)
    total, marks = connection.execute(asked).one()
    return int(marks), int(total) - int(marks) if marks else 0


_NAMES = tuple(c.name for c in _ROWS.columns)


def _row(e: Evidence, secrets: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {n: getattr(e, n, None) for n in _NAMES}
    for name in ("reference", "policy", "propensity", "mark_chance", "marked_reference", "marked_policy"):
        found[name] = finite(found[name])
    text = json.dumps(dict(e.body), separators=(",", ":"), default=str) if e.body else None
    found["body"] = struck(text, secrets) if text else None
    return {**found, "waits": int(e.waits), "flipped": int(e.flipped), "folded": 0}


def _evidence(row: Mapping[str, Any]) -> Evidence:
    told = {n: row[n] for n in _NAMES if n not in ("body", "waits", "flipped", "folded")}
    body = json.loads(row["body"]) if row["body"] else {}
    return Evidence(**told, waits=bool(row["waits"]), flipped=bool(row["flipped"]), body=body)


def _values(new: Watch) -> dict[str, Any]:
    told = {"watch": new.watch, "holder": new.holder, "until": new.until, "version": new.version, "state": new.state}
    return {**told, "status": json.dumps(dict(new.status))}


def _label(connection: Connection, exchange: str, score: float, at: float) -> None:
    table = schema.labels
    same = sa.and_(table.c.exchange == exchange, table.c.source == "human")
    connection.execute(sa.delete(table).where(same))
    row = {"exchange": exchange, "source": "human", "score": score, "at": at, "note": "promise"}
    connection.execute(sa.insert(table).values(row))
