"""`sprat.fit`: signals inside a model learn; the model itself stays as it was."""

from __future__ import annotations

import pytest

import catalogue
import sprat
from sprat import signals
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example, Lessons
from sprat.errors import BadInput, NotRecorded
from sprat.signals.length import Length


def knn() -> object:
    return signals.knn(k=5, encoder=catalogue.ENCODER)


def test_the_example_of_twelve_lines() -> None:
    data = catalogue.data()
    small, large = (sprat.recorded(name, data) for name in ("small", "large"))
    m = sprat.route(small, large, trust=knn(), at_least=0.25)
    m = sprat.fit(m, data)
    replies = sprat.replay(m, data)
    assert all(r.ok for r in replies)
    assert len({r.model for r in replies}) == 2


def test_each_level_learns_from_its_own_model_and_the_last() -> None:
    seen: list[tuple[str, ...]] = []

    class Spy(Length):
        def fit(self, lessons: Lessons) -> Length:
            seen.append(lessons.models)
            return self

    models = (catalogue.SMALL, catalogue.PEER, catalogue.LARGE)
    with pytest.raises(BadInput, match="learns"):
        sprat.fit(sprat.route(*models, trust=(Spy(), Spy())), catalogue.data())
    assert seen == [("small", "large"), ("peer", "large")]


def test_a_signal_deep_inside_learns_too() -> None:
    inner = sprat.route(catalogue.SMALL, catalogue.PEER, trust=knn(), at_least=0.5)
    m = sprat.fit(sprat.fallback(inner, catalogue.LARGE), catalogue.data())
    assert m("what is 1 plus 2?").ok
    with pytest.raises(BadInput, match="has not been fitted"):
        inner("what is 1 plus 2?")


def test_nothing_to_learn_is_said() -> None:
    with pytest.raises(BadInput, match="Nothing in"):
        sprat.fit(sprat.vote(catalogue.SMALL), catalogue.data())


def test_a_model_without_calls_is_named() -> None:
    with pytest.raises(BadInput, match="'larger' has no recorded calls"):
        sprat.fit(sprat.route(catalogue.SMALL, sprat.toy("larger"), trust=knn()), catalogue.data())


def test_fitting_on_a_dataset_never_asks_live() -> None:
    checked = sprat.cascade(catalogue.SMALL, catalogue.LARGE, trust=signals.automix(catalogue.JUDGE, meta="pomdp"))
    with pytest.raises(NotRecorded, match="'judge'"):
        sprat.fit(checked, catalogue.data())


def test_lessons_may_be_given_instead() -> None:
    m = sprat.route(catalogue.SMALL, catalogue.LARGE, trust=knn())
    assert sprat.fit(m, catalogue.lessons())("what is 1 plus 2?").ok


def test_scores_that_are_missing_are_said() -> None:
    calls = tuple(Call(n, Reply("x", n)) for n in ("small", "large"))
    unscored = Dataset((Example("1", Request.of("hi"), calls=calls),))
    with pytest.raises(BadInput):
        sprat.fit(sprat.route(catalogue.SMALL, catalogue.LARGE, trust=knn()), unscored)
