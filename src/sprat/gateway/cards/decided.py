"""The decision card of a request at hand: what Talk knows of it, put together."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from ..served import LONGEST, longest_of, worst
from ..steering.ways import AUTO
from .card import card, completed, shown
from .escalation import told
from .foreseen import Foreseen, foreseen, uncovered
from .neighbours import compared

if TYPE_CHECKING:
    from ..talk import Talk

_NONE_CAME = "no reply came"


def foreseen_of(talk: Talk, writer: str) -> Foreseen:
    """How good the reply is likely to be, once it is known who writes it; found once."""
    asked = talk.asked
    if not talk.replies and talk.failed is not None:
        return Foreseen(unknown=_NONE_CAME)
    if talk.foreseen is None and asked is not None:
        least = asked.overrides.min_quality
        if talk.cached:
            said = "a kept reply was given: the decision that made it has the rate"
            talk.foreseen = Foreseen(unknown=said, least=least)
        else:
            talk.foreseen = foreseen(
                talk.served.evidence,
                talk.choice.setting if talk.choice else "",
                talk.model,
                writer,
                talk.tap.trusts,
                continues=asked.request.continues,
                samples=asked.n,
                least=least,
            )
    return talk.foreseen or Foreseen()


def card_of(talk: Talk, full: bool = False) -> Mapping[str, Any]:
    """The card to keep, or the `full` one to show; of a reply that did not come: what was asked for it."""
    reply, asked, served = talk.replies[0] if talk.replies else talk.failed, talk.asked, talk.served
    assert asked is not None, "a reply was asked for"
    assert reply is not None, "it came, or what was asked for it is known"
    if said := told(reply):
        talk.facts["escalation"] = said
    made = card(
        talk.number,
        talk.name,
        talk.gateway.priced(AUTO, served.models[AUTO]),
        reply,
        talk.tap.trusts,
        talk.model,
        talk.facts,
        foreseen=foreseen_of(talk, talk.tap.model or reply.model),
        setting=talk.choice.setting if talk.choice else "",
        uncovered=uncovered_of(talk),
        later=asked.request.continues,
        max_cost=_bounded(talk),
    )
    if not full:
        return made
    own = talk.gateway.labelled.of(getattr(talk.call.key, "id", ""))
    return completed(made, served, compared(asked.request), shown(reply).tree(), own)


def alone_of(talk: Talk) -> str:
    """What put one model alone in its place: the request that named it, its maximum cost, or the file."""
    asked = talk.asked
    if talk.name == AUTO or asked is None:
        return "alone"
    return "pinned" if (asked.overrides.model or asked.model) != AUTO else "max_cost"


def _bounded(talk: Talk) -> dict[str, float]:
    """The maximum cost that put another model in the way's place, and what the way may take; empty where none did."""
    asked = talk.asked
    if asked is None or asked.overrides.max_cost is None or alone_of(talk) != "max_cost":
        return {}
    needed = worst(talk.served.models[AUTO], asked.request, (longest_of(asked.request.options) or LONGEST) * asked.n)
    return {"asked": asked.overrides.max_cost} | ({"auto": needed} if needed < inf else {})


def covering(talk: Talk) -> str:
    """A line for the header: the date of the certificate that covers the reply, or `none` and why; "" without one."""
    if not talk.served.certificate or talk.asked is None:
        return ""
    why = uncovered_of(talk)
    said = f"none; {why}" if why else str(talk.served.certificate.get("date", "undated"))
    return said.encode("ascii", "replace").decode()[:200]


def uncovered_of(talk: Talk) -> str:
    """Why no certificate covers the reply; "" where one does."""
    asked, choice = talk.asked, talk.choice
    assert asked is not None, "a reply was asked for"
    if not talk.replies and talk.failed is not None:
        return _NONE_CAME
    pinned = asked.overrides.model or asked.model
    return uncovered(
        talk.served.certificate,
        pinned="" if pinned == AUTO else pinned,
        least=asked.overrides.min_quality,
        cheaper=talk.name != AUTO,
        continues=asked.request.continues,
        samples=asked.n,
        certified=choice is None or choice.certified,
        promise=talk.promise,
        kept=talk.cached,
        altered=talk.served.altered,
    )
