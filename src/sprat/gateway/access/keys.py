"""Virtual keys: made once and shown once, kept as a hash, checked in memory, with hard caps on dollars and rates.

A secret is 256 random bits, so nobody can guess one and a plain SHA-256 is enough: slow hashes protect secrets that
people choose. One is looked up by the beginning of its digest, and the whole digests are compared in constant time.
Changes by another process are noticed in about a second, by a number that each change raises.

A cap is hard within one process: what is queued, what is committed and what running requests may cost at most (`Hold`)
count together. A call whose cost nobody knows, because its client left, counts as the most that it can have cost; where
a model has no price it counts as nothing, unless the key takes only requests of known cost. Several workers see each
other's spend about a second late, so together they may pass a cap by what the others admitted in that second; rates are
shared by the workers of one server (rates.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError

from ...errors import BadInput, nearest
from ..ledger import schema
from ..ledger.records import Charges, charge
from ..ledger.store import Store
from ..ledger.writer import read_spend
from .limits import Budget, Hold, Refusal, Spent, span, until_next
from .rates import Rates

PREFIX = "sk-sprat-"
_TABLE = schema.keys
_NOTHING_HELD = Hold()
_MANY = 10_000


@dataclass(frozen=True, slots=True)
class Key:
    """A virtual key without its secret. Rates are per minute; `models` empty allows all; times are UTC seconds."""

    id: str
    name: str
    shown: str = ""
    budget: Budget | None = None
    rate: int | None = None
    tokens: int | None = None
    models: tuple[str, ...] = ()
    expires: float | None = None
    disabled: bool = False
    priced_only: bool = False
    made: float = 0.0

    def allows(self, model: str) -> bool:
        """Whether this model may be asked."""
        return not self.models or model in self.models


def create(
    engine: Engine,
    name: str,
    *,
    budget: Budget | None = None,
    rate: int | None = None,
    tokens: int | None = None,
    models: Sequence[str] = (),
    expires: float | None = None,
    priced_only: bool = False,
) -> tuple[Key, str]:
    """Make a key; the second is its secret, which is nowhere kept. Raises BadInput for a name that is taken."""
    if not name.strip():
        raise BadInput("A key needs a name.", hint="Such as --name search-team.")
    secret = PREFIX + secrets.token_urlsafe(32)
    told = (rate, tokens, tuple(models), expires, False, priced_only, time.time())
    key = Key(f"key_{secrets.token_hex(6)}", name, f"{secret[: len(PREFIX) + 4]}...", budget, *told)
    row = {
        "id": key.id,
        "name": name,
        "digest": _digest(secret),
        "shown": key.shown,
        "made": key.made,
        "budget": budget and budget.dollars,
        "per": budget and budget.per,
        "rate": rate,
        "tokens": tokens,
        "models": json.dumps(list(models)) if models else None,
        "expires": expires,
        "disabled": 0,
        "priced_only": int(priced_only),
    }
    try:
        with schema.writing(engine) as connection:
            connection.execute(sa.insert(_TABLE).values(row))
            _raise_version(connection)
    except IntegrityError:
        raise BadInput(f"There is a key '{name}' already.", hint="Give another --name, or disable that one.") from None
    return key, secret


def listed(engine: Engine) -> list[Key]:
    """All keys, oldest first."""
    with engine.connect() as connection:
        return [key for key, _ in _rows(connection)]


def disable(engine: Engine, name: str, disabled: bool = True) -> Key:
    """Disable (or enable) a key by its name or id; raises BadInput that names the nearest."""
    known = listed(engine)
    found = next((k for k in known if name in (k.name, k.id)), None)
    if found is None:
        raise BadInput(f"There is no key '{name}'.", hint=nearest(name, [k.name for k in known]))
    with schema.writing(engine) as connection:
        connection.execute(sa.update(_TABLE).where(_TABLE.c.id == found.id).values(disabled=int(disabled)))
        _raise_version(connection)
    return found


class Keys:
    """The keys of a store, in memory, with what they have spent and their rates."""

    def __init__(
        self, store: Store, monotonic: Callable[[], float] = time.monotonic, rates: Rates | None = None
    ) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._by_digest: dict[str, tuple[str, Key]] = {}  # by the digest's beginning
        self._version = ""
        self._known: Charges = {}  # what the database had at the last look
        self._pending: Charges = {}  # charged here and not yet committed
        self._held: dict[str, float] = {}
        self._rates = rates or Rates()
        self._active: set[str] = set()
        with store.engine.connect() as connection:
            self.poll(connection)
        store.attach(self)

    @classmethod
    async def open(cls, store: Store, rates: Rates | None = None) -> Keys:
        """Read the keys of a store and follow their changes; `rates` are shared where there are several workers."""
        return await asyncio.to_thread(cls, store, rates=rates)

    def __len__(self) -> int:
        return len(self._by_digest)

    @property
    def budgeted(self) -> bool:
        """Whether some key has a budget."""
        return any(key.budget is not None for _, key in self._by_digest.values())

    def check(self, secret: str, now: float) -> Key | None:
        """The key of this secret; None where there is none, or it is disabled or has expired."""
        key = self._of(secret)
        return None if key is None or key.disabled or _over(key, now) else key

    def expired(self, secret: str, now: float) -> bool:
        """Whether the secret is that of a key that has expired and is not disabled: its holder may be told so."""
        key = self._of(secret)
        return key is not None and not key.disabled and _over(key, now)

    def _of(self, secret: str) -> Key | None:
        if not secret.startswith(PREFIX):
            return None
        digest = _digest(secret)
        expected, key = self._by_digest.get(digest[:16], ("", None))
        return key if key is not None and hmac.compare_digest(digest, expected) else None

    def spent(self, key: Key, now: float) -> Spent:
        """What the key has spent in its budget's window (the month where it has none)."""
        place = (key.id, span(key.budget.per if key.budget else "month", now))
        with self._lock:
            return self._known.get(place, Spent()).plus(self._pending.get(place, Spent()))

    def refusal(self, key: Key, now: float, model: str = "", hold: Hold = _NOTHING_HELD) -> Refusal | None:
        """Why a request does not go ahead; None: it does, is counted, and `hold` is held until it is charged.

        `now` is UTC seconds. A request that is refused takes nothing from the rates.
        """
        if model and not key.allows(model):
            return Refusal(403, "model", f"The key '{key.name}' may not ask the model '{model}'.")
        if key.priced_only and hold.dollars is None:
            said = f"What this request may cost is unknown, and the key '{key.name}' takes only requests of known cost."
            return Refusal(403, "unpriced", said)
        if key.budget is not None and (refused := self._over(key, key.budget, now, hold.dollars or 0.0)):
            return refused
        if key.rate is None and key.tokens is None:
            return self._go(key, hold)
        return self._too_fast(key, hold) or self._go(key, hold)

    def charge(
        self,
        key_id: str,
        dollars: float | None,
        now: float,
        tokens: int = 0,
        hold: Hold = _NOTHING_HELD,
        at_most: float | None = None,
    ) -> None:
        """Count what a request cost and its tokens, and let go of its hold.

        `dollars` None is unknown, but `at_most` so much (None: as much as was held).

        Every admitted request is charged once, a failed one with 0.0. `now` is the Exchange's `at`; the Exchange
        itself, put into the store, is what lasts.
        """
        one = charge(dollars, hold.dollars if at_most is None else at_most)
        with self._lock:
            for place in ((key_id, span("day", now)), (key_id, span("month", now))):
                self._pending[place] = self._pending.get(place, Spent()).plus(one)
            if hold.dollars:
                self._held[key_id] = max(0.0, self._held.get(key_id, 0.0) - hold.dollars)
            self._active.add(key_id)
        if tokens != hold.tokens:
            self._rates.correct(key_id, tokens - hold.tokens)

    def _over(self, key: Key, budget: Budget, now: float, most: float) -> Refusal | None:
        place = (key.id, span(budget.per, now))
        with self._lock:
            paid = self._known.get(place, Spent()).plus(self._pending.get(place, Spent()))
            held = self._held.get(key.id, 0.0)
            self._active.add(key.id)
        spent, cap = paid.counted, budget.dollars + 1e-9
        if spent < budget.dollars and spent + held + most <= cap:
            return None
        if spent < budget.dollars and spent + most <= cap:
            said = f"The running requests of the key '{key.name}' may use up its budget of {budget}."
            return Refusal(429, "budget", said, 1.0)
        unsure = f" and up to ${paid.at_most:.4f} more in calls of unknown cost" if paid.at_most else ""
        said = f"The key '{key.name}' has spent ${paid.dollars:.4f}{unsure} of its budget of {budget}"
        said += "." if spent >= budget.dollars else f", and this request may cost ${most:.4f}."
        return Refusal(429, "budget", said, until_next(budget.per, now))

    def _too_fast(self, key: Key, hold: Hold) -> Refusal | None:
        found = self._rates.refusal(key.id, key.rate, key.tokens, hold.tokens, self._monotonic())
        if found is None:
            return None
        kind, wait = found
        what = f"make {key.rate} requests" if kind == "rate" else f"use {key.tokens} tokens"
        return Refusal(429, kind, f"The key '{key.name}' may {what} a minute.", wait)

    def _go(self, key: Key, hold: Hold) -> None:
        if hold.dollars:
            with self._lock:
                self._held[key.id] = self._held.get(key.id, 0.0) + hold.dollars

    def committed(self, totals: Charges, added: Charges) -> None:
        """What the writer has committed is no longer pending."""
        with self._lock:
            self._known.update(totals)
            for place, done in added.items():
                left = self._pending.pop(place, None)
                if left is not None and left.calls > done.calls:
                    self._pending[place] = left.less(done)

    def poll(self, connection: Connection) -> None:
        """Follow what others changed: the keys where their version moved, and the spend of the keys in use."""
        table = schema.settings
        version = str(connection.execute(sa.select(table.c.value).where(table.c.name == "keys")).scalar())
        now = time.time()
        spans = {span(per, now + shift) for per in ("day", "month") for shift in (-86400.0, 0.0, 86400.0)}
        with self._lock:
            active, self._active = self._active, set()
            if len(self._known) > _MANY + 4 * len(self._by_digest):  # windows of long ago
                self._known = {place: spent for place, spent in self._known.items() if place[1] in spans}
        if version != self._version:
            found = {digest[:16]: (digest, key) for key, digest in _rows(connection)}
            known = read_spend(connection, None, spans)
            with self._lock:
                self._known.update(known)
            self._by_digest, self._version = found, version
        elif active:
            known = read_spend(connection, active, spans)
            with self._lock:
                self._known.update(known)


def _over(key: Key, now: float) -> bool:
    return key.expires is not None and now >= key.expires


def _rows(connection: Connection) -> list[tuple[Key, str]]:
    found: list[tuple[Key, str]] = []
    for row in connection.execute(sa.select(_TABLE).order_by(_TABLE.c.made, _TABLE.c.id)).mappings():
        told: dict[str, Any] = {k: row[k] for k in ("id", "name", "shown", "rate", "tokens", "expires", "made")}
        budget = None if row["budget"] is None else Budget(row["budget"], row["per"])
        models = tuple(json.loads(row["models"])) if row["models"] else ()
        told |= {"disabled": bool(row["disabled"]), "priced_only": bool(row["priced_only"])}
        found.append((Key(**told, budget=budget, models=models), row["digest"]))
    return found


def _raise_version(connection: Connection) -> None:
    table = schema.settings
    old = int(connection.execute(sa.select(table.c.value).where(table.c.name == "keys").with_for_update()).scalar_one())
    connection.execute(sa.update(table).where(table.c.name == "keys").values(value=str(old + 1)))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
