"""`sprat serve` as a process: keys, the store beside the file, draining, and what it refuses to serve."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import SORT  # skips where a package of the gateway's is not there

from mock_server import MockServer
from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.served import load

FILE = """
[way]
use = "route"
models = ["sprat", "far"]
trust = [{{use = "random"}}]
at_least = [0.0]
[models.sprat]
use = "tiny"
[models.far]
url = "{url}"
model = "mock"
[encoders.static]
use = "static"
[gateway]
drain = 5.0
store_prompts = true
"""


class Serving:
    """A gateway in a process of its own."""

    def __init__(self, file: Path, *more: str) -> None:
        run = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", run, "serve", str(file), "--port", "0", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        self.said = ""
        while "/healthz" not in self.said and (line := self.process.stdout.readline()):
            self.said += line
        found = re.search(r"base URL\s+(\S+)/v1", self.said)
        self.url = found[1] if found else ""
        secret = re.search(r"sk-sprat-\S+", self.said)
        self.key = secret[0] if secret else ""

    def ask(self, model: str = "auto", key: str = "", path: str = "/v1/chat/completions") -> Any:
        body = json.dumps({"model": model, "messages": SORT}).encode()
        headers = {"authorization": f"Bearer {key}"} if key else {}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers), timeout=10) as answer:
            return json.loads(answer.read())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=15)
        return self.process.returncode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, MockServer]]:
    with MockServer(latency=0.5) as up:
        made = tmp_path_factory.mktemp("served")
        (made / "serve.toml").write_text(FILE.format(url=up.url))
        yield made, up


@pytest.mark.slow
def test_a_key_is_made_once_and_asked_for_where_told_to(folder: tuple[Path, MockServer]) -> None:
    first = Serving(folder[0] / "serve.toml", "--key-required")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        first.ask()
    assert first.ask(key=first.key)["choices"][0]["message"]["content"] == "4 15 31"
    first.stop()
    again = Serving(folder[0] / "serve.toml", "--key-required")
    assert again.key == ""
    assert again.ask(key=first.key)["model"] == "sprat"
    again.stop()


@pytest.mark.slow
def test_a_request_that_runs_is_answered_before_the_end(folder: tuple[Path, MockServer]) -> None:
    from sprat.gateway.ledger.store import Store

    serving = Serving(folder[0] / "serve.toml")
    replies: list[Any] = []
    asking = threading.Thread(target=lambda: replies.append(serving.ask("far")))
    asking.start()
    while not folder[1].seen:
        asking.join(0.01)
    serving.stop()
    asking.join()
    assert replies[0]["choices"][0]["finish_reason"] == "stop"
    with Store.read(folder[0] / "sprat.db") as store:
        last = store.exchanges(limit=1, prompts=True)[0]
    assert (last.asked, last.status, last.output_tokens) == ("far", 200, 5)
    assert last.request is not None


def test_a_port_that_is_taken_is_said(folder: tuple[Path, MockServer], capsys: Any) -> None:
    assert main(["serve", str(folder[0] / "serve.toml"), "--port", str(folder[1].port)]) == 2
    assert "Nothing can listen at 127.0.0.1" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(capsys: Any) -> None:
    assert main(["serve", "no-such.toml"]) == 2
    assert "no-such.toml can't be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[gateway]\ndrian = 1\n", "Did you mean 'drain'"),
        ("[gateway]\nat_once = -1\n", "at_once is -1"),
        ("[encoders.x]\nuse = 'statik'\n", "Did you mean 'static'"),
        ("[encoders.x]\n", "says no 'use'"),
        ("[models.auto]\nuse = 'tiny'\n", "can't be called 'auto'"),
        ("[models.b]\nmodel = 'x'\n", "no url"),
        ("[budgets]\nall = '1/day'\n", "Did you mean 'budget'"),
        ("[something]\n", "something.* is not known"),
        ("[models.b]\nurl = 'http://127.0.0.1:9/v1'\ntimeout = -1\n", "timeout of 'b' is -1"),
        ("[models.b]\nurl = 'http://127.0.0.1:9/v1'\nretries = -1\n", "retries of 'b' are -1"),
    ],
)
def test_what_can_not_be_served_is_said(tmp_path: Path, more: str, said: str) -> None:
    file = tmp_path / "serve.toml"
    way = '[way]\nuse = "cascade"\nmodels = ["sprat", "mackerel"]\ntrust = [{use = "logprob"}]\nat_least = [0.5]\n'
    file.write_text(way + '[models.sprat]\nuse = "tiny"\n[models.mackerel]\nuse = "tiny"\n' + more)
    with pytest.raises(BadInput, match=said):
        load(file)


def test_an_upstreams_key_is_known_so_that_it_can_be_struck_out(
    folder: tuple[Path, MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sprat.gateway.served import secrets_of

    text = (folder[0] / "serve.toml").read_text().replace('model = "mock"', 'model = "mock"\nkey_env = "FAR_KEY"')
    (folder[0] / "keyed.toml").write_text(text)
    monkeypatch.setitem(os.environ, "FAR_KEY", "sk-far")
    assert secrets_of(load(folder[0] / "keyed.toml")) == ("sk-far",)
