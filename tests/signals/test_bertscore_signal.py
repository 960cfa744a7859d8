from __future__ import annotations

import pytest

import sprat
from sprat.errors import BadInput, CannotDo
from sprat.signals import bertscore
from sprat.similarity import bertscore as score


def test_the_trust_is_the_mean_f_with_the_peers() -> None:
    peers = sprat.toy("a", "rain fell all night"), sprat.toy("b", "dogs bark")
    wanted = score(["it rained all night"] * 2, ["rain fell all night", "dogs bark"]).f.mean()
    assert bertscore(*peers)("weather?", "it rained all night") == pytest.approx(wanted, abs=1e-6)


def test_an_empty_reply_is_like_no_other() -> None:
    assert bertscore(sprat.toy("a", "rain"))("weather?", "") == 0


def test_without_a_reply_there_is_nothing_to_compare() -> None:
    with pytest.raises(CannotDo):
        bertscore(sprat.toy("a", "rain"))("weather?")


def test_it_needs_a_model() -> None:
    with pytest.raises(BadInput):
        bertscore()
