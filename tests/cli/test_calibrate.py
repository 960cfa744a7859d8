"""`sprat calibrate` end to end: what it prints, writes and refuses, from a signal and from a column."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sprat import config, signals
from sprat.cli import main
from sprat.cli.calibrate import calibrate
from sprat.core import Reply, Request


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """A model that says it is surer than it is."""
    rng = np.random.default_rng(1)
    chance = rng.uniform(0.2, 0.95, 400)
    right = rng.uniform(size=400) < chance
    rows = [
        {"prompt": f"question {i}", "model": "small", "reply": f"answer {i}", "score": int(right[i]),
         "said": round(float(chance[i] ** 0.4), 4), "logprobs": [float(np.log(chance[i]))], "tokens": ["a"]}
        for i in range(400)
    ]  # fmt: skip
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["calibrate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_recorded_column_is_mended(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = run(capsys, calls, "--confidence", "said", "--by", "beta", "--out", tmp_path / "out")
    before, after = found["measures"]["as it was"], found["measures"]["beta"]
    assert after["Brier"]["value"] < before["Brier"]["value"]
    assert before["mean confidence"]["value"] > before["rate of right answers"]["high"]
    assert abs(after["mean confidence"]["value"] - after["rate of right answers"]["value"]) < 0.07


def test_the_map_of_a_column_can_be_used(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, calls, "--confidence", "said", "--by", "isotonic", "--out", tmp_path / "out")
    made = config.load(tmp_path / "out" / "trust.toml")
    assert np.all(np.diff(made.predict(np.linspace(0, 1, 11))) >= 0)


def test_a_signal_comes_back_calibrated(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = run(capsys, calls, "--confidence", "logprob", "--by", "platt", "--out", tmp_path / "out")
    made = config.load(tmp_path / "out" / "trust.toml")
    assert isinstance(made, signals.Calibrated)
    assert 0.5 < made(Request.of("x"), Reply("y", logprobs=(-0.2,))) < 1
    assert found["confidence"] == "logprob()"


def test_a_signal_that_learns_learns_on_rows_that_the_map_does_not_see(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    found = run(capsys, calls, "--confidence", "answer_features", "--out", tmp_path / "out")
    assert "answer_features" in found["confidence"]
    assert found["rows"] + found["taught"] == 400


def test_the_terminal_says_what_the_page_says(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["calibrate", str(calls), "--confidence", "said", "--out", str(tmp_path / "out")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "out" / "index.html").read_text()
    found = json.loads((tmp_path / "out" / "calibration.json").read_text())
    sentence = found["abstention"]["sentence"]
    assert sentence in out
    assert sentence in re.sub(r"\u00a0", " ", page)
    assert not re.search(r"https?:|<script|<link|<img", page)


def test_too_few_rows_are_refused_with_how_many_are_needed(
    calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(calls.read_text().splitlines(keepends=True)[:40]))
    assert main(["calibrate", str(few), "--confidence", "said", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "needs 100 rows" in said
    assert re.search(r"about \d+ rows would do", said)
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_never_wrong_is_refused(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    calls.write_text(calls.read_text().replace('"score": 0', '"score": 1'))
    assert main(["calibrate", str(calls), "--confidence", "said", "--out", str(tmp_path / "out")]) == 2
    assert "0 of them wrong" in capsys.readouterr().err


def test_graded_scores_are_summed_not_counted(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = calls.read_text().replace('"score": 1', '"score": 0.013').splitlines(keepends=True)
    calls.write_text("".join(lines[:150]))
    assert main(["calibrate", str(calls), "--confidence", "said", "--out", str(tmp_path / "out")]) == 2
    assert "right by the sum of their scores" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("arguments", "said"), [
    (["--confidence", "sayd"], "Did you mean 'said'"),
    (["--model", "larg"], "small"),
    (["--confidence", "agreement:nobody"], "nobody"),
    (["--confidence", "said", "--by", "isotonik"], "isotonic"),
    (["--confidence", "said", "--risk", "2"], "between 0 and 1"),
])  # fmt: skip
def test_a_mistake_names_what_was_meant(
    arguments: list[str], said: str, calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["calibrate", str(calls), *arguments, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_a_percentage_is_told_to_be_a_share(calls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [json.loads(line) for line in calls.read_text().splitlines()]
    calls.write_text("".join(json.dumps(r | {"said": 100 * r["said"]}) + "\n" for r in rows))
    assert main(["calibrate", str(calls), "--confidence", "said", "--out", str(tmp_path / "out")]) == 2
    assert "0.9 for 90 %" in capsys.readouterr().err


def test_its_help_has_an_example(capsys: pytest.CaptureFixture[str]):
    assert main([calibrate.__name__, "--help"]) == 0
    assert "Example: sprat calibrate" in capsys.readouterr().out
