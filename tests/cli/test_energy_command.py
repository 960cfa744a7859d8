"""sprat energy, and --energy of the commands that work on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sprat.cli import main
from sprat.energy.tokens import joules


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    rows = [
        {"prompt": f"q{i}", "model": model, "reply": "an answer", "target": "an answer", **usage}
        for i in range(4)
        for model, usage in (
            ("llama-8b", {"input_tokens": 10, "output_tokens": 100}),
            ("closed", {"input_tokens": 10, "output_tokens": 100}),
        )
    ]
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float | None]]:
    return {m["model"]: m for m in json.loads(capsys.readouterr().out)["models"]}


def test_a_size_in_the_name_is_enough_and_none_is_unknown(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy", str(calls), "--json"]) == 0
    found = told(capsys)
    assert found["llama-8b"]["joules"] == pytest.approx(1e5 * joules(8, 8, 64, 1.14))
    assert (found["closed"]["joules"], found["closed"]["known"]) == (None, 0)


def test_given_sizes_batch_pue_and_grid_are_used(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--active", "closed=10:20/100", "--batch", "32", "--pue", "1.5", "--grid", "360", "--json"]
    assert main(["energy", str(calls), *options]) == 0
    found = told(capsys)
    assert found["closed"]["low"] == pytest.approx(1e5 * joules(10, 100, 32, 1.5))
    assert found["llama-8b"]["low"] == pytest.approx(1e5 * joules(8, 8, 32, 1.5))
    drawn = found["llama-8b"]["joules"]
    assert drawn is not None
    assert found["llama-8b"]["grams"]["value"] == pytest.approx(drawn / 1e4)  # type: ignore[index]


def test_the_table_says_how_and_what_the_range_is(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy", str(calls)]) == 0
    said = capsys.readouterr().out
    assert "estimated" in said
    assert "unknown" in said
    assert "not confidence intervals" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--active", "nobody=3"], "names 'nobody'"),
        (["--active", "llama-8b"], "NAME=BILLIONS"),
        (["--active", "llama-8b=x"], "a number, or a range"),
        (["--active", "llama-8b=9:3"], "the low before the high"),
        (["--grid", "60:30"], "the lowest first"),
        (["--batch", "0"], "Batches are"),
        (["--pue", "0.5"], "PUEs are"),
    ],
)
def test_a_bad_option_is_said(calls: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy", str(calls), *options]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_without_a_file_it_says_what_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["energy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["per_core"]["low"] <= found["per_core"]["watts"] <= found["per_core"]["high"]


def test_an_evaluation_says_what_it_drew(calls: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(calls), "--with", "f1", "--energy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["energy"]["confidence"] in ("measured", "estimated", "unknown")
