"""What made another model take over, in words for the card: a draft's doubt and what it had cost, or a failure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from ...combine import Cascade, Watchful
from ...core import Reply
from ...shape import exchanged


def unwatched(model: Any) -> Any:
    """The model with whole replies judged where drafts would be watched: for several choices, which are seen whole."""

    def change(thing: Any) -> Any:
        if not isinstance(thing, Watchful):
            return thing
        return Cascade(tuple(exchanged(m, change) for m in thing.models), thing.trust, thing.at_least)

    return exchanged(model, change)


def told(reply: Reply) -> str:
    """A sentence per watched draft, and per model that failed, below a reply; "" where there was neither."""
    return " ".join(f"{_failed(node)} {_said(node)}".strip() for node in _led(reply)).strip()


def _led(reply: Reply) -> list[Reply]:
    own = [reply] if reply.by in ("cascade", "route", "watchful") else []
    return own + [node for ask in reply.asks for node in _led(ask)]


def _failed(node: Reply) -> str:
    pairs = [(ask, after) for ask, after in pairwise(node.asks) if ask.error and after.because.startswith(ask.model)]
    return " ".join(f"{after.because}; {after.model} answered instead." for _, after in pairs)


def _said(node: Reply) -> str:
    if node.by != "watchful":
        return ""
    drafts = [ask for ask in node.asks if ask.because != "a second opinion"]
    found: list[str] = []
    for draft, after in zip(drafts, [*drafts[1:], None], strict=True):
        if draft.cancelled and after is not None:
            cost = "at a cost that is not known" if draft.cost is None else f"at ${draft.cost:.3g}"
            found.append(f"{draft.model} was stopped {cost}: {after.because}; {after.model} took over.")
    return " ".join(found) or (f"{drafts[0].model} was kept." if drafts and drafts[0].ok else "")
