"""The commands end to end: what they print, how they end, and that mistakes are one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mock_server import MockServer
from sprat.cli import COMMANDS, main
from sprat.cli.ask import ask
from sprat.cli.collect import collect
from sprat.cli.doctor import doctor
from sprat.config import dump
from sprat.endpoints import tiny, toy

KEY = "sk-planted-0123456789"


@pytest.fixture
def models(server: MockServer, tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    price = "price.input = 1.0\nprice.output = 10.0\ndefaults.max_tokens = 5\n"
    path.write_text(f'[models.small]\nurl = "{server.url}"\nmodel = "mock"\nkey_env = "MY_KEY"\n{price}')
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "prompt": f"number {i}"}) + "\n" for i in range(3)))
    return path


def test_the_list_of_commands_names_each_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out and said in out for name, said in COMMANDS.items())


@pytest.mark.parametrize("command", [ask, collect, doctor])
def test_every_command_has_an_example(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command.__name__, "--help"]) == 0
    assert f"Example: sprat {command.__name__}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["ask", "x", "--model", "nope"], ["ask", "x", "--zzz"], ["ask", "x", "--model", "none.toml"]]
)
def test_a_mistake_ends_with_2_and_no_traceback(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said
    assert "Traceback" not in said


def test_ask_prints_the_reply_and_then_what_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "sort 31 4 15:", "--model", "tiny:sprat"]) == 0
    out, err = capsys.readouterr()
    assert out == "4 15 31\n"
    assert err.startswith('sprat · "4 15 31" · $')


def test_ask_streams_the_same_text(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ask", "sort 31 4 15:", "--model", "tiny:sprat", "--stream"])
    assert capsys.readouterr().out == "4 15 31\n"


def test_ask_reads_a_way_from_a_file_and_tells_its_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sprat.combine import vote

    dump(vote(toy("a", {"x": "yes"}), tiny("fry")), tmp_path / "way.toml")
    main(["ask", "x", "--model", str(tmp_path / "way.toml"), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["by"], [a["model"] for a in told["asks"]]) == ("vote", ["a", "fry"])


def test_ask_reaches_a_url(server: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "abc", "--model", f"{server.url}#mock", "--max-tokens", "1"]) == 0
    assert capsys.readouterr().out == "so:\n"


def test_collect_prices_asks_and_writes(models: Path, prompts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = prompts.with_name("calls.jsonl")
    arguments = ["collect", str(prompts), "--models", str(models), "--out", str(out), "--budget", "1"]
    assert main([*arguments, "--dry-run"]) == 0
    assert not out.exists()
    assert main(arguments) == 2  # not on a terminal: needs --yes
    assert main([*arguments, "--yes", "--json"]) == 0
    said = capsys.readouterr()
    assert "--yes" in said.err
    assert json.loads(said.out.splitlines()[-1])["done"] == 3


def test_collect_says_what_is_in_doubt(
    models: Path, prompts: Path, server: MockServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults += [{"reset": True}]
    arguments = ["collect", str(prompts), "--models", str(models), "--out", str(prompts.with_name("c.jsonl")), "--yes"]
    assert main(arguments) == 1
    assert main(arguments) == 2
    assert "1 calls were cut off and may have been paid" in capsys.readouterr().err
    assert main([*arguments, "--in-doubt", "retry"]) == 0


def test_an_interruption_ends_with_130_and_goes_on_later(models: Path, prompts: Path, server: MockServer) -> None:
    server.latency = 0.3
    out = prompts.with_name("calls.jsonl")
    arguments = ["collect", str(prompts), "--models", str(models), "--out", str(out), "--yes", "--concurrency", "1"]
    code = f"import sys; from sprat.cli import main; sys.exit(main({arguments!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while not server.seen and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err.decode()) == (130, "sprat: interrupted\n")
    assert len(server.calls) == 1  # the running call was let to its end
    assert main(arguments) == 0
    assert len(server.calls) == 3


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main(["doctor", *arguments, "--json"]) == 0
    return {f["what"]: f["seen"] for f in json.loads(capsys.readouterr().out)["findings"]}


def test_doctor_finds_what_a_server_can_do(server: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    seen = findings(capsys, server.url, "--model", "mock")
    assert {k for k, v in seen.items() if v == "yes"} >= {
        "models",
        "text",
        "stream",
        "logprobs",
        "top_logprobs",
        "tools",
        "n",
    }
    assert (seen["JSON"], seen["seed"]) == ("no", "unclear")


def test_doctor_finds_what_a_server_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    with MockServer(lacks=("logprobs", "tools", "n", "response_format"), models=("only",)) as server:
        seen = findings(capsys, server.url)
    assert [k for k, v in seen.items() if v == "no"] == ["logprobs", "top_logprobs", "tools", "JSON", "n"]


def test_doctor_draws_a_table(server: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", server.url, "--model", "mock"]) == 0
    assert "declare logprobs = true" in capsys.readouterr().out


def test_doctor_asks_which_model(server: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", server.url]) == 2
    assert "offers 2 models: mock, mock-large" in capsys.readouterr().err


def test_a_planted_key_is_nowhere(
    models: Path, prompts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    out = prompts.with_name("calls.jsonl")
    assert main(["collect", str(prompts), "--models", str(models), "--out", str(out), "--yes"]) == 0
    with MockServer(key="another") as server:
        assert main(["ask", "x", "--model", f"{server.url}#mock", "--key-env", "MY_KEY"]) == 2
        assert main(["doctor", server.url, "--model", "mock", "--key-env", "MY_KEY"]) == 2
    said = capsys.readouterr()
    written = "".join(p.read_text() for p in prompts.parent.iterdir())
    assert KEY not in said.out + said.err + written
