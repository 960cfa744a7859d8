"""How far a judge agrees with people on pairs: accuracy with ties, and Cohen's kappa, each with its interval.

Accuracy gives a tie on one side only half, as MT-bench's agreement of random halves would; kappa (Cohen 1960) is over
the three answers a, b and tie. Checked by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import BadInput
from ..measure.resampling import Estimate, bootstraps, widened
from ..signals.verdicts import Side, Verdict
from .comparison import Rate
from .pairwise import ComparesPairs, Tell
from .preferences import Preference

_NUMBER: dict[Side, int] = {"a": 0, "tie": 1, "b": 2}


@dataclass(frozen=True)
class PeopleAgreement:
    """One judge on one set: `accuracy` where a tie counts half, Cohen's `kappa` (None where neither side varies).

    `flips` is how often the order decided, of the pairs that it saw in both; `longer` how often the judge took the
    longer reply, `people_longer` how often people did.
    """

    set: str
    judge: str
    n: int
    unread: int
    accuracy: Estimate
    kappa: Estimate | None
    ties: Rate
    flips: Rate
    longer: Rate
    people_longer: Rate
    calls: int = 0
    cost: float | None = None


def kappa(one: Any, other: Any) -> float:
    """Cohen's kappa of two rows of answers (0, 1, 2); raises BadInput where chance alone agrees always."""
    x, y = np.asarray(one, np.int64), np.asarray(other, np.int64)
    chance = float(sum(np.mean(x == k) * np.mean(y == k) for k in range(3)))
    if chance >= 1 - 1e-12:
        raise BadInput("Both give one answer alone: kappa has no value.")
    return (float(np.mean(x == y)) - chance) / (1 - chance)


def accuracy(one: Any, other: Any) -> float:
    """The share that agrees; a tie against a choice counts half."""
    return float(np.mean(1 - np.abs(np.asarray(one) - np.asarray(other)) / 2))


def agreement(
    pairs: Sequence[Preference], judge: ComparesPairs | str, tell: Tell | None = None, times: int = 1000
) -> PeopleAgreement:
    """A judge's agreement with people, or a stored judge's by its name; pairs of one request are resampled together.

    Pairs that it could not read are left out and counted. Raises BadInput where none is left.
    """
    if isinstance(judge, str):
        name, kept = judge, [p for p in pairs if judge in p.stored]
        verdicts: list[Verdict] = [p.stored[judge] for p in kept]
    else:
        name, kept = judge.name, list(pairs)
        verdicts = judge.many([(p.request, p.a, p.b) for p in kept], tell)
    read = [(p, v) for p, v in zip(kept, verdicts, strict=True) if v.winner is not None]
    if not read:
        raise BadInput(f"{name} gave no verdict on these pairs that can be read.")
    people = np.array([_NUMBER[p.preferred] for p, _ in read])
    told = np.array([_NUMBER[v.winner] for _, v in read if v.winner is not None])
    units = [p.request.key for p, _ in read]
    right = widened(bootstraps({"accuracy": accuracy}, people, told, units=units, times=times)["accuracy"])
    try:
        chance = bootstraps({"kappa": kappa}, people, told, units=units, times=times)["kappa"]
    except BadInput:
        chance = None
    asks = {id(r): r for v in verdicts for r in v.asks}.values()
    spent = [r.cost for r in asks]
    far = np.array([len(p.a) - len(p.b) for p, _ in read])
    return PeopleAgreement(
        kept[0].set if len({p.set for p in kept}) == 1 else "all",
        name,
        len(read),
        len(kept) - len(read),
        right,
        chance,
        Rate.of(int((told == 1).sum()), len(read)),
        Rate.of(sum(v.flipped is not None for _, v in read), sum(bool(v.said[0]) for _, v in read)),
        _longer(told, far),
        _longer(people, far),
        len(asks),
        None if any(c is None for c in spent) else sum(c for c in spent if c is not None),
    )


def _longer(sides: Any, far: Any) -> Rate:
    told = (sides != 1) & (far != 0)
    return Rate.of(int(((sides == 0) == (far > 0))[told].sum()), int(told.sum()))
