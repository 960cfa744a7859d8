"""The ways of working that a study tries: who is asked, in which order, and which signal decides.

A candidate is a recipe with its thresholds left open; a setting is a candidate with its thresholds. The forced
baselines (random, prompt length, oracle) are measured like the others and never shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..core import Model
from ..data import Dataset

Kind = Literal["alone", "route", "cascade", "watchful", "assign", "fixed"]
JUDGED = ("route", "cascade", "watchful")  # a signal and a threshold decide


FIRST = 20  # tokens of a draft that are held


@dataclass(frozen=True)
class Candidate:
    """One way of working over `models` (names, cheap to dear).

    `signals` judge each model but the last (route: one signal; assign: one predictor); `build` makes the technique of
    a fixed candidate from the models. A `baseline` is shown, never shipped; one that is `labelled` may read the rows'
    groups, which live requests don't carry, so it is a baseline too.
    """

    name: str
    kind: Kind
    models: tuple[str, ...]
    signals: tuple[Any, ...] = ()
    build: Callable[..., Any] | None = None
    baseline: bool = False
    labelled: bool = False

    def model(self, parts: dict[str, Any], signals: Sequence[Any], thresholds: Sequence[float], prices: Any) -> Model:
        """The technique with these fitted signals and thresholds, over the models in `parts`."""
        from ..combine import Assign, Cascade, Route, Watchful

        models = tuple(parts[m] for m in self.models)
        if self.kind == "alone":
            return models[0]
        if self.kind == "route":
            return Route(models, tuple(signals), tuple(thresholds))
        if self.kind == "cascade":
            return Cascade(models, tuple(signals), tuple(thresholds))
        if self.kind == "watchful":
            return Watchful(models, tuple(signals), tuple(thresholds))
        if self.kind == "assign":
            return Assign(models, signals[0], tuple(prices), thresholds[0])
        assert self.build is not None
        return self.build(*models)


def has_text(data: Dataset, model: str) -> bool:
    """Whether the model's replies were recorded with their text."""
    return any(r is not None and (r.text is not None or r.tool_calls) for r in data.replies(model))


def has_logprobs(data: Dataset, model: str) -> bool:
    """Whether all of the model's replies were recorded with token log-probabilities."""
    replies = data.replies(model)
    return bool(replies) and all(r is not None and r.logprobs for r in replies)


def draws(data: Dataset, model: str) -> int:
    """How many further draws of the model every row has, numbered from 1 on."""
    numbers = [{c.sample for c in e.calls if c.model == model and c.reply.ok} for e in data]
    return min((next(k for k in range(len(n) + 1) if k + 1 not in n) for n in numbers), default=0)


def right_or_wrong(data: Dataset) -> bool:
    """Whether every recorded score is an end of the declared bounds."""
    return all(c.reply.score in (None, *data.bounds) for e in data for c in e.calls)


def propose(data: Dataset, small: str, large: str, peers: Sequence[str], encoder: Any) -> list[Candidate]:
    """The candidates that these recordings allow, the alone ones and the baselines first."""
    from .. import signals as s
    from ..combine import Vote

    pair = (small, large)
    recorded = {m: _named(m) for m in (small, *peers, large)}
    found = [Candidate(f"{m} alone", "alone", (m,)) for m in (small, *peers, large)]
    found += [
        Candidate("route by chance", "route", pair, (s.random(),), baseline=True),
        Candidate("route by prompt length", "route", pair, (s.length(),), baseline=True),
    ]
    routers: dict[str, Any] = {
        "ridge on the gain": s.ridge_gain(encoder=encoder),
        "nearest neighbours": s.knn(encoder=encoder),
        "matrix factorization": s.matrix_factorization(encoder=encoder),
        "similarity-weighted ranking": s.similarity_weighted(encoder=encoder),
        "encoder classifier": s.classifier(encoder=encoder),
        # With one right-or-wrong reply per model the three variants have the same labels.
        "hybrid": s.hybrid(encoder=encoder, variant="probabilistic" if right_or_wrong(data) else "transformed"),
        "exemplar pools": s.orchestra(encoder=encoder),
        "dual contrastive": s.routerdc(encoder=encoder),
        "distilled reward": s.zooter(encoder=encoder),
        "mean of routers": s.ensemble_router(encoder=encoder),
    }
    if any(e.request.group is not None for e in data):
        found.append(Candidate("route by category", "route", pair, (s.category(),), baseline=True, labelled=True))
    found += [Candidate(f"route by {name}", "route", pair, (signal,)) for name, signal in routers.items()]
    if has_logprobs(data, small):
        for how in ("mean", "min"):
            found.append(Candidate(f"cascade on {how} log-probability", "cascade", pair, (s.logprob(how=how),)))
        watched = (s.logprob(how="min", first=FIRST),)
        found.append(Candidate(f"watch the first {FIRST} tokens' lowest log-probability", "watchful", pair, watched))
    if has_text(data, small):
        found.append(Candidate("cascade on the answer's features", "cascade", pair, (s.answer_features(label="gain"),)))
        found.append(Candidate("cascade on a learned scorer", "cascade", pair, (s.frugal(encoder=encoder),)))
    if has_text(data, small) and (drawn := draws(data, small)):
        doubts: dict[str, Any] = {
            "agreement of its draws": s.sample_agreement(recorded[small], samples=drawn, temperature=None),
            "self-check by its draws": s.self_check(recorded[small], samples=drawn, temperature=None),
        }
        doubts["features and its draws"] = s.stacked(s.answer_features(), *doubts.values(), label="gain")
        found += [Candidate(f"cascade on {name}", "cascade", pair, (signal,)) for name, signal in doubts.items()]
    spoken = [p for p in peers if has_text(data, p)]
    if spoken and has_text(data, small):
        asked = tuple(recorded[p] for p in spoken)
        found.append(Candidate("cascade on agreement", "cascade", pair, (s.agreement(*asked),)))
        found.append(Candidate("cascade on agreement by kind", "cascade", pair, (s.agreement_cells(*asked),)))
        found.append(Candidate("cascade on features and agreement", "cascade", pair, (s.answer_features(*asked),)))
        if len(spoken) > 1:
            found.append(Candidate("vote of the small ones", "fixed", (small, *spoken), build=lambda *m: Vote(m)))
    if peers:
        between = (small, peers[0], large)
        if has_text(data, small) and has_text(data, peers[0]):
            features = (s.answer_features(), s.answer_features())
            found.append(Candidate(f"cascade through {peers[0]}", "cascade", between, features))
        found.append(
            Candidate("assign by predicted score", "assign", (small, *peers, large), (s.forc(encoder=encoder),))
        )
    return found


def _named(name: str) -> Any:
    from ..replay import Recorded

    return Recorded(name)
