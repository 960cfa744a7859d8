"""Exchanges to rows of the store and back; secrets are struck out on the way in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..access.limits import Spent, span
from ..compact import compact
from ..wire.struck import struck
from . import schema
from .exchange import Exchange

COLUMNS = tuple(c.name for c in schema.exchanges.columns)
Charges = dict[tuple[str, str], Spent]

_BIGGEST = 2**63 - 1
_REFUSED = (401, 403, 429)


def row_of(exchange: Exchange, secrets: Sequence[str] = ()) -> tuple[Any, ...]:
    """The row (in the order of COLUMNS) that keeps an exchange; what a database can't hold is unknown."""
    e = exchange
    return (
        _text(e.id),
        float(e.at),
        _text(e.dialect),
        _text(e.key),
        _text(struck(e.asked, secrets)),
        _text(e.model),
        _text(e.way),
        _text(struck(e.thread, secrets)),
        e.request_key,
        _whole(e.input_tokens),
        _whole(e.output_tokens),
        finite(e.cost),
        finite(e.reference_cost),
        finite(e.seconds),
        finite(e.first_byte),
        e.status,
        _text(struck(e.error, secrets)[:2000]) if e.error else "",
        1 if e.streamed else 0,
        finite(e.propensity),
        _json(e.trusts) if e.trusts else None,
        struck(_json(e.card), secrets) if e.card else None,
        _text(e.setting),
        _text(e.drawn),
        _text(e.crafted),
        finite(e.at_most),
    )


def prompt_of(exchange: Exchange, secrets: Sequence[str] = ()) -> dict[str, Any]:
    """The row that keeps an exchange's prompt and reply, as they were but for these very secrets."""
    found: dict[str, Any] = {"id": _text(exchange.id)}
    for name, value in (("request", exchange.request), ("reply", exchange.reply)):
        text = None if value is None else _json(value)
        for secret in secrets:
            text = text.replace(secret, "***") if text and secret else text
        found[name] = text
    return found


def exchange_of(row: Mapping[str, Any]) -> Exchange:
    """The exchange that a row keeps, with request and reply where the row has them."""
    told = {name: row[name] for name in COLUMNS}
    told["streamed"] = bool(told["streamed"])
    told["trusts"], told["card"] = _read(told["trusts"]) or {}, _read(told["card"]) or {}
    return Exchange(**told, request=_read(row.get("request")), reply=_read(row.get("reply")))


def charges(exchanges: Sequence[Exchange]) -> Charges:
    """What exchanges add to each key's day and month; a request that was refused at the door was no call."""
    found: Charges = {}
    for e in exchanges:
        if e.cost == 0.0 and e.at_most is None and e.status in _REFUSED:
            continue
        one = charge(e.cost, e.at_most)
        for place in ((_text(e.key), span("day", e.at)), (_text(e.key), span("month", e.at))):
            found[place] = found[place].plus(one) if place in found else one
    return found


def charge(cost: float | None, at_most: float | None = None) -> Spent:
    """One call of this cost; one that is unknown, or no number, is counted as unknown, with what it cost at most."""
    known = finite(cost)
    return Spent(0.0, 1, 1, finite(at_most) or 0.0) if known is None else Spent(known, 1, 0)


def finite(value: float | None) -> float | None:
    """The number, or None where there is none that can be summed."""
    return float(value) if value is not None and math.isfinite(value) else None


def _whole(value: int | None) -> int | None:
    return None if value is None or not -_BIGGEST <= value <= _BIGGEST else int(value)


def _text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _json(value: Any) -> str:
    return compact(value).decode()


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)
