"""What the dashboard shows, read from the store and from what runs: JSON-ready tables, computed at most once a second.

All of it blocks, and is called in a thread (`asyncio.to_thread`). Spend of today and of the month is the ledger's own,
so it is whole whatever was deleted; everything else is about the exchanges that are kept.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ...shape import leaves, name_of
from ..access import keys
from ..access.limits import Per, Spent, span
from ..cards.card import completed
from ..cards.neighbours import stored
from ..ledger import schema
from ..ledger.records import exchange_of
from ..ledger.store import Store
from ..ledger.tally import WATCHING, WINDOWS, Rate, Slice, Sums, Threads, Window, quantiles
from ..served import AUTO
from .failures import NEWEST, Failures

if TYPE_CHECKING:
    from ..app import Gateway

PATIENCE = 0.6  # seconds of reading history in one go
PAGE = 25
_LISTED = ("id", "at", "asked", "model", "thread", "status", "error", "cost", "reference_cost", "seconds", "first_byte")
_QUANTILES = (0.5, 0.95, 0.99)


class Overview:
    """The dashboard's numbers for one gateway over a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.windows = {name: Window(name) for name in WINDOWS}
        self.failures = Failures()

    def read(self, gateway: Gateway, name: str) -> dict[str, Any]:
        """Everything for one window, as of now."""
        now, window = time.time(), self.windows[name]
        reference = reference_of(gateway.served.models[AUTO])
        with self.store.engine.connect() as connection:
            done = window.refresh(connection, now, PATIENCE)
            slices = window.ordered()
            since = now - window.step * window.count
            failures = self.failures.look(connection, name, since, reference, writers_of(gateway), now)
            first = connection.execute(sa.select(sa.func.min(schema.exchanges.c.at))).scalar()
        return {
            "at": now,
            "window": name,
            "step": window.step,
            "slices": {"read": done, "of": window.count},
            "first": first,
            "alive": _alive(gateway),
            "reference": reference,
            "promise": _promise(gateway),
            "certificate": dict(gateway.served.certificate),
            **_sums(slices, reference, gateway),
            "spent": self._spent(now),
            "budgets": _budgets(gateway),
            "keys": self._keys(now),
            "failures": failures,
            "prompts": gateway.served.settings.store_prompts,
        }

    def _spent(self, now: float) -> dict[str, Any]:
        found: dict[str, Any] = {}
        pers: tuple[Per, Per] = ("day", "month")
        for per in pers:
            total = Spent()
            for spent in self.store.spent_in(span(per, now)).values():
                total = total.plus(spent)
            found[per] = total._asdict()
        return found

    def _keys(self, now: float) -> list[dict[str, Any]]:
        """The keys with what they may and what they spent in their budget's window; no secret, no hash."""
        pers: tuple[Per, Per] = ("day", "month")
        spent = {per: self.store.spent_in(span(per, now)) for per in pers}
        rows: list[dict[str, Any]] = []
        for key in keys.listed(self.store.engine):
            per: Per = key.budget.per if key.budget else "month"
            used = spent[per].get(key.id, Spent())
            state = "disabled" if key.disabled else "expired" if key.expires and now >= key.expires else "on"
            told = {"id": key.id, "name": key.name, "shown": key.shown, "per": per, "state": state}
            rows.append({**told, "budget": key.budget and key.budget.dollars, **used._asdict()})
        return sorted(rows, key=lambda r: -r["dollars"])

    def decisions(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of decisions, newest first: `before` AT-ID, of a `model`, of a `kind`, or with what is in `find`.

        `kind` is failed, unknown (cost), crafted or watch (what the watch over the promise asked), `find` the
        beginning of an id, thread or key. At most so many requests are looked through in one go; where there may be
        more, `next` says before which to go on.
        """
        e, table = schema.exchanges.c, schema.exchanges
        asked = {name: value.replace("\0", "") for name, value in asked.items()}
        pool: Any = sa.select(e.id, e.at, e.model, e.dialect, e.status, e.cost, e.crafted, e.thread, e.key)
        at, _, number = asked.get("before", "").partition("-")
        with suppress(ValueError):
            when = float(at)
            pool = pool.where(sa.or_(e.at < when, sa.and_(e.at == when, e.id < number)))
        pool = pool.order_by(e.at.desc(), e.id.desc()).limit(NEWEST).subquery()
        chosen = sa.select(table).join(pool, pool.c.id == e.id).where(*_filters(pool.c, asked))
        chosen = chosen.order_by(e.at.desc(), e.id.desc()).limit(PAGE + 1)
        oldest = sa.select(pool.c.at, pool.c.id).order_by(pool.c.at, pool.c.id).limit(1)
        with self.store.engine.connect() as connection:
            rows = [exchange_of(dict(row)) for row in connection.execute(chosen).mappings()]
            full = len(rows) <= PAGE and connection.execute(sa.select(sa.func.count()).select_from(pool)).scalar()
            last = connection.execute(oldest).first() if full == NEWEST else None
            names = {k.id: k.name for k in keys.listed(self.store.engine)}
        shown = rows[:PAGE]
        if len(rows) > PAGE:
            last = shown[-1].at, shown[-1].id
        listed = [{k: getattr(r, k) for k in _LISTED} | {"key": names.get(r.key, r.key)} for r in shown]
        return {"decisions": listed, "next": f"{last[0]!r}-{last[1]}" if last else None, "looked": NEWEST}

    def decision(self, gateway: Gateway, number: str) -> dict[str, Any] | None:
        """A decision with its card's drawing, its labels, and its prompt where prompts are stored; None: none."""
        table, label, prompt = schema.exchanges, schema.labels, schema.prompts
        number = number.replace("\0", "")
        columns = [table, prompt.c.request, prompt.c.reply]
        asked = sa.select(*columns).outerjoin(prompt, prompt.c.id == table.c.id).where(table.c.id == number)
        with self.store.engine.connect() as connection:
            row = connection.execute(asked).mappings().first()
            if row is None:
                return None
            marks = connection.execute(sa.select(label).where(label.c.exchange == number).order_by(label.c.at))
            labels = [dict(mark) for mark in marks.mappings()]
            names = {k.id: k.name for k in keys.listed(self.store.engine)}
        found = exchange_of(dict(row))
        told = asdict(found) | {"key": names.get(found.key, found.key), "labels": labels}
        if not gateway.served.settings.store_prompts:
            told["request"] = told["reply"] = None
        told["certificate"] = dict(gateway.served.certificate)
        held = gateway.cards.get(number)
        text = held[2] if held else stored(found.request if gateway.served.settings.store_prompts else None)
        card = completed(found.card, gateway.served, text) if found.card.get("asks") else {}
        told |= {"card": card, "drawing": card.get("drawing", "")}
        return told


def _filters(c: Any, asked: Mapping[str, str]) -> list[Any]:
    kind, found = asked.get("kind", ""), asked.get("find", "")
    # What the watch over the promise asked is shown only where it is asked for.
    wanted = [c.dialect == WATCHING if kind == "watch" else c.dialect != WATCHING]
    by_kind = {"failed": c.status >= 400, "crafted": c.crafted != "", "unknown": c.cost.is_(None)}
    if kind in by_kind:
        wanted.append(by_kind[kind])
    if model := asked.get("model"):
        wanted.append(c.model == model)
    if found:
        wanted.append(sa.or_(*(x.startswith(found, autoescape=True) for x in (c.id, c.thread, c.key))))
    return wanted


def reference_of(model: Any) -> str:
    """The name of the way's last, its largest model: what every request is compared with."""
    while not hasattr(model, "price") and (models := getattr(model, "models", ())):
        model = models[-1]
    return name_of(model)


def writers_of(gateway: Gateway) -> frozenset[str]:
    """The models that may write a reply: what is served, down to its leaves, less signals' encoders."""
    served = gateway.served.models
    return frozenset(served) | {name_of(m) for m in leaves(tuple(served.values())) if hasattr(m, "price")}


def _promise(gateway: Gateway) -> dict[str, Any] | None:
    """What the keeper says of the promise; None where nothing watches."""
    keeper: Any = getattr(gateway, "keeper", None)
    return None if keeper is None else dict(keeper.status())


def _budgets(gateway: Gateway) -> list[dict[str, Any]]:
    told: Any = getattr(getattr(gateway, "policy", None), "budgets", None)
    return [] if told is None else [dict(b) for b in told()]


def _alive(gateway: Gateway) -> dict[str, Any]:
    health: Any = getattr(gateway.store, "health", None)
    told = {} if health is None else {"queued": health.queued, "dropped": health.dropped, "stripped": health.stripped}
    said = "Draining: it is shutting down." if gateway.draining else "" if health is None or health.ok else health.said
    return {"ok": not said, "said": said, "working": gateway.working, **told}


def _sums(slices: list[Slice], reference: str, gateway: Gateway) -> dict[str, Any]:
    whole, by_model, series = Sums(), dict[str, Sums](), list[dict[str, Any]]()
    for s in slices:
        own = Sums()
        for model, sums in s.models.items():
            own.add(sums)
            by_model.setdefault(model, Sums()).add(sums)
        whole.add(own)
        shares = {m: v.requests for m, v in s.models.items()}
        series.append({"at": s.begin, "read": s.read_at > 0, "models": shares, **_told(own)})
    threads = Threads(slices)
    order = sorted(by_model, key=lambda m: -by_model[m].requests)
    models = [
        {
            "model": m,
            "is_reference": m == reference,
            "share": _rate(threads.part(m, whole, by_model[m])),
            "failures": _rate(threads.failures(by_model[m], m)),
            "seconds": quantiles(slices, 0, _QUANTILES, m),
            "first_byte": quantiles(slices, 1, _QUANTILES, m),
            **_told(by_model[m]),
        }
        for m in order
    ]
    sampled = sum(s.sampled for s in slices)
    return {
        "totals": {
            **_told(whole),
            "saving": _rate(threads.saving(whole)),
            "failures": _rate(threads.failures(whole)),
            "threads": round(threads.count / threads.share),
            "sampled_threads": None if threads.share >= 1 else threads.count,
        },
        "latency": {
            "seconds": quantiles(slices, 0, _QUANTILES),
            "first_byte": quantiles(slices, 1, _QUANTILES),
            "sampled": sampled,
            "of": sum(s.answered for s in slices),
        },
        "series": series,
        "models": models,
        "served": list(gateway.served.models),
    }


def _told(sums: Sums) -> dict[str, Any]:
    return asdict(sums)


def _rate(rate: Rate | None) -> list[float | None] | None:
    return None if rate is None else [rate.value, rate.low, rate.high]
