"""Where the small models failed: low labels, pairs lost to the reference, escalations by reason, errors by model.

Each look is bounded: labels within the window, the decisions of the newest requests, the newest requests that failed.
A label below a half is a failure. Model names, reasons and errors come from outside: they are data, never markup.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..ledger import schema
from ..ledger.tally import WATCHING, wilson

CARDS = 1000  # of the newest requests, whose decisions are read
NEWEST = 20_000  # requests that are looked through for those that failed
_SHOWN = 8
_LOW = 0.5
_PLURAL = re.compile(r"(?<=… )(token|piece)\b")
_NUMBER = re.compile(r"\d[\d.,:]*(?:e[+-]?\d+)?")


class Failures:
    """What was found last, and when; decisions that were read are not read again."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, float, dict[str, Any]]] = {}
        self._reasons: dict[str, tuple[str, str] | None] = {}

    def look(
        self, connection: Connection, window: str, since: float, reference: str, writers: Set[str], now: float
    ) -> dict[str, Any]:
        """As of at most about ten seconds ago; `writers` are the models that may write a reply."""
        at, took, found = self._kept.get(window, (0.0, 0.0, {}))
        if now - at < max(10.0, 20 * took):
            return found
        began = time.monotonic()
        found = {
            **low(connection, since, reference),
            "pairs": pairs(connection, since),
            **self._escalations(connection, since, writers),
            "errors": errors(connection, since),
        }
        self._kept[window] = now, time.monotonic() - began, found
        return found

    def _escalations(self, connection: Connection, since: float, writers: Set[str]) -> dict[str, Any]:
        e = schema.exchanges.c
        asked = sa.select(e.id, e.card).where(e.at >= since, e.dialect != WATCHING).order_by(e.at.desc()).limit(CARDS)
        newest = connection.execute(asked).all()
        known = self._reasons
        self._reasons = {
            i: known[i] if i in known else escalation(json.loads(card or "{}"), writers) for i, card in newest
        }
        counts = Counter(r for r in self._reasons.values() if r is not None)
        rows = [{"to": to, "reason": reason, "requests": n} for (to, reason), n in counts.most_common(_SHOWN)]
        return {"escalations": rows, "escalated": sum(counts.values()), "decisions": len(newest)}


def low(connection: Connection, since: float, reference: str) -> dict[str, Any]:
    """By model that is not the reference: how many replies were labelled and how many low; the newest low ones."""
    e, label = schema.exchanges.c, schema.labels.c
    joined = schema.labels.join(schema.exchanges, e.id == label.exchange)
    small = sa.and_(e.at >= since, e.model != reference)
    bad = sa.case((label.score < _LOW, 1), else_=0)
    by_model = sa.select(e.model, sa.func.count(), sa.func.sum(bad)).select_from(joined).where(small).group_by(e.model)
    rows = [
        {"model": model, "labelled": int(n), "low": int(k), "rate": [k / n, *wilson(k / n, n)]}
        for model, n, k in connection.execute(by_model.order_by(sa.func.sum(bad).desc(), e.model))
    ]
    newest = sa.select(e.id, e.at, e.model, label.source, label.score, label.note).select_from(joined)
    newest = newest.where(small, label.score < _LOW).order_by(label.at.desc(), e.id).limit(_SHOWN)
    return {"labels": rows, "low": [dict(row) for row in connection.execute(newest).mappings()]}


def pairs(connection: Connection, since: float) -> dict[str, Any]:
    """Shadowed pairs: how many, in how many either side's reply had the higher score; the newest that were lost.

    A person's mark counts before the judge's score.
    """
    e = schema.evidence.c
    reference, policy = (
        sa.func.coalesce(e.marked_reference, e.reference),
        sa.func.coalesce(e.marked_policy, e.policy),
    )
    known = sa.and_(e.kind == "pair", e.at >= since, reference.is_not(None), policy.is_not(None))
    counts = sa.select(
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(sa.case((policy < reference, 1), else_=0)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((policy > reference, 1), else_=0)), 0),
    ).where(known)
    n, lost, won = (int(v) for v in connection.execute(counts).one())
    newest = sa.select(e.exchange.label("id"), e.at, reference.label("reference"), policy.label("policy"))
    newest = newest.where(known, policy < reference).order_by(e.at.desc(), e.id).limit(_SHOWN)
    rate = [lost / n, *wilson(lost / n, n)] if n else None
    rows = [dict(row) for row in connection.execute(newest).mappings()]
    return {"pairs": n, "lost": lost, "won": won, "rate": rate, "newest": rows}


def errors(connection: Connection, since: float) -> list[dict[str, Any]]:
    """The commonest errors of the newest requests, by model and status; numbers in them are left out."""
    e = schema.exchanges.c
    newest = sa.select(e.model, e.asked, e.status, e.error).where(e.at >= since).order_by(e.at.desc()).limit(NEWEST)
    within = newest.subquery()
    asked = sa.select(within).where(within.c.status >= 400)
    counts = Counter(
        (model or asked, status, _without_numbers(error)) for model, asked, status, error in connection.execute(asked)
    )
    return [
        {"model": model, "status": status, "error": error, "requests": n}
        for (model, status, error), n in counts.most_common(_SHOWN)
    ]


def escalation(card: Mapping[str, Any], writers: Set[str]) -> tuple[str, str] | None:
    """Which model took over and why, from a decision's asks; None where the first writer's reply was kept.

    A route that sends a request to its last model at once is a choice, not an escalation: what it asked before was a
    signal's encoder or judge, no writer of replies.
    """
    for node in _nodes(cast("Mapping[str, Any]", card.get("asks") or {})):
        asked = [a for a in _children(node) if a.get("model") in writers or a.get("asks")]
        if len(asked) > 1 and (last := next((a for a in reversed(asked) if not a.get("cancelled")), None)):
            reason = str(last.get("because") or "")
            if reason and last is not asked[0]:
                return str(last.get("model") or last.get("by") or ""), _without_numbers(reason)
    return None


def _children(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [cast("Mapping[str, Any]", a) for a in node.get("asks") or () if isinstance(a, Mapping)]


def _nodes(node: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield node
    for child in _children(node):
        yield from _nodes(child)


def _without_numbers(text: str) -> str:
    return _PLURAL.sub(r"\1s", _NUMBER.sub("…", text))[:200]
