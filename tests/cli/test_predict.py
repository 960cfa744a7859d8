"""`sprat predict` end to end: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from sprat.cli import main


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["source_lang,target_lang,big_ft_BLEU,big_noft_BLEU,small_BLEU,distance"]
    for i in range(150):
        small = rng.uniform(0, 30)
        big = "" if i < 2 else f"{small + 8 + rng.normal():.2f}"
        lines.append(f"eng,l{i % 10},{big},{small + (0 if i % 2 else 8):.2f},{small:.2f},{rng.uniform():.3f}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["predict", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_unknown_scores_are_foretold(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "foretold.csv"
    found = run(capsys, table, "--target", "big", "--proxies", "small", "--gain", 4, "--out", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 150
    assert [line["row"] for line in found["new"]] == [0, 1]
    small = [float(line.split(",")[4]) for line in table.read_text().splitlines()[1:3]]
    assert [line["foretold"] for line in found["new"]] == pytest.approx([s + 8 for s in small], abs=3)


def test_it_tells_where_tuning_is_worth_it(table: Path, capsys: pytest.CaptureFixture[str]):
    worth = run(capsys, table, "--target", "big", "--proxies", "small", "--gain", 4)["worth tuning"]
    assert worth["yes"]["gained"] >= 0.9 * worth["yes"]["known"] > 0
    assert worth["no"]["gained"] <= 0.1 * max(1, worth["no"]["known"])


def test_both_splits_are_shown(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", str(table), "--target", "big", "--gain", "4"]) == 0
    said = capsys.readouterr().out
    assert "rows left out at random" in said
    assert "languages left out whole" in said
    assert "Does fine-tuning gain 4?" in said


def test_a_table_without_languages_says_so(table: Path, capsys: pytest.CaptureFixture[str]):
    table.write_text(table.read_text().replace("source_lang,target_lang", "a,b"))
    assert main(["predict", str(table), "--target", "big"]) == 0
    assert "name no language" in capsys.readouterr().out


def test_a_wrong_target_names_the_nearest(table: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", str(table), "--target", "bog"]) == 2
    assert "big" in capsys.readouterr().err


def test_its_help_has_an_example(capsys: pytest.CaptureFixture[str]):
    assert main(["predict", "--help"]) == 0
    assert "Example: sprat predict" in capsys.readouterr().out


def test_a_column_can_be_left_out_value_by_value(table: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["predict", str(table), "--target", "big", "--proxies", "small", "--by", "target_lang"]
    assert main(arguments) == 0
    assert "each target_lang left out whole" in capsys.readouterr().out
    assert main([*arguments[:-1], "nothing"]) == 2


def test_what_has_no_interval_is_null_in_json_and_said_in_words(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "foretold.csv"
    table.write_text(
        table.read_text().replace("eng,l0,,", "eng,new,,", 1).replace("source_lang,target_lang", "a,language")
    )
    arguments = ["predict", str(table), "--target", "big", "--proxies", "small", "--confidence", "0.95", "--gain", "4"]
    found = run(capsys, *arguments[1:], "--out", out)
    assert (found["new"][0]["new language"], found["new"][0]["low"], found["new"][0]["high"]) == (True, None, None)
    assert found["new"][0]["worth tuning"] == "unsure"
    assert found["splits"]["language"]["coverage"] is None
    assert next(csv.DictReader(out.read_text().splitlines()))["low"] == ""
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "no interval can be given, a new language" in said
    assert "needs the errors of at least 19 languages" in said
