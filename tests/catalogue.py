"""One row per technique, signal, endpoint and encoder: an example built from toys, for the conformance suite.

Adding a method means adding its row here; what is public and has no row is a red test.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import sprat
from sprat import factuality, signals
from sprat.core import Request
from sprat.data import Call, Dataset, Example, Lessons
from sprat.encoders import SentenceEncoder, StaticEncoder, TfidfEncoder, cached
from sprat.endpoints import Onnx, Seq2Seq, Transformers
from sprat.fitting import fit

PROMPTS = [
    f"what is {a} plus {b}?" if a % 2 else f"say the word number {a}{b} twice" for a in range(8) for b in range(6)
]
RIGHT = {p: str(len(p) * 7 % 50) for p in PROMPTS}


def _table(*wrong: int) -> dict[str, str]:
    """Right on all prompts but every `wrong`-th."""
    return {p: RIGHT[p] if all(i % w for w in wrong) else "0" for i, p in enumerate(PROMPTS)}


SMALL = sprat.toy("small", _table(2, 3), cost=1.0, seconds=0.25, trusted=-0.2)
PEER = sprat.toy("peer", _table(5), cost=1.0, seconds=0.5, trusted=-0.7)
LARGE = sprat.toy("large", _table(9), cost=8.0, seconds=2.0, trusted=-0.1)
JUDGE = sprat.toy("judge", "The answer is correct.", cost=0.25, seconds=0.25)
ENCODER = TfidfEncoder(dim=16, buckets=256)  # narrow, so that every row is quick
TRUE_OR_FALSE = sprat.toy("true-or-false", "A", cost=0.25, seconds=0.25, trusted=-0.2)
VERDICT = sprat.toy("verdict", "Verdict: tie", cost=0.25, seconds=0.25)
SURE = sprat.toy("sure", "0.75", cost=0.25, seconds=0.25)
RATER = sprat.toy("rater", "4", cost=0.25, seconds=0.25, trusted=-0.5)
NAMES = ("small", "peer", "large")


@cache
def data() -> Dataset:
    """The prompts with the three models' calls and scores."""
    rows: list[Example] = []
    for i, prompt in enumerate(PROMPTS):
        request = Request(({"role": "user", "content": prompt},), group="sums" if "plus" in prompt else "words")
        replies = [(m.name, m(request)) for m in (SMALL, PEER, LARGE)]
        calls = [Call(n, replace(r, score=float(r.text == RIGHT[prompt]))) for n, r in replies]
        rows.append(Example(str(i), request, RIGHT[prompt], tuple(calls)))
    return Dataset(tuple(rows), name="toys")


def lessons() -> Lessons:
    """What the signals learn from; without a recording, what they ask again is asked of the toys."""
    return Lessons.of(data(), NAMES)


def learnt(model: Any) -> Any:
    """The model with its signals fitted, where any learns."""
    try:
        return fit(model, lessons())
    except sprat.SpratError as error:
        if str(error).startswith("Nothing in"):
            return model
        raise


TECHNIQUES = {
    "assign": lambda: sprat.assign(
        SMALL, LARGE, predictor=signals.forc(encoder=ENCODER), prices=(1.0, 8.0), weight=0.01
    ),
    "best_of": lambda: sprat.best_of(SMALL, PEER, trust=signals.logprob(), n=2),
    "blend": lambda: sprat.blend(SMALL, PEER, ranker=signals.pairrank(encoder=ENCODER), fuser=LARGE),
    "cascade": lambda: sprat.cascade(SMALL, LARGE, trust=signals.logprob(), at_least=0.5),
    "fallback": lambda: sprat.fallback(SMALL, LARGE),
    "frugal_cascade": lambda: sprat.frugal_cascade(
        SMALL, LARGE, lessons=lessons(), budget=5.0, trust=signals.frugal(ENCODER)
    ),
    "route": lambda: sprat.route(SMALL, LARGE, trust=signals.length(), at_least=0.5),
    "vote": lambda: sprat.vote(SMALL, PEER, LARGE),
    "watchful": lambda: sprat.watchful(SMALL, LARGE, trust=signals.logprob(first=3), at_least=0.75),
}

