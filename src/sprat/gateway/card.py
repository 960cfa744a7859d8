"""The decision card: what was asked, how far replies were trusted, what each option costs, which certificate holds.

It is made of the tree that `reply.tree()` draws, without the texts: those belong to whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ..core import Reply
from ..prices import cost
from ..shape import name_of
from ..tree import draw
from .wire.asked import written_by

_KEPT = ("model", "by", "because", "cost", "seconds", "cancelled", "error")


def card(
    number: str,
    asked: str,
    priced: Sequence[Any],
    reply: Reply,
    trusts: Sequence[tuple[str, float]],
    way: str,
    facts: Mapping[str, str] | None = None,
) -> Any:
    """The card as a table; `options` says what each of the `priced` models would have taken for as many tokens."""
    usage = written_by(reply).usage
    made: dict[str, Any] = {
        "id": number,
        "asked": asked,
        "way": way,
        "model": reply.model,
        "cost": reply.cost,
        "seconds": reply.seconds,
        "trusts": [{"signal": name, "trust": value} for name, value in trusts],
        "asks": told(reply),
    }
    if len(priced) > 1:
        made["options"] = {name_of(m): cost(m.price, usage) for m in priced}
    if facts:
        made["facts"] = dict(facts)
    return made


def told(reply: Reply) -> dict[str, Any]:
    """The tree of asks as tables, texts left out."""
    row: dict[str, Any] = {k: v for k in _KEPT if (v := getattr(reply, k)) not in ("", False)}
    if reply.usage is not None:
        row["usage"] = {"input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens}
    if reply.asks:
        row["asks"] = [told(a) for a in reply.asks]
    return row


def drawn(table: Mapping[str, Any]) -> str:
    """The card as text: the drawing of reply.tree(), then trusts, prices and the certificate."""
    lines = [str(table.get("drawing") or draw(_reply(table["asks"])))]
    lines += [f"trust {t['trust']:.3g} by {t['signal']}" for t in table.get("trusts", ())]
    priced = cast("Mapping[str, float | None]", table.get("options") or {})
    if priced:
        said = ", ".join(f"{name} {'unknown' if v is None else f'${v:.3g}'}" for name, v in priced.items())
        lines.append(f"by one model alone: {said}")
    lines += [f"{name}: {text}" for name, text in (table.get("facts") or {}).items()]
    lines += [f"{name}: {text}" for name, text in (table.get("certificate") or {}).items()]
    return "\n".join(lines)


def _reply(row: Mapping[str, Any]) -> Reply:
    kept = {k: row[k] for k in _KEPT if k in row}
    return Reply(None, asks=tuple(_reply(a) for a in row.get("asks", ())), **kept)


def short(model: Any, reply: Reply | None, trusts: Sequence[tuple[str, float]]) -> str:
    """A line for the header: who decided by what; ASCII alone."""
    parts = [name_of(model) if hasattr(model, "answer") else "pinned"]
    parts += [f"{name}={value:.3g}" for name, value in trusts[:8]]
    if reply is not None and len(reply.asks) > 1:
        parts.append(f"asks={len(reply.asks)}")
    return "; ".join(parts).encode("ascii", "replace").decode()[:300]
