"""What a study leaves, through the commands that use it: ask, replay, certify check; --json and --help of every one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from made_calls import rows, write
from mock_server import MockServer
from quick_study import PAIR, quicken
from sprat.cli import COMMANDS, main
from sprat.config import load


@pytest.fixture(autouse=True)
def light(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quicken(monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study with something certified."""
    place = tmp_path_factory.mktemp("certified")
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch, place)
        calls = write(place / "calls.jsonl", rows(200))
        assert main(["study", str(calls), *PAIR, "--keep", "0.9", "--out", str(place / "study")]) == 0
    return place / "study"


@pytest.fixture
def folder(certified: Path) -> Path:
    """A copy of it, as `study`."""
    shutil.copytree(certified, "study")
    return Path("study")


def test_a_served_model_without_a_url_names_the_line_to_fill_in(folder: Path, capsys: pytest.CaptureFixture[str]):
    lines = (folder / "serve.toml").read_text().splitlines()
    assert main(["ask", "Name the colour", "--model", str(folder / "serve.toml")]) == 2
    said = capsys.readouterr().err
    assert "has no url, so it can't be asked. Fill in its url in serve.toml, line " in said
    assert lines[int(said.rstrip(".\n").rpartition(" ")[2]) - 1] == 'url = ""'


def test_a_certificate_that_was_tampered_with(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["certify", "check", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True
    path = folder / "certificate.json"
    path.write_text(path.read_text().replace('"level": 0.9,', '"level": 0.95,'))
    assert main(["certify", "check", str(folder)]) == 1
    assert "Does not add up: " in capsys.readouterr().out
    path.write_text("{}")
    assert main(["certify", "check", str(folder)]) == 2


def test_a_replay_of_rows_that_lack_calls_says_what_they_take(folder: Path, capsys: pytest.CaptureFixture[str]):
    lacking = [r for r in rows(60, seed=5) if r["model"] == "small" or int(r["id"]) % 2]
    path = write(Path("more.jsonl"), lacking)
    arguments = ["replay", str(path), "--model", str(folder / "serve.toml")]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answered"] + found["missing"]["large"] == found["rows"] == 60
    assert found["missing_cost"]["large"] == pytest.approx(0.004, rel=0.1)
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"{found['missing']['large']} rows need at least one live call, of 'large' first: about $" in said


def test_an_earlier_study_s_arrays_go_when_the_new_one_has_none(folder: Path):
    with np.load(folder / "serve.npz") as earlier:
        assert any(name.startswith(("way.", "parts.")) for name in earlier.files)
    assert main(["study", str(write(Path("few.jsonl"), rows(40))), *PAIR]) == 0
    with np.load(folder / "serve.npz") as now:
        assert {name.partition(".")[0] for name in now.files} == {"card"}
    assert repr(load(folder / "serve.toml")) == "openai('large')"


def test_what_every_command_prints_as_json_is_json(
    folder: Path, server: MockServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    prompts = write(tmp_path / "prompts.jsonl", [{"id": "1", "prompt": "x"}])
    (tmp_path / "models.toml").write_text(f'[models.mock]\nurl = "{server.url}"\nmodel = "mock"\n')
    write(tmp_path / "calls.jsonl", rows(60))
    commands = {
        "study": ["study", "calls.jsonl", *PAIR, "--out", "other"],
        "replay": ["replay", "calls.jsonl", "--model", str(folder / "serve.toml")],
        "certify": ["certify", "check", str(folder)],
        "collect": ["collect", str(prompts), "--models", "models.toml", "--out", "made.jsonl", "--dry-run"],
        "ask": ["ask", "sort 3 1:", "--model", "tiny:fry"],
        "decode": ["decode", "sort 3 1:", "--model", "tiny:fry", "--explain"],
        "doctor": ["doctor", server.url, "--model", "mock"],
        "methods": ["methods"],
        "keys": ["keys", "create", "--name", "search"],
        "logs": ["logs"],
        "dashboard": ["dashboard", "password"],
        "cache": ["cache", "status"],
        "budget": ["budget", "status"],
        "evaluate": ["evaluate", "calls.jsonl", "--energy"],
        "energy": ["energy", "calls.jsonl"],
    }
    # Who needs other inputs prints its JSON in a test of its own; one serves until it is stopped.
    elsewhere = {"audit", "calibrate", "check", "curate", "marks", "predict", "promise", "uncertainty"}
    assert commands.keys() == COMMANDS.keys() - {"serve"} - elsewhere
    for name, arguments in commands.items():
        assert main([*arguments, "--json"]) == 0, name
        assert json.loads(capsys.readouterr().out) is not None, name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, *(["check"] if name == "certify" else []), "--help"]) == 0
    assert f"Example: sprat {name} " in capsys.readouterr().out