SIGNALS = {
    "agreement": lambda: signals.agreement(PEER),
    "agreement_cells": lambda: signals.agreement_cells(PEER),
    "answer_features": lambda: signals.answer_features(),
    "automix": lambda: signals.automix(JUDGE, meta="pomdp"),
    "bertscore": lambda: signals.bertscore(PEER),
    "calibrated": lambda: signals.calibrated(signals.logprob(), by="beta"),
    "category": lambda: signals.category(),
    "causal_lm": lambda: signals.causal_lm(RATER),
    "classifier": lambda: signals.classifier(encoder=ENCODER),
    "ensemble_router": lambda: signals.ensemble_router(encoder=ENCODER),
    "entropy_probe": lambda: signals.entropy_probe(sprat.tiny("fry"), samples=2),
    "fact_check": lambda: signals.fact_check(factuality.ladder("unigram")),
    "forc": lambda: signals.forc(encoder=ENCODER),
    "frugal": lambda: signals.frugal(encoder=ENCODER),
    "grounded": lambda: signals.grounded(),
    "hybrid": lambda: signals.hybrid(encoder=ENCODER),
    "judged": lambda: signals.judged(VERDICT, PEER),
    "knn": lambda: signals.knn(k=5),
    "known_groups": lambda: signals.known_groups(signals.knn(k=5, encoder=ENCODER), encoder=ENCODER),
    "length": lambda: signals.length(),
    "likelihood": lambda: signals.likelihood(sprat.tiny("fry"), PEER),
    "likeness_graph": lambda: signals.likeness_graph(PEER, samples=0),
    "logprob": lambda: signals.logprob(),
    "lowest": lambda: signals.lowest(signals.logprob(), signals.opening()),
    "matrix_factorization": lambda: signals.matrix_factorization(encoder=ENCODER),
    "opening": lambda: signals.opening(begins=("what", "say"), script="same"),
    "opening_agreement": lambda: signals.opening_agreement(PEER, words=4),
    "orchestra": lambda: signals.orchestra(encoder=ENCODER),
    "p_ik": lambda: signals.p_ik(sprat.tiny("fry")),
    "p_true": lambda: signals.p_true(TRUE_OR_FALSE),
    "pairrank": lambda: signals.pairrank(encoder=ENCODER),
    "random": lambda: signals.random(),
    "ridge_gain": lambda: signals.ridge_gain(encoder=ENCODER),
    "routerdc": lambda: signals.routerdc(encoder=ENCODER),
    "safe": lambda: signals.safe("toxicity", "injection"),
    "sample_agreement": lambda: signals.sample_agreement(PEER, LARGE, samples=0),
    "self_check": lambda: signals.self_check(PEER, LARGE, samples=0),
    "semantic_entropy": lambda: signals.semantic_entropy(PEER, LARGE, samples=0),
    "similarity_weighted": lambda: signals.similarity_weighted(encoder=ENCODER),
    "stacked": lambda: signals.stacked(signals.agreement(PEER), signals.answer_features()),
    "token_entropy": lambda: signals.token_entropy(),
    "verbalized": lambda: signals.verbalized(SURE),
    "zooter": lambda: signals.zooter(encoder=ENCODER),
}

ENDPOINTS = {
    "anthropic": lambda: sprat.anthropic("claude"),
    "local": lambda: sprat.local("tiny:sprat"),
    "onnx": lambda: Onnx("small", "exported/small"),
    "openai": lambda: sprat.openai("gpt", "http://localhost:1/v1"),
    "recorded": lambda: sprat.recorded("large"),
    "seq2seq": lambda: Seq2Seq("small", "some/model", dtype="bfloat16"),
    "tiny": lambda: sprat.tiny("fry"),
    "toy": lambda: sprat.toy("a", {"hi": "ho"}, cost=1.0),
    "transformers": lambda: Transformers("small", "some/model", dtype="bfloat16"),
}

ENCODERS = {
    "CachedEncoder": lambda: cached(TfidfEncoder()),
    "SentenceEncoder": lambda: SentenceEncoder("some/model"),
    "StaticEncoder": lambda: StaticEncoder(),
    "TfidfEncoder": lambda: TfidfEncoder(),
}


def around(signal: Any) -> Any:
    """A technique that uses the signal."""
    if signal.use == "pairrank":
        return sprat.blend(SMALL, PEER, ranker=signal)
    combine = sprat.cascade if signal.reads_reply else sprat.route
    return combine(SMALL, LARGE, trust=signal, at_least=0.5)


MODELS = TECHNIQUES | {f"{name} (signal)": (lambda row=row: around(row())) for name, row in SIGNALS.items()}
