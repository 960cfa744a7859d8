"""What would have changed a decision: the trust needed, a setting, or an override; never another text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ...combine import Cascade, Route, Vote
from ...core import Reply
from ...shape import name_of
from .predicted import AtLeast, Evidence


def levels(model: Any, trusts: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """The trusts found, each with the least that was needed and the model that it would have kept, where known."""
    rows: list[dict[str, Any]] = [{"signal": name, "trust": value} for name, value in trusts]
    if not rows:
        return rows
    if isinstance(model, (Route, Cascade)):
        active = [(m, t) for m, t in zip(model.models, model.at_least, strict=False) if 0 < t <= 1]
        if len(rows) <= len(active):
            for row, (part, at_least) in zip(rows, active, strict=False):
                row |= {"at_least": at_least, "keeps": name_of(part)}
    elif isinstance(model, AtLeast) and len(rows) <= len(model.active):
        for row, i in zip(rows, model.active, strict=False):
            row |= {"at_least": model.way.levels[i].reaches(model.quality, i), "keeps": name_of(model.models[i])}
    return rows


def votes(model: Any, reply: Reply) -> dict[str, int] | None:
    """How many replies gave the winning answer, the next one, and how many were counted; None where none voted."""
    if not isinstance(model, Vote):
        return None
    counts = sorted(Counter(model.same(r) for r in reply.asks if r.ok).values(), reverse=True)
    return {"winner": counts[0], "next": counts[1] if len(counts) > 1 else 0, "of": sum(counts)} if counts else None


def flips(card: Mapping[str, Any], evidence: Evidence | None) -> list[dict[str, Any]]:
    """Each thing that would have given another model, with its price in dollars where it is known."""
    prices = cast("Mapping[str, float | None]", card.get("options") or {})
    writer = str(card.get("model") or "")
    found = [_by_trust(row, writer, prices) for row in cast("list[dict[str, Any]]", card.get("trusts", ()))[-1:]]
    made = [f for f in found if f]
    vote = card.get("votes")
    if vote:
        made.append({"by": "votes", "margin": vote["winner"] - vote["next"]})
    made += _by_setting(card, evidence, writer, prices)
    made += _by_quality(card, writer, prices)
    if needed := (card.get("max_cost") or {}).get("auto"):
        made.append({"by": "override", "override": {"max_cost": needed}, "side": "from", "model": "auto"})
    made += [
        {"by": "override", "override": {"model": name}, "model": name, "cost": dollars}
        for name, dollars in prices.items()
        if name != writer
    ]
    return made


def _by_trust(row: Mapping[str, Any], writer: str, prices: Mapping[str, float | None]) -> dict[str, Any] | None:
    if row.get("at_least") is None:
        return None
    kept = row["trust"] >= row["at_least"]
    model = row["keeps"] if not kept else None
    made = {"by": "trust", "signal": row["signal"], "had": row["trust"], "needed": row["at_least"]}
    made["direction"] = "below" if kept else "from"
    if model and model != writer:
        made |= {"model": model, "cost": prices.get(model)}
    return made


def _by_setting(
    card: Mapping[str, Any], evidence: Evidence | None, writer: str, prices: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """The certified settings of the same candidate under which this trust would have gone elsewhere."""
    trusts = cast("list[dict[str, Any]]", card.get("trusts", ()))
    ran = str(card.get("setting") or (evidence.way if evidence else ""))
    way = evidence.ways.get(ran) if evidence else None
    if way is None or len(way.levels) != 1 or len(trusts) != 1 or "min_quality" in card:
        return []
    if trusts[0]["signal"] != way.levels[0].signal or writer not in (way.models[0], way.models[-1]):
        return []
    if way.kind == "watchful" and writer != way.models[0]:
        return []  # of a stopped draft only the most is known that its trust could have come to
    made: list[dict[str, Any]] = []
    for name, (at_least, _) in way.settings.items():
        model = way.models[0] if trusts[0]["trust"] >= at_least[0] else way.models[-1]
        if name != ran and model != writer:
            made.append({"by": "setting", "setting": name, "model": model, "cost": prices.get(model)})
    return made


def _by_quality(card: Mapping[str, Any], writer: str, prices: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """The greatest minimum quality with which a cheaper model would have been chosen, and above which it would not."""
    predicted = cast("Mapping[str, Mapping[str, float]]", card.get("predicted") or {})
    trusts, names = card.get("trusts"), list(predicted)
    if not trusts or len(names) != 2 or writer not in names or trusts[-1].get("keeps") not in (names[0],):
        return []
    small, large = names
    low = predicted[small]["low"]
    if not 0 < low <= 1:
        return []
    model = large if writer == small else small
    said = "above" if writer == small else "up to"
    return [
        {"by": "override", "override": {"min_quality": low}, "side": said, "model": model, "cost": prices.get(model)}
    ]
