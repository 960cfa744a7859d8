"""Makes the list of settings to be labelled, from rows set aside and without any label; see labels.py for why.

The candidates are those that need no score: the small model alone, its log-probabilities, agreement with peers, and
features of the reply that foretell whether the large model will agree (that is known on every recorded row).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .. import signals as s
from ..data import Dataset, Floats
from ..errors import BadInput
from ..replay import Recorded, Recording
from ..splits import split
from .arrange import front
from .candidates import Candidate, has_logprobs, has_text
from .certify import Promise, by_unit
from .labels import Bools, Plan, Way, reading_order, same
from .score import Ints, Trusted, by_folds, fitted, out_of_fold, thresholds, trusted
from .sequential import fewest_rows
from .tried import named

ASIDE, ASIDE_MOST = 0.25, 500  # the share of the rows that makes the list
LONGEST = 16  # settings in the list
ENOUGH = 20  # rows of each kind before agreement can be learned


def plan(data: Dataset, small: str, large: str, peers: Sequence[str], promise: Promise, delta: float) -> Plan:
    """Fix the list, the order and the bets' scale; raises BadInput where no number of labels could certify anything."""
    if promise.kind != "within":
        raise BadInput("Labels of disagreements can show `within`, not `keep`.", hint="Give --within POINTS.")
    if small == large or large in peers or small in peers:
        raise BadInput("The small model, the large one and the peers must differ.")
    data.require((small, *peers, large))
    data = _recorded(data, (small, *peers, large))
    units = int(data.units.max()) + 1 if len(data) else 0
    least = fewest_rows(promise.top, delta, promise.level)
    share = min(ASIDE, ASIDE_MOST / max(units, 1))
    if (1 - share) * units < least:
        raise BadInput(
            f"{units} rows can't show a loss within {100 * promise.level:g} points at {100 * (1 - delta):g} % "
            f"confidence, whatever their labels; it takes at least {round(least / (1 - share))}.",
            hint="Collect more rows, or give a larger --within.",
        )
    aside, rest = split(data, [share, 1 - share])
    differs = np.array([not _agree(data, i, small, large) for i in range(len(data))])
    whole = Recording(_graded(data, (small, *peers, large), differs, small, large))
    found = _candidates(data, small, large, peers, differs[aside])
    trusts = [out_of_fold(c, whole, aside, by_folds(data, aside, 5)) for c in found]
    ways, kept_aside = _list(found, trusts, differs[aside])
    signals = {c.name: fitted(c, whole, aside) for c, _ in ways}
    every = np.arange(len(data))
    trust = {c.name: trusted(c, signals[c.name], whole, every) for c in found if c.name in signals}
    kept = np.stack([_kept(c, trust[c.name], cut) for c, cut in ways], axis=1)
    risk = by_unit(kept_aside * differs[aside][:, None].astype(float), data.units[aside].tolist())
    spread = (np.square(risk).sum(axis=0) + 1) / (len(risk) + 2) + promise.level**2
    made = tuple(
        Way(named(c, cut), c, signals[c.name], cut, float(kept[rest, k].mean())) for k, (c, cut) in enumerate(ways)
    )
    order = reading_order(data, rest)
    return Plan(data, small, large, promise, delta, made, order, kept, differs, spread, len(aside))


def _recorded(data: Dataset, models: Sequence[str]) -> Dataset:
    """The rows on which every model has said something."""
    replies = [data.replies(m) for m in models]
    spoken = [
        all(r is not None and r.ok and (r.text or r.tool_calls) for r in row) for row in zip(*replies, strict=True)
    ]
    if not any(spoken):
        raise BadInput(
            "No row has the text of a reply from every model named, so there is nothing to compare.",
            hint="Label recorded replies, not a table of scores.",
        )
    return data if all(spoken) else data.take(np.flatnonzero(spoken))


def _agree(data: Dataset, row: int, small: str, large: str) -> bool:
    example = data.examples[row]
    a, b = example.reply(small), example.reply(large)
    return a is not None and b is not None and same(a, b, example.target)


def _graded(data: Dataset, models: Sequence[str], differs: Bools, small: str, large: str) -> Dataset:
    """The rows with agreement as the score, so that signals can learn to foretell it; recorded scores are not read."""

    def score(row: int, model: str) -> float:
        if model == small:
            return float(not differs[row])
        return float(model == large or _agree(data, row, model, large))

    examples = tuple(
        replace(e, calls=tuple(replace(c, reply=replace(c.reply, score=score(i, c.model))) for c in e.calls
                               if c.model in models))
        for i, e in enumerate(data)
    )  # fmt: skip
    return replace(data, examples=examples, bounds=(0.0, 1.0))


def _candidates(data: Dataset, small: str, large: str, peers: Sequence[str], differs: Bools) -> list[Candidate]:
    pair = (small, large)
    asked = tuple(Recorded(p) for p in peers if has_text(data, p))
    found = [Candidate(f"{small} alone", "alone", (small,))]
    if has_logprobs(data, small):
        for how in ("mean", "min"):
            found.append(Candidate(f"cascade on {how} log-probability", "cascade", pair, (s.logprob(how=how),)))
    if asked:
        found.append(Candidate("cascade on agreement", "cascade", pair, (s.agreement(*asked),)))
    if min(int(differs.sum()), int((~differs).sum())) >= ENOUGH and _can_learn():
        found.append(Candidate("cascade on features", "cascade", pair, (s.answer_features(),)))
        if asked:
            found.append(Candidate("cascade on features and agreement", "cascade", pair, (s.answer_features(*asked),)))
    return found


def _can_learn() -> bool:
    from importlib.util import find_spec

    return find_spec("sklearn") is not None


def _kept(candidate: Candidate, trust: Trusted, cut: tuple[float, ...]) -> Bools:
    """Whether the small model's reply is kept (rows,)."""
    if candidate.kind == "alone":
        return np.ones(len(trust.values), dtype=bool)
    return trust.values[:, 0] >= cut[0]


def _list(
    candidates: Sequence[Candidate], trusts: Sequence[Trusted], differs: Bools
) -> tuple[list[tuple[Candidate, tuple[float, ...]]], Floats]:
    """The front of (share kept, share kept that disagrees) on the rows set aside, safest first, and what each keeps."""
    none = np.zeros(2)
    options = [(c, t, cut) for c, t in zip(candidates, trusts, strict=True) for cut in thresholds(c, t, none)]
    kept = np.stack([_kept(c, t, cut) for c, t, cut in options], axis=1).astype(np.float64)
    share = kept.mean(axis=0)
    places = front(-(kept * differs[:, None]).mean(axis=0), 1 - share)
    wanted = np.linspace(1 / LONGEST, 1, LONGEST)
    nearest: Ints = np.abs(share[places] - wanted[:, None]).argmin(axis=1)
    chosen = [places[i] for i in np.unique(nearest)]
    return [(options[i][0], options[i][2]) for i in chosen], kept[:, chosen]
