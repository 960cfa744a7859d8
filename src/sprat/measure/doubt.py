"""Which measure of uncertainty tells wrong answers from right ones, on recorded draws: AUROC, AURC, PRR of each.

The estimators are those of sprat.uncertainty, of the question (how far its draws spread) and of the answer (how far the
others stand from it); the answer judged is the first draw. Checked by hand (tests/measure/test_doubt.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core import Can, Reply
from ..data import Dataset
from ..errors import BadInput
from ..nli.naming import resolved
from ..nli.protocol import Nli
from ..sentences import sentences
from ..similarity.scores import token_encoder
from ..uncertainty import graph
from ..uncertainty.clusters import Alike, Draws, Entailment, Equivalence, Exact, Ids, cluster
from ..uncertainty.entropy import semantic_entropy
from ..uncertainty.levels import Samples
from ..uncertainty.self_check import by_bertscore, by_ngram, self_checked
from ..uncertainty.tokens import entropies, max_entropy, mean_entropy
from .calibration import aurc, auroc, prr
from .resampling import Estimate, bootstraps

Floats = NDArray[np.float64]
Level = Literal["question", "answer"]


@dataclass(frozen=True)
class Prepared:
    """One question's draws with what the estimators share: clusters and likeness by both equivalences."""

    samples: Samples
    replies: tuple[Reply, ...]
    exact: NDArray[np.bool_]
    alike: NDArray[np.bool_]
    likeness: Floats
    exact_ids: Ids
    alike_ids: Ids


@dataclass(frozen=True)
class Estimator:
    """A measure of uncertainty by name: higher is less sure."""

    name: str
    level: Level
    needs: Can
    value: Callable[[Prepared], float]


def _entropy(convention: str, ids: Callable[[Prepared], Ids]) -> Callable[[Prepared], float]:
    return lambda p: semantic_entropy(p.samples, ids(p), convention).value


def _disagreement(matrix: Callable[[Prepared], NDArray[Any]]) -> Callable[[Prepared], float]:
    return lambda p: 1 - float(np.mean(matrix(p)[0, 1:]))


def _unigram(p: Prepared) -> float:
    said = sentences(p.samples.texts[0])
    if not said:  # an empty answer is neither consistent nor not
        return nan
    return float(np.mean([s.mean for s in by_ngram(said, p.samples.texts[0], p.samples.texts[1:])]))


def _surprise(p: Prepared) -> float:
    return -float(p.samples.means()[0])


def _token_entropy(how: str) -> Callable[[Prepared], float]:
    return lambda p: (mean_entropy if how == "mean" else max_entropy)(entropies(p.replies[0])).low


ESTIMATORS = (
    Estimator("semantic entropy, exact", "question", Can.TEXT, _entropy("discrete", lambda p: p.exact_ids)),
    Estimator("semantic entropy, alike", "question", Can.TEXT, _entropy("discrete", lambda p: p.alike_ids)),
    Estimator("semantic entropy, rao", "question", Can.LOGPROBS, _entropy("rao", lambda p: p.alike_ids)),
    Estimator(
        "semantic entropy, monte_carlo", "question", Can.LOGPROBS, _entropy("monte_carlo", lambda p: p.alike_ids)
    ),
    Estimator(
        "semantic entropy, lm_polygraph", "question", Can.LOGPROBS,
        _entropy("lm_polygraph", lambda p: p.alike_ids),
    ),
    Estimator("number of meanings", "question", Can.TEXT, lambda p: float(p.alike_ids.max() + 1)),
    Estimator("degree", "question", Can.TEXT, lambda p: graph.degree(p.likeness).value),
    Estimator("eccentricity", "question", Can.TEXT, lambda p: graph.eccentricity(p.likeness).value),
    Estimator("eigenvalue", "question", Can.TEXT, lambda p: graph.eigenvalue(p.likeness).value),
    Estimator("disagreement, exact", "answer", Can.TEXT, _disagreement(lambda p: p.exact)),
    Estimator("disagreement, alike", "answer", Can.TEXT, _disagreement(lambda p: p.alike)),
    Estimator("disagreement, mean likeness", "answer", Can.TEXT, _disagreement(lambda p: p.likeness)),
    Estimator("eccentricity", "answer", Can.TEXT, lambda p: graph.eccentricity_of(p.likeness).value),
    Estimator("self-check, unigram", "answer", Can.TEXT, _unigram),
    Estimator("log-perplexity", "answer", Can.LOGPROBS, _surprise),
    Estimator("token entropy, mean, at least", "answer", Can.LOGPROBS, _token_entropy("mean")),
    Estimator("token entropy, max, at least", "answer", Can.LOGPROBS, _token_entropy("max")),
)  # fmt: skip
SELF_CHECK = "self-check, BERTScore"


