"""`sprat curate` as a user runs it: a folder from files, then why, what if, and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sprat.cli import main

GOOD = "The cat sat on the mat and it was glad to be there with you. " * 12


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    rows: list[dict[str, Any]] = [{"id": "good", "text": GOOD + "It ended then."}, {"id": "short", "text": "the end."}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    said = ["curate", str(tmp_path / "*.jsonl"), "--recipe", "c4", "--out", str(tmp_path / "kept"), "--workers", "1"]
    assert main([*said, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["documents"], found["kept"], found["first"]["c4.sentences"]) == (2, 1, 1)
    return str(tmp_path / "kept")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["curate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_explain_names_the_limit_that_failed(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = told(capsys, "explain", folder, "short")
    assert [m["limit"] for m in found["limits"] if not m["holds"]] == ["c4.sentences at least 5"]


def test_what_if_says_what_would_come_back(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "what-if", folder, "--rule", "sentences", "--at", "0")
    assert (found["kept"], found["kept_then"], found["examples_back"]) == (1, 2, ["short"])


def test_restore_counts_what_it_keeps_again(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "restore", folder, "--reason", "c4.sentences") == {"restored": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["curate"], "needs files"),
        (["curate", "a.jsonl"], "needs a folder to write"),
        (["curate", "nothing.jsonl", "--out", "out"], "There is no file nothing.jsonl"),
        (["curate", "what-if", "nowhere", "--rule", "alpha", "--at", "1"], "holds no curated data"),
        (["curate", "explain"], "needs a folder that sprat curate wrote"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
