"""What the gateway says about itself: its health, metrics, models, promise, and the cards of its decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from .app import Call, Gateway
from .asgi import respond
from .bounds import foreign
from .promise.plan import gauges
from .served import AUTO
from .wire.problem import Problem, dumped

_TEXT = (b"content-type", b"text/plain; charset=utf-8")


async def healthz(gateway: Gateway, call: Call) -> None:
    """Alive."""
    await respond(call.send, 200, b"ok\n", [_TEXT])


async def readyz(gateway: Gateway, call: Call) -> None:
    """Ready to answer; 503 while draining, or while the store can't be written."""
    health = getattr(gateway.store, "health", None)
    said = "draining" if gateway.draining else "ready" if health is None or health.ok else health.said
    more = f"{gateway.reloading.said()}\n" if gateway.reloading is not None else ""
    await respond(call.send, 200 if said == "ready" else 503, f"{said}\n{more}".encode(), [_TEXT])


async def metrics(gateway: Gateway, call: Call) -> None:
    """Prometheus's page; it holds no prompts and no keys."""
    if gateway.open_keys and foreign(call.headers):
        raise Problem(401, "A web page can't read this.", code="invalid_api_key")
    gateway.gauge()
    page, kind = gateway.metrics.page()
    watched = b"" if gateway.keeper is None else gauges(gateway.keeper.status())
    loaded = b"" if gateway.reloading is None else gateway.reloading.gauges()
    page += watched + loaded
    await respond(call.send, 200, page, [(b"content-type", kind.encode())])


async def models(gateway: Gateway, call: Call) -> None:
    """The models that the key may ask, in the dialect of whoever asks; one of them where its name follows."""
    gateway.admit(call)
    names = [AUTO, *(n for n in (*gateway.served.models, *gateway.served.encoders) if n != AUTO)]
    allows = getattr(call.key, "allows", None)
    names = [n for n in names if allows(n)] if allows else names
    one = call.path.removeprefix("/v1/models").strip("/")
    if one and one not in names:
        raise Problem(404, f"There is no model '{one[:200]}'.", param="model", code="model_not_found")
    if call.anthropic:
        rows: list[dict[str, Any]] = [
            {"type": "model", "id": n, "display_name": n, "created_at": "2026-01-01T00:00:00Z"} for n in names
        ]
        listed: dict[str, Any] = {"data": rows, "has_more": False, "first_id": None, "last_id": None}
        listed |= {"first_id": names[0], "last_id": names[-1]} if names else {}
    else:
        rows = [{"id": n, "object": "model", "created": 1767225600, "owned_by": "sprat"} for n in names]
        listed = {"object": "list", "data": rows}
    await respond(call.send, 200, dumped(rows[names.index(one)] if one else listed))


async def promise(gateway: Gateway, call: Call) -> None:
    """How the promise stands, for whoever holds a key; it holds no prompts."""
    gateway.admit(call)
    if gateway.keeper is None:
        raise Problem(404, "No promise is watched: the served file has no [promise].", code="not_found")
    await respond(call.send, 200, dumped(gateway.keeper.status()))


async def decision(gateway: Gateway, call: Call) -> None:
    """The card of a decision, for the key that asked: JSON with its drawing, or the drawing where text is wanted."""
    from .cards.card import completed

    gateway.admit(call)
    number = call.path.rsplit("/", 1)[1]
    owner, card, text = gateway.cards.get(number) or await _stored(gateway, number)
    if card is None or owner != getattr(call.key, "id", ""):
        raise Problem(404, "There is no such decision, or it is no longer kept.", code="not_found")
    own = await gateway.labelled.refreshed(gateway.store, gateway.served.settings.store_prompts, owner)
    shown = completed(card, gateway.served, text, own=own)
    if b"text/plain" in call.headers.get(b"accept", b""):
        await respond(call.send, 200, f"{shown['drawing']}\n".encode(), [_TEXT])
    else:
        await respond(call.send, 200, dumped(shown))


async def _stored(gateway: Gateway, number: str) -> tuple[str, Mapping[str, Any] | None, str]:
    """A decision that another worker took, or that was taken before a restart; its text only where prompts are kept."""
    from .cards.neighbours import stored

    find = getattr(gateway.store, "exchange", None)
    found = await asyncio.to_thread(find, number) if find and len(number) <= 64 else None
    if found is None:
        return "", None, ""
    return found.key, found.card or None, stored(found.request)
