"""The [promise] table: what it takes, what it refuses in a sentence, and what makes a new watch of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.gateway.access.limits import Budget
from sprat.gateway.promise.promised import Promised, promised
from sprat.measure.grade import Agreement
from sprat.study.job import _measure

MODELS = {"small": 1, "large": 2}
LEAST = {"kind": "within", "level": 0.05, "delta": 0.1}


def read(**more: Any) -> Promised:
    found = promised({**LEAST, **more}, "serve.toml", MODELS)
    assert found is not None
    return found


def test_a_file_without_the_table_promises_nothing() -> None:
    assert promised(None, "serve.toml", MODELS) is None


def test_what_a_study_writes_and_an_operator_adds_is_read() -> None:
    law, features = {"values": [-0.05, 0.95], "counts": [9, 1]}, {"characters": list(range(40))}
    found = read(measure="agreement", reference="large", losses=law, features=features, budget="2/day", renew=True)
    assert (found.judge, found.budget, found.renew) == ("agreement", Budget(2.0, "day"), True)
    assert found.losses is not None
    assert found.losses.mean == pytest.approx(0.05)
    assert found.begun(7.0).drift is not None


def test_the_budgets_settings_may_be_beside_it() -> None:
    assert read(settings=[{"name": "safe"}]) == read()


@pytest.mark.parametrize(("text", "measure"), [("4", "agreement"), ("a b c d e f g h", "agreement:f1")])
def test_agreement_is_watched_as_the_study_measured_it(text: str, measure: str) -> None:
    calls = tuple(Call(m, Reply(text, m)) for m in ("small", "large"))
    data = Agreement("large").graded(Dataset((Example("1", Request.of("x"), calls=calls),)))
    assert read(measure=_measure("agreement", data)).judge == measure


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"shere": 0.1}, "Did you mean 'share'"),
        ({"kind": "keeps"}, "Needed: 'keep' or 'within'"),
        ({"share": 1.5}, "share is 1.5"),
        ({"level": True}, "level is True"),
        ({"delta": 0}, "delta is 0"),
        ({"budget": 2}, 'Such as budget = "2/day"'),
        ({"reference": "larg"}, "Did you mean 'large'"),
        ({"judge": "nobody"}, "no model of"),
        ({"losses": {"values": [1]}}, "losses can't be read"),
        ({"losses": {"values": [1, 2], "counts": [1]}}, "as many counts as values"),
        ({"features": {"trust": ["x"]}}, "features can't be read"),
        ({"features": {"trust": [0.5]}}, "at least 20 finite values"),
        ({"at_once": 0}, "at_once is 0"),
        ({"renew": 1}, "true or false"),
        ({"measure": "exact", "judge": "agreement"}, "can't be watched by agreement"),
        ({"measure": "agreement:f1", "judge": "agreement"}, "can't be watched by agreement"),
        ({"level": 2.0}, "no promise to watch"),
    ],
)
def test_what_can_not_be_watched_is_said(more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read(**more)


def test_scores_from_targets_are_not_watched_without_a_judge_or_marks_and_it_says_what_to_do() -> None:
    found = read(measure="exact")
    assert not found.loss_watched
    assert "the loss is not watched" in found.how
    assert "marks = 0.1" in found.how


def test_a_judge_without_marks_is_called_an_opinion() -> None:
    assert "an opinion" in read(measure="exact", judge="large").how
    assert "an opinion" not in read(measure="exact", judge="large", marks=0.1).how


def test_without_a_judge_only_pairs_that_a_person_marks_are_shadowed() -> None:
    alone, judged = read(measure="exact", marks=0.1), read(measure="exact", judge="large", marks=0.1)
    assert (alone.rate, alone.corrected) == (pytest.approx(0.005), None)
    assert (judged.rate, judged.corrected) == (0.05, 0.1)


def test_another_certificate_or_another_way_of_watching_is_another_watch() -> None:
    found = read(measure="agreement")
    same = found.identity({"promise": "a"})
    assert found.identity({"promise": "b"}) != same
    assert replace(found, share=0.1).identity({"promise": "a"}) != same
    assert replace(found, budget=Budget(1.0, "day"), renew=True, at_once=1).identity({"promise": "a"}) == same


@pytest.mark.parametrize(
    ("told", "loss", "said"),
    [
        ({"kind": "keep", "level": 0.95, "judge": "agreement"}, -0.05, "kept 100 % of the 95 % needed"),
        ({"kind": "keep", "level": 0.95, "judge": "large"}, 0.02, "2 points worse than needed"),
        ({"kind": "within", "level": 0.05}, 0.01, "6 points below the reference, of 5 allowed"),
    ],
)
def test_a_mean_loss_is_said_in_words(told: dict[str, Any], loss: float, said: str) -> None:
    assert read(**told).kept(loss) == said
