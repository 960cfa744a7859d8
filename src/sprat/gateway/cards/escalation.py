"""What became of the drafts that were watched, in words for the card: kept, or stopped for which doubt at what cost."""

from __future__ import annotations

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
    """A sentence per watched draft below a reply; "" where none was watched."""
    return " ".join(_said(node) for node in _watched(reply)).strip()


def _watched(reply: Reply) -> list[Reply]:
    own = [reply] if reply.by == "watchful" else []
    return own + [node for ask in reply.asks for node in _watched(ask)]


def _said(node: Reply) -> str:
    drafts = [ask for ask in node.asks if ask.because != "a second opinion"]
    found: list[str] = []
    for draft, after in zip(drafts, [*drafts[1:], None], strict=True):
        if draft.cancelled and after is not None:
            cost = "at a cost that is not known" if draft.cost is None else f"at ${draft.cost:.3g}"
            found.append(f"{draft.model} was stopped {cost}: {after.because}; {after.model} took over.")
    return " ".join(found) or (f"{drafts[0].model} was kept." if drafts and drafts[0].ok else "")
