"""`sprat decode`: what it prints, what it reads, and how it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sprat.cli import main
from sprat.config import dump
from sprat.decoding import speculate
from sprat.endpoints import tiny


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


def test_predict_needs_five_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "predict", "--target", "tiny:sprat", "--draft", "tiny:fry", "--passes", "4"]) == 2
    assert "passes is 4" in capsys.readouterr().err


def test_verify_ends_with_0_where_it_is_exact(prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--target", "tiny:sprat", "--draft", "lookup", "--prompts", str(prompts), "--samples", "50"]
    assert main(["decode", "verify", *given, "--temperature", "1.5", "--tokens", "2", "--max-tokens", "8"]) == 0
    assert capsys.readouterr().out.startswith("Exact: sprat, drafted by lookup()")


def test_verify_ends_with_1_where_nothing_is_concluded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sprat.decoding.verify.MOST", 60)
    given = ["--target", "tiny:fry", "--draft", "tiny:fry", "--samples", "60", "--max-tokens", "3"]
    assert main(["decode", "verify", *given, "--temperature", "2", "--tokens", "2", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "inconclusive"


def test_a_terminal_sees_the_text_while_it_is_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    seen: list[str] = []

    async def streamed(model: object, text: str, options: dict[str, object]) -> object:
        seen.append(text)
        return model(text, **options)  # type: ignore[operator]

    monkeypatch.setattr("sprat.cli.ask.streamed", streamed)
    assert main(["decode", "sort 31 4 15:", "--model", "tiny:sprat"]) == 0
    assert main(["decode", "sort 31 4 15:", "--model", "tiny:sprat", "--json"]) == 0
    assert seen == ["sort 31 4 15:"]
    assert json.loads(capsys.readouterr().out)["text"] == "4 15 31"


def test_options_of_sampling_reach_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    sampling = ["--temperature", "3", "--top-k", "1", "--top-p", "0.9", "--min-p", "0.1", "--repetition-penalty", "1"]
    stops = ["--stop", " 31", "--stop", "x"]
    assert main(["decode", "sort 31 4 15:", "--model", "tiny:sprat", *sampling, *stops]) == 0
    assert capsys.readouterr().out == "4 15\n"


def test_a_speculated_reply_says_what_stood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump(speculate(tiny("sprat"), tiny("fry"), 3), tmp_path / "m.toml")
    assert main(["decode", "sort 31 4 15:", "--model", str(tmp_path / "m.toml")]) == 0
    out, err = capsys.readouterr()
    assert out == "4 15 31\n"
    assert "Mean acceptance length: " in err
    assert "Avg Draft acceptance rate: " in err


def test_what_loads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextmanager
    def telling() -> Iterator[object]:
        yield lambda stage, done, total: seen.append(stage)

    monkeypatch.setattr("sprat.cli.progress.telling", telling)
    assert main(["decode", "predict", "--target", "tiny:sprat", "--draft", "tiny:fry", "--json"]) == 0
    assert seen[:2] == ["loading sprat", "loading fry"]
    assert seen[-1].startswith("measuring passes, ")
    assert seen[-1].endswith("/s")
