"""`sprat curate select` as a user runs it: files in, the rows drawn and every weight out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sprat.cli import main


@pytest.fixture
def files(tmp_path: Path) -> Path:
    words = {"cat": "the cat sat on the mat", "bank": "stocks of the bank fell"}
    rows: list[dict[str, Any]] = [
        {"id": f"{k}{i}", "text": f"{t} {i}", "more": i} for i in range(20) for k, t in words.items()
    ]
    lines = [json.dumps(r) + "\n" for r in rows]
    (tmp_path / "raw.jsonl").write_text("".join([*lines[:9], "not JSON\n", *lines[9:]]))
    (tmp_path / "good.jsonl").write_text(json.dumps({"text": "a cat on the mat"}) + "\n")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> Any:
    given = [str(folder / "raw.jsonl"), "--target", str(folder / "good.jsonl"), "--least-tokens", "3", *more]
    assert main(["curate", "select", *given, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_rows_drawn_stand_as_they_stood(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, files, "--keep", "20", "--out", str(files / "out.jsonl.gz"), "--top")
    lines = gzip.decompress((files / "out.jsonl.gz").read_bytes()).decode().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"cat{i}" for i in range(20)]
    assert set(lines) <= set((files / "raw.jsonl").read_text().splitlines())
    assert (found["documents"], found["drawn"], found["bad"]) == (40, 20, 1)


def test_every_document_has_its_weight_and_line(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, files, "--keep", "20", "--out", str(files / "out.jsonl"), "--top")
    frame = pl.read_parquet(found["weights"])
    assert frame["line"].to_list() == [*range(1, 10), *range(11, 42)]
    cats = frame["id"].str.starts_with("cat")
    assert frame.filter(cats)["log_weight.target"].min() > frame.filter(~cats)["log_weight.target"].max()  # pyright: ignore
    assert frame["chosen_for"].to_list() == ["target" if c else None for c in cats]


def test_workers_and_a_second_run_change_nothing(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = [files / f"out{i}.jsonl" for i in range(3)]
    for out, workers in zip(outs, ("1", "2", "1"), strict=True):
        told(capsys, files, "--keep", "15", "--out", str(out), "--seed", "4", "--workers", workers)
    assert len({out.read_bytes() for out in outs}) == 1


def test_separate_targets_are_named_by_their_files(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (files / "money.jsonl").write_text(json.dumps({"text": "the bank fell"}) + "\n")
    more = ["--target", str(files / "money.jsonl"), "--separate", "--share", "0.25", "--share", "0.75", "--top"]
    found = told(capsys, files, "--keep", "8", "--out", str(files / "out.jsonl"), *more)
    assert [(t["name"], t["drawn"]) for t in found["targets"]] == [("good", 2), ("money", 6)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["raw.jsonl"], "needs files, a target"),
        (["raw.jsonl", "--target", "good.jsonl", "--out", "o", "--keep", "1", "--method", "dsri"], "no method 'dsri'"),
        (["none.jsonl", "--target", "good.jsonl", "--out", "o", "--keep", "1"], "no file none.jsonl"),
        (["raw.jsonl", "--target", "good.jsonl", "--out", "raw.jsonl", "--keep", "1"], "one of the files"),
        (["raw.jsonl", "--target", "good.jsonl", "--out", "no/o", "--keep", "1"], "no folder no"),
        (["raw.jsonl", "--target", "good.jsonl", "--out", "o"], "how many documents to keep"),
        (["raw.jsonl", "--target", "good.jsonl", "--out", "o", "--keep", "1", "--share", "1"], "--separate"),
    ],
)
def test_a_mistake_is_one_sentence(
    files: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(files)
    assert main(["curate", "select", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (files / "o").exists()
