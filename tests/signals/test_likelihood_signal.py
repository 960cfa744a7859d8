"""The likelihood score as a trust: each direction by hand, in a cascade and in best_of, and what it costs."""

from __future__ import annotations

from math import exp

import pytest

import sprat
from sprat.core import Reply, Request
from sprat.drivers import run
from sprat.errors import BadInput, CannotDo
from sprat.signals import likelihood
from sprat.whitebox.scoring import logprobs

MODEL = sprat.tiny("mackerel")


def mean(given: str, text: str) -> float:
    return float(logprobs(MODEL, [given], [text])[0].mean())


def test_faithfulness_is_of_the_reply_after_the_request() -> None:
    assert likelihood(MODEL)("12+7=", "19") == pytest.approx(exp(mean("12+7=", "19")))


def test_peers_replies_stand_for_references() -> None:
    peers = sprat.toy("p", "18"), sprat.toy("q", "21")
    forth = [mean(r, "19") for r in ("18", "21")]
    back = [mean("19", r) for r in ("18", "21")]
    wanted = {"precision": sum(forth) / 2, "recall": sum(back) / 2, "f": sum(forth + back) / 4}
    for direction, value in wanted.items():
        assert likelihood(MODEL, *peers, direction=direction)("12+7=", "19") == pytest.approx(exp(value))
    assert likelihood(MODEL, *peers)("12+7=", "19") == pytest.approx(exp(wanted["f"]))


def test_the_cue_stands_between() -> None:
    assert likelihood(MODEL, cue="so")("12+7=", "19") == pytest.approx(exp(mean("12+7= so", "19")))


def test_at_the_target_the_cue_is_scored_with_the_reply() -> None:
    found = likelihood(MODEL, cue="so", cue_at="target")("12+7=", "19")
    assert found == pytest.approx(exp(mean("12+7=", "so 19")))
    with pytest.raises(BadInput, match="not at 'end'"):
        likelihood(MODEL, cue="so", cue_at="end")  # type: ignore[arg-type]


def test_best_of_takes_the_likelier_reply_and_pays_for_the_look() -> None:
    right, wrong = sprat.toy("right", "19"), sprat.toy("wrong", "47")
    reply = run(sprat.best_of(wrong, right, trust=likelihood(MODEL), n=1), Request.of("12+7="))
    assert reply.text == "19"
    looks = [r for r in reply.leaves() if r.model == "likelihood by mackerel"]
    assert len(looks) == 2
    assert all(r.cost and r.usage is not None and r.usage.output_tokens == 0 for r in looks)


def test_a_cascade_stops_at_a_likely_reply() -> None:
    small, large = sprat.toy("small", "19"), sprat.toy("large", "20")
    cascade = sprat.cascade(small, large, trust=likelihood(MODEL), at_least=0.5)
    assert cascade("12+7=").model == "small"
    assert cascade("12+7=").text == "19"
    assert sprat.cascade(sprat.toy("small", "47"), large, trust=likelihood(MODEL), at_least=0.5)("12+7=").text == "20"


def test_an_empty_reply_has_no_trust_and_none_is_refused() -> None:
    assert likelihood(MODEL)("12+7=", Reply("")) == 0
    with pytest.raises(CannotDo, match="judges a reply"):
        likelihood(MODEL)("12+7=")


def test_a_reply_that_can_not_be_read_is_said() -> None:
    with pytest.raises(BadInput, match="no token for"):
        likelihood(MODEL)("12+7=", "[")


def test_a_model_of_text_alone_is_refused_when_it_is_made() -> None:
    with pytest.raises(CannotDo, match="needs the log-probabilities of a given text"):
        likelihood(sprat.toy("t", "x"))


@pytest.mark.parametrize("direction", ["precision", "recall", "f", "up"])
def test_a_direction_without_its_peers_is_refused(direction: str) -> None:
    with pytest.raises(BadInput):
        likelihood(MODEL, direction=direction)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="takes no peers"):
        likelihood(MODEL, sprat.toy("p", "x"), direction="faithfulness")