@dataclass(frozen=True)
class Measured:
    """An estimator over n questions: its mean, and AUROC, AURC, PRR with intervals where outcomes allow."""

    name: str
    level: Level
    n: int
    mean: float
    auroc: Estimate | None
    aurc: Estimate | None
    prr: Estimate | None


@dataclass(frozen=True)
class Doubts:
    """What was measured, each question's values by estimator (NaN where unknown), ids and outcomes."""

    model: str
    measured: tuple[Measured, ...]
    ids: tuple[str, ...]
    values: dict[tuple[str, Level], Floats]
    outcomes: Floats
    notes: tuple[str, ...]


def draws_of(data: Dataset, model: str, most: int | None = None) -> list[tuple[int, list[Reply]]]:
    """The places of questions with at least two usable draws of the model, and the first `most` of these, by number."""
    out: list[tuple[int, list[Reply]]] = []
    for i, example in enumerate(data):
        calls = sorted((c for c in example.calls if c.model == model and c.reply.ok), key=lambda c: c.sample)
        replies = [c.reply for c in calls if c.reply.text is not None][:most]
        if len(replies) > 1:
            out.append((i, replies))
    return out


def prepared(
    questions: Sequence[tuple[str, Sequence[Reply]]], alike: Equivalence, exact: Equivalence | None = None
) -> list[Prepared]:
    """The draws of (question, replies) with their clusters; everything is encoded in one go."""
    asked = [Draws(q, tuple(r.text or "" for r in replies)) for q, replies in questions]
    by_answer, by_alike, likeness = (exact or Exact()).same(asked), alike.same(asked), alike.likeness(asked)
    out: list[Prepared] = []
    for (_, replies), draws, e, a, w in zip(questions, asked, by_answer, by_alike, likeness, strict=True):
        told = [r.logprobs for r in replies]
        logprobs = None if any(not t for t in told) else tuple(tuple(t or ()) for t in told)
        samples = Samples(draws.question, draws.texts, logprobs)
        out.append(Prepared(samples, tuple(replies), e, a, w, cluster(e), cluster(a)))
    return out


