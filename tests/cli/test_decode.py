"""`sprat decode`: what it prints, what it reads, and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sprat.cli import main


@pytest.mark.parametrize("command", ["ask", "decode"])
def test_a_hyphen_reads_the_input(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sort 31 4 15:"))
    assert main([command, "-", "--model", "tiny:sprat"]) == 0
    assert capsys.readouterr().out == "4 15 31\n"


@pytest.mark.parametrize("command", ["ask", "decode"])
def test_an_unknown_option_is_still_said(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "x", "--zzz"]) == 2
    assert "zzz" in capsys.readouterr().err


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    asked = ["sort 31 4 15:", "reverse shark:", "what is 12 plus 7?"]
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in asked))
    return path


def test_predict_reads_prompts_as_collect_does(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--target", "tiny:sprat", "--draft", "tiny:fry", "--prompts", str(prompts), "--json"]
    assert main(["decode", "predict", *given]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "sprat"
