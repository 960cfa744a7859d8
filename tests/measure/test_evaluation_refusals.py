"""What an evaluation refuses or remarks, by name."""

from __future__ import annotations

import pytest

from sprat.cli import main
from sprat.core import Reply, Request
from sprat.data import Call, Dataset, Example
from sprat.errors import BadInput
from sprat.measure.evaluation import evaluated
from sprat.similarity import bertscore


def data(n: int) -> Dataset:
    rows = [Example(str(i), Request.of(f"q{i}"), "a", (Call("m", Reply("a" if i else "b", "m")),)) for i in range(n)]
    return Dataset(tuple(rows))


def test_an_unknown_measure_is_told_all_that_there_are():
    with pytest.raises(BadInput, match=r"no measure 'nope'.*likelihood, minicheck, .*self_check, summac"):
        evaluated(data(3), ["nope"])


def test_intervals_of_few_rows_are_remarked():
    assert any("Intervals of 3 independent rows" in n for n in evaluated(data(3), ["exact"]).notes)


def test_intervals_of_enough_rows_are_not_remarked():
    assert not any("Intervals of" in n for n in evaluated(data(12), ["exact"]).notes)


@pytest.mark.parametrize("references", [[None], [["a", None]]])
def test_a_reference_that_is_no_text_is_refused(references: list[object]):
    with pytest.raises(BadInput, match="no text"):
        bertscore(["a"], references)  # pyright: ignore[reportArgumentType]


def test_the_aquarium_is_evaluated_by_name(capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", "aquarium", "--with", "recorded"]) == 0
    assert "recorded" in capsys.readouterr().out
