"""`sprat marks` end to end: the corrected mean, the rows to mark next, and giving them back."""

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
    judge = rng.uniform(size=400)
    path = tmp_path / "judged.csv"
    lines = [f"{i},{judge[i]:.4f},{judge[i] + rng.normal() / 10 if i < 60 else ''}" for i in range(400)]
    path.write_text("\n".join(["id,judge,human", *lines]) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["marks", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_cheap_score_is_worth_marks(table: Path, capsys: pytest.CaptureFixture[str]):
    found = run(capsys, table, "--score", "judge")
    assert found["corrected"]["high"] - found["corrected"]["low"] < found["alone"]["high"] - found["alone"]["low"]
    assert found["worth"] > 2 * 60


def test_the_rows_to_mark_come_back_with_their_weights(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "next.csv"
    found = run(capsys, table, "--score", "judge", "--next", 50, "--out", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert sum(int(r["to_mark"]) for r in rows) == found["to_mark"]
    for row in rows:
        row["human"] = row["judge"] if row["to_mark"] == "1" else row["human"]
    with out.open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    again = run(capsys, out, "--score", "judge", "--weight", "weight")
    assert again["corrected"]["marked"] == 60 + found["to_mark"]
    assert abs(again["corrected"]["value"] - np.mean([float(r["judge"]) for r in rows])) < 0.05


def test_a_drawn_row_left_without_a_mark_is_refused(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "next.csv"
    drawn = run(capsys, table, "--score", "judge", "--next", 50, "--out", out)["to_mark"]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    for row in [r for r in rows if r["to_mark"] == "1"][3:]:
        row["human"] = row["judge"]
    with out.open("w") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert main(["marks", str(out), "--score", "judge", "--weight", "weight"]) == 2
    assert f"3 of the {drawn} rows drawn" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("arguments", "said"), [
    (["--score", "juge"], "Did you mean 'judge'"),
    (["--score", "human"], "missing in 340 rows"),
    (["--score", "judge", "--human", "id", "--confidence", "2"], "between 0 and 1"),
])  # fmt: skip
def test_a_mistake_is_said_in_a_sentence(
    arguments: list[str], said: str, table: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["marks", str(table), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_too_few_marks_say_how_many_more(table: Path, capsys: pytest.CaptureFixture[str]):
    head, *lines = table.read_text().splitlines()
    few = [line if i < 4 else line.rpartition(",")[0] + "," for i, line in enumerate(lines)]
    table.write_text("\n".join([head, *few]) + "\n")
    assert main(["marks", str(table), "--score", "judge"]) == 2
    assert "Mark 6 more rows" in capsys.readouterr().err


def test_its_help_has_an_example(capsys: pytest.CaptureFixture[str]):
    assert main(["marks", "--help"]) == 0
    assert "Example: sprat marks" in capsys.readouterr().out


def test_equal_marks_ask_for_the_bounds_of_a_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "equal.csv"
    path.write_text("human,score\n" + "".join(f"{1 if i < 30 else ''},{i / 200}\n" for i in range(200)))
    assert main(["marks", str(path)]) == 2
    assert "do not differ" in capsys.readouterr().err
    found = run(capsys, path, "--bounds", "0:1")
    assert found["corrected"]["low"] == pytest.approx(0.025 ** (1 / 30))
    assert main(["marks", str(path), "--bounds", "x"]) == 2