def doubts(
    data: Dataset,
    model: str,
    encoder: Any = None,
    at_least: float = 0.8,
    most: int | None = None,
    tokens: str = "static",
    times: int = 300,
    nli: str | Nli | None = None,
) -> Doubts:
    """Every estimator on the model's recorded draws; raises BadInput where no question has two.

    `encoder` and `at_least` say which draws are alike; `tokens` names BERTScore's encoder; `nli`, where given, adds
    what goes by inference; intervals are of `times` resamples. Outcomes are the first draws' scores; where they are all
    the same, or unknown, nothing is told apart: AUROC, AURC and PRR are None.
    """
    data.require([model])
    found = draws_of(data, model, most)
    if not found:
        raise BadInput(
            f"No question has two draws of '{model}' with a text.",
            hint="Record several: number them in a column 'sample', as sprat collect --samples does.",
        )
    questions = [(data.examples[i].request.text, replies) for i, replies in found]
    ready = prepared(questions, Alike(encoder, at_least) if encoder is not None else Alike(at_least=at_least))
    scores = [replies[0].score for _, replies in found]
    outcomes = np.array([np.nan if s is None else s for s in scores], np.float64)
    units = data.units[[i for i, _ in found]]
    values: dict[tuple[str, Level], Floats] = {}
    notes: list[str] = []
    for e in ESTIMATORS:
        able = [p for p in ready if e.needs == Can.TEXT or p.samples.logprobs is not None]
        if not able:
            continue
        known = {id(p): e.value(p) for p in able}
        values[e.name, e.level] = np.array([known.get(id(p), np.nan) for p in ready])
    if not any(p.samples.logprobs for p in ready):
        notes.append("The draws have no log-probabilities: estimators that read them are left out.")
    elif not all(r.top_logprobs for p in ready for r in p.replies[:1]):
        notes.append("Token entropies are lower bounds: not all alternatives of each token are known.")
    values[SELF_CHECK, "answer"] = _self_check(ready, tokens)
    if nli is not None:
        values |= by_inference(ready, resolved(nli))
        notes.append(f"Inference is by {resolved(nli).name}. {resolved(nli).worth.said}")
    measured = tuple(
        _measured(name, level, v, outcomes, units, data.seed, times) for (name, level), v in values.items()
    )
    unknown = int(np.isnan(outcomes).sum())
    if unknown:
        notes.append(f"{unknown:,} of {len(found):,} answers have no score and count in no AUROC, AURC or PRR.")
    ids = tuple(data.examples[i].id for i, _ in found)
    return Doubts(model, measured, ids, values, outcomes, tuple(notes))


def by_inference(ready: Sequence[Prepared], nli: Nli) -> dict[tuple[str, Level], Floats]:
    """Semantic entropy by strict clusters, disagreement and degree by entailment, and SelfCheckGPT by inference."""
    asked = [Draws(p.samples.question, p.samples.texts) for p in ready]
    by = Entailment(nli)
    found = by.judged(asked)
    same, likeness = [by.same_of(f) for f in found], [by.likeness_of(f) for f in found]
    clustered = [semantic_entropy(p.samples, cluster(m)).value for p, m in zip(ready, same, strict=True)]
    return {
        ("semantic entropy, nli strict", "question"): np.array(clustered),
        ("degree, nli", "question"): np.array([graph.degree(w).value for w in likeness]),
        ("disagreement, nli strict", "answer"): np.array([1 - m[0, 1:].mean() for m in same]),
        ("disagreement, nli", "answer"): np.array([1 - w[0, 1:].mean() for w in likeness]),
        ("self-check, NLI", "answer"): np.array(self_checked([p.samples.texts for p in ready], nli)),
    }


def _self_check(ready: Sequence[Prepared], tokens: str) -> Floats:
    reader = token_encoder(tokens)
    out: list[float] = []
    for p in ready:
        said = sentences(p.samples.texts[0])
        others = [sentences(t) for t in p.samples.texts[1:]]
        out.append(float(np.mean(by_bertscore(said, others, reader))) if said else nan)
    return np.array(out)


def _measured(name: str, level: Level, values: Floats, outcomes: Floats, units: Any, seed: int, times: int) -> Measured:
    usable = np.isfinite(values) & np.isfinite(outcomes)
    told = values[np.isfinite(values)]
    mean = float(told.mean()) if len(told) else nan
    y = outcomes[usable]
    # The three read the order alone, and take confidences in [0, 1].
    order = np.unique(-values[usable], return_inverse=True)[1]
    s = order / max(1, int(order.max(initial=0)))
    if len(y) < 10 or np.ptp(y) == 0:
        return Measured(name, level, int(np.isfinite(values).sum()), mean, None, None, None)
    chosen: dict[str, Callable[..., float]] = {"aurc": aurc, "prr": prr}
    if set(y.tolist()) <= {0.0, 1.0}:
        chosen["auroc"] = auroc
    try:
        found = bootstraps(chosen, s, y, units=units[usable], times=times, seed=seed)
    except BadInput:  # right or wrong is so rare that resamples lack it
        found = dict[str, Estimate]()
    return Measured(name, level, int(usable.sum()), mean, found.get("auroc"), found.get("aurc"), found.get("prr"))
