"""The pages of `sprat uncertainty --out` and of `sprat evaluate judge-the-judge --out`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sprat.measure.doubt import Doubts, Floats, Level, Measured
from sprat.measure.resampling import Estimate
from sprat.study.judging import Agreement
from sprat.study.report import agreement_page, uncertainty_page

pytest.importorskip("altair")


def doubts(right: list[float], notes: tuple[str, ...] = ()) -> Doubts:
    e = Estimate(0.75, 0.6, 0.9, len(right))
    known = len(set(right)) > 1
    made = Measured("degree", "question", len(right), 0.5, *((e, e, e) if known else (None, None, None)))
    values: dict[tuple[str, Level], Floats] = {("degree", "question"): np.arange(len(right), dtype=np.float64)}
    return Doubts("m", (made,), tuple(map(str, range(len(right)))), values, np.array(right), notes)


def test_the_risk_curve_answers_the_least_doubtful_first() -> None:
    words = uncertainty_page.drawings(doubts([1, 1, 0, 0]))["risk"].words
    assert "degree (question): 0% wrong" in words


def test_without_wrong_answers_the_page_says_that_nothing_is_told_apart(tmp_path: Path) -> None:
    uncertainty_page.save(doubts([1, 1, 1]), {"notes": []}, tmp_path)
    assert "no estimator can be told from another" in (tmp_path / "index.html").read_text()


def test_notes_are_escaped(tmp_path: Path) -> None:
    uncertainty_page.save(doubts([1, 0]), {"notes": ["<script>alert(1)</script>"]}, tmp_path)
    assert "<script" not in (tmp_path / "index.html").read_text()


def agreement(quality: str) -> Agreement:
    e = Estimate(0.4, 0.3, 0.5, 9)
    return Agreement("set", quality, "rouge1", 9, {"system, pearson": e, "segment, kendall": None}, None, None, None)


def test_each_quality_has_its_chart(tmp_path: Path) -> None:
    agreement_page.save([agreement("fluency"), agreement("<b>")], "set", [], tmp_path)
    assert {p.name for p in (tmp_path / "charts").iterdir()} == {
        f"agreement-{i}.{kind}" for i in (1, 2) for kind in ("svg", "png")
    }


def test_a_quality_is_shown_as_text(tmp_path: Path) -> None:
    agreement_page.save([agreement("<b>")], "set", [], tmp_path)
    assert "set: &lt;b&gt;" in (tmp_path / "index.html").read_text()


def test_the_numbers_come_along(tmp_path: Path) -> None:
    agreement_page.save([agreement("fluency")], "set", [{"metric": "rouge1"}], tmp_path)
    assert json.loads((tmp_path / "agreement.json").read_text()) == [{"metric": "rouge1"}]
