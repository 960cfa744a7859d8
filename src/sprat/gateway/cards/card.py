"""The decision card: what was asked, how good the reply is likely to be, what each option costs, and what covers it.

It is made of the tree that `reply.tree()` draws, without the texts: those belong to whoever asked. What is kept
of every decision is a table of numbers (`card`); what needs a look at the study's rows is added when it is read
(`completed`). docs/gateway.md says what each field is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...core import Reply
from ...prices import cost
from ...shape import name_of
from ..served import Served
from ..wire.asked import written_by
from ..wire.struck import for_clients
from .card_text import KEPT, drawn
from .flip import flips, levels, votes
from .foreseen import Foreseen
from .neighbours import Logged, nearest


def card(
    number: str,
    asked: str,
    priced: Sequence[Any],
    reply: Reply,
    trusts: Sequence[tuple[str, float]],
    model: Any,
    facts: Mapping[str, str] | None = None,
    *,
    foreseen: Foreseen | None = None,
    setting: str = "",
    uncovered: str = "",
    later: bool = False,
    max_cost: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The card as a table; `options` says what each of the `priced` models would have taken for as many tokens.

    `max_cost` says in dollars what was `asked` for, where it replaced the way, and what the way (`auto`) may take.
    """
    usage = written_by(reply).usage if len(priced) > 1 else None
    made: dict[str, Any] = {
        "id": number,
        "asked": asked,
        "way": name_of(model),
        "model": reply.model,
        "cost": reply.cost,
        "seconds": reply.seconds,
        "trusts": levels(model, trusts),
        "asks": told(reply),
    }
    if later:
        made["later_turn"] = True
    if max_cost:
        made["max_cost"] = dict(max_cost)
    if setting:
        made["setting"] = setting
    if len(priced) > 1:
        made["options"] = {name_of(m): cost(m.price, usage) for m in priced}
    if voted := votes(model, reply):
        made["votes"] = voted
    made |= (foreseen or Foreseen()).row
    made["covered"] = {"by": "" if uncovered else "certificate", "why": uncovered}
    if facts:
        made["facts"] = dict(facts)
    return made


def told(reply: Reply) -> dict[str, Any]:
    """The tree of asks as tables, texts left out."""
    row: dict[str, Any] = {k: v for k in KEPT if (v := getattr(reply, k)) != "" and v is not False}
    row |= {k: for_clients(row[k]) for k in ("because", "error") if k in row}
    if reply.usage is not None:
        row["usage"] = {"input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens}
    if reply.asks:
        row["asks"] = [told(a) for a in reply.asks]
    return row


def shown(reply: Reply) -> Reply:
    """The tree of asks as a client may see it drawn: what upstreams said of themselves is struck."""
    said = {"because": for_clients(reply.because), "error": for_clients(reply.error)}
    return replace(reply, asks=tuple(shown(a) for a in reply.asks), **said)


def completed(
    kept: Mapping[str, Any], served: Served, text: str = "", tree: str = "", own: Logged | None = None
) -> dict[str, Any]:
    """A kept card with what would flip it, its neighbours (those of `text`; "" is not known) and its drawing.

    `own` are labelled requests of the gateway's own log, which join the study's rows.
    """
    evidence = served.evidence
    made: dict[str, Any] = {**kept, "certificate": dict(served.certificate), "flip": flips(kept, evidence)}
    if evidence is not None:
        made["evidence"] = evidence.said
    among = [evidence.logged if evidence else None, own]
    if text and any(among):
        made["neighbours"] = nearest(among, text, served.settings.neighbour_texts)
    if text and evidence is not None and evidence.logged is not None and (unlike := evidence.logged.unlike(text)):
        made["unlike"] = unlike
    made["drawing"] = drawn(made, tree)
    return made


def short(model: Any, reply: Reply | None, trusts: Sequence[tuple[str, float]], alone: str = "pinned") -> str:
    """A line for the header: who decided by what, against which threshold; ASCII alone.

    A model that nothing decides in was "pinned" by the request, chosen by its "max_cost", or is all that `auto` ran.
    """
    parts = [name_of(model) if hasattr(model, "answer") else alone]
    for row in levels(model, trusts[:8]):
        needed = row.get("at_least")
        sign = "" if needed is None else f" >= {needed:.3g}" if row["trust"] >= needed else f" < {needed:.3g}"
        parts.append(f"{row['signal']}={row['trust']:.3g}{sign}")
    if reply is not None and len(reply.asks) > 1:
        parts.append(f"asks={len(reply.asks)}")
    return "; ".join(parts).encode("ascii", "replace").decode()[:300]
