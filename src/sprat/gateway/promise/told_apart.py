"""How far the trust in a draft that is watched can be told: a stopped one is only known to be below its threshold.

So a trust is watched for drift as max(trust, floor), its floor being the highest threshold by which a way that may be
drawn stops drafts: that is known of every draft whichever way is drawn, and has one law in the study, where replies
were read whole, and in the gateway. Checked against: that no alarm comes over requests of the very same law, and one
does where the trusts move (tests/gateway/test_watched_drafts.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from ...combine import Watchful
from ...shape import exchanged, name_of
from ...signals.logprob import Logprob

if TYPE_CHECKING:
    from .promised import Promised


def floors(models: Iterable[Any]) -> dict[str, float]:
    """By the signal's word the highest threshold in (0, 1] that drafts are watched by in any of the models.

    It is inf where drafts may be kept before their trust is known: then nothing of it is told alike by all ways.
    """
    found: dict[str, float] = {}

    def look(part: Any) -> Any:
        if isinstance(part, Watchful):
            for signal, at_least in zip(part.trust, part.at_least, strict=True):
                if 0 < at_least <= 1:
                    least = at_least if isinstance(getattr(signal, "signal", signal), Logprob) else inf
                    found[name_of(signal)] = max(found.get(name_of(signal), 0.0), least)
        return part

    for model in models:
        exchanged(model, look)
    return found


def told_apart(promised: Promised, models: Iterable[Any]) -> Promised:
    """The promise with its features as far as these models tell them; one that they don't tell is left out."""
    known = {name: least for name, least in floors(models).items() if name in promised.features}
    kept = {n: lifted(x, known[n]) if n in known else x for n, x in promised.features.items()}
    return replace(promised, features={n: x for n, x in kept.items() if isfinite(known.get(n, 0.0))}, floors=known)


def lifted(values: Sequence[float], floor: float) -> tuple[float, ...]:
    """The values, none below the floor."""
    return tuple(max(value, floor) for value in values)


def at_hand(found: Mapping[str, float], promised: Promised) -> dict[str, float] | None:
    """Of what was found of a request, the features that are watched; None where one of them is lacking."""
    if not all(name in found for name in promised.features):
        return None
    return {name: max(found[name], promised.floors.get(name, -inf)) for name in promised.features}
