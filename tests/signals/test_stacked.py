"""Stacked: several signals and the reply's features behind one head, asked once, and no part's optimism believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from sprat import signals
from sprat.core import Reply, Request, Signal, ask, together
from sprat.data import Lessons
from sprat.drivers import drive, drive_costed
from sprat.endpoints.toy import toy
from sprat.errors import BadInput
from sprat.signals.stacked import Stacked, stacked


@dataclass(frozen=True, repr=False, eq=False)
class Told(Signal):
    """The trust of a reply as the number after `by` in its text says it."""

    by: str
    use = "told"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        assert reply is not None
        return float((reply.text or "").partition(self.by)[2].split()[0])


@dataclass(frozen=True, repr=False, eq=False)
class Memory(Signal):
    """Knows the outcome of the questions that it was fitted on, and nothing else."""

    known: Any = None
    use = "memory"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        return (self.known or {}).get(request.text, 0.5)

    def fit(self, lessons: Lessons) -> Memory:
        return replace(self, known=dict(zip(lessons.texts, lessons.scores[:, 0].tolist(), strict=True)))


@dataclass(frozen=True, repr=False, eq=False)
class Asking(Signal):
    """Asks a model, alone or beside another."""

    models: tuple[Any, ...]
    use = "asking"

    async def trust(self, request: Request, reply: Reply | None = None) -> float:
        heard = await together([ask(m, request) for m in self.models])
        first = await ask(self.models[0], request)
        return float(first.text == heard[0].text)


def lessons(texts: list[str], said: list[str], right: np.ndarray) -> Lessons:
    replies = tuple(Reply(t, "small") for t in said)
    requests = tuple(Request.of(t) for t in texts)
    scores = np.stack([right.astype(float), np.ones(len(right))], axis=1)
    return Lessons(requests, ("small", "large"), scores, np.ones_like(scores), {"small": replies, "large": replies})


def weight(fitted: Stacked, part: int) -> float:
    head: Any = fitted.head
    return float(head.weights[part] / head.scale[part])


def test_two_halves_of_a_truth_are_worth_more_together_than_either() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.05, 0.95, (2, 600))
    right = rng.uniform(size=600) < 1 / (1 + np.exp(-2 * (np.log(a / (1 - a)) + np.log(b / (1 - b)))))
    texts, said = [f"q{i}" for i in range(600)], [f"a {x:.4f} b {y:.4f} ." for x, y in zip(a, b, strict=True)]
    fit = stacked(Told("a"), Told("b")).fit(lessons(texts[:300], said[:300], right[:300]))
    both = np.array([fit(t, Reply(s, "small")) for t, s in zip(texts[300:], said[300:], strict=True)])

    def auroc(values: np.ndarray) -> float:
        good, bad = values[right[300:]], values[~right[300:]]
        return float(np.mean(good[:, None] > bad[None, :]))

    assert auroc(both) > max(auroc(a[300:]), auroc(b[300:])) + 0.03
    assert weight(fit, 0) == pytest.approx(2, abs=0.6)  # the truth's own weights on log-odds
    assert weight(fit, 1) == pytest.approx(2, abs=0.6)


def test_a_part_that_only_remembers_is_not_believed() -> None:
    rng = np.random.default_rng(1)
    right = rng.uniform(size=200) < 0.5
    fit = stacked(Memory()).fit(lessons([f"q{i}" for i in range(200)], ["x"] * 200, right))
    assert weight(fit, 0) == pytest.approx(0, abs=1e-6)


def test_equal_questions_stay_in_one_fold_so_that_no_copy_tells() -> None:
    rng = np.random.default_rng(2)
    right = np.tile(rng.uniform(size=100) < 0.5, 2)
    fit = stacked(Memory()).fit(lessons([f"q{i % 100}" for i in range(200)], ["x"] * 200, right))
    assert weight(fit, 0) == pytest.approx(0, abs=1e-6)


def test_a_learning_part_is_fitted_on_all_rows_in_the_end() -> None:
    right = np.arange(40) % 2 == 0
    fit = stacked(Memory()).fit(lessons([f"q{i}" for i in range(40)], ["x"] * 40, right))
    assert len(fit.parts[0].known) == 40


def test_what_the_parts_ask_alike_is_asked_and_paid_once() -> None:
    peer, other = toy("peer", lambda _: "yes", cost=1.0), toy("other", lambda _: "no", cost=1.0)
    parts = Asking((peer,)), Asking((peer, other)), signals.agreement(peer, other)
    right = np.arange(40) % 2 == 0
    fit = stacked(*parts).fit(lessons([f"q{i}" for i in range(40)], ["yes"] * 40, right))
    ((_, node),) = drive_costed([fit.trust(Request.of("new"), Reply("yes", "small"))])
    assert sorted(r.model for r in node.leaves()) == ["other", "peer"]
    assert node.cost == 2.0


def test_a_failing_peer_is_still_a_failure_among_others() -> None:
    def broken(_: Any) -> str:
        raise BadInput("gone")

    peer, gone = toy("peer", lambda _: "yes"), toy("gone", broken)
    parts = signals.agreement(peer), signals.agreement(peer, gone)
    right = np.arange(40) % 2 == 0
    fit = stacked(*parts).fit(lessons([f"q{i}" for i in range(40)], ["yes", "no"] * 20, right))
    assert 0 <= drive(fit.trust(Request.of("new"), Reply("yes", "small"))) <= 1


def test_of_answer_features_the_head_reads_the_features() -> None:
    right = np.arange(40) % 2 == 0
    told = lessons([f"q{i}" for i in range(40)], ["#### 1" if r else "no" for r in right], right)
    read = signals.answer_features()
    fit = stacked(read).fit(told)
    assert fit.names == read.names
    assert fit("new", "#### 2") == pytest.approx(read.fit(told)("new", "#### 2"))  # alone it is answer_features itself


def test_unfitted_and_empty_are_said() -> None:
    with pytest.raises(BadInput, match="has not learned yet"):
        stacked(signals.logprob())("q", Reply("x"))
    with pytest.raises(BadInput, match="at least one signal"):
        stacked()
