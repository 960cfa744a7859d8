"""Hot reload and draining: what runs goes on, whatever becomes of the file; streams are never just cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import HELLO, Running
from stored import wait_for
from test_serve import Serving

from mock_server import MockServer
from sprat.cli import main
from sprat.gateway.reload import Reloading
from sprat.gateway.served import load

FILE = """
[way]
use = "fallback"
models = ["{name}"]
[models.{name}]
url = "{url}"
model = "mock"
retries = 0
[gateway]
drain = 1.0
{more}
"""
CHAT = "/v1/chat/completions"


@pytest.fixture
def up() -> Iterator[MockServer]:
    with MockServer() as made:
        yield made


@pytest.fixture
def file(up: MockServer, tmp_path: Path) -> Path:
    path = tmp_path / "serve.toml"
    write(path, up)
    return path


def write(path: Path, up: MockServer, name: str = "first", more: str = "") -> None:
    path.write_text(FILE.format(name=name, url=up.url, more=more))


@pytest.fixture
def gateway(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(Reloading.__init__, "__defaults__", (0.02,))
    with Running(load(file)) as made:
        yield made


def reloading(gateway: Running) -> Reloading:
    found = gateway.app.reloading
    assert found is not None
    return found


def ask(gateway: Running, model: str = "auto") -> int:
    return gateway.post(CHAT, {"model": model, "messages": HELLO})[0]


def test_a_changed_file_is_served_without_a_restart(gateway: Running, file: Path, up: MockServer) -> None:
    assert ask(gateway, "first") == 200
    write(file, up, "second")
    wait_for(lambda: reloading(gateway).loads == 1)
    assert (ask(gateway, "second"), ask(gateway, "first")) == (200, 404)
    assert reloading(gateway).digest == load(file).digest


@pytest.mark.parametrize(
    "bad",
    ["", "[way", '[way]\nuse = "fallback"\nmodels = ["nobody"]\n', "[gateway]\ndrian = 1\n"],
    ids=["empty", "half", "unknown model", "unknown setting"],
)
def test_a_file_that_is_not_sound_changes_nothing_and_is_told(gateway: Running, file: Path, bad: str) -> None:
    file.write_text(bad)
    wait_for(lambda: reloading(gateway).failures == 1)
    assert ask(gateway, "first") == 200
    status, _, said = gateway.get("/readyz")
    assert (status, said.startswith("ready\n")) == (200, True)
    assert "was not taken over" in said
    assert "sprat_config_reload_failures_total 1" in gateway.get("/metrics")[2]
    assert "sprat_config_stale 1" in gateway.get("/metrics")[2]


def test_a_bad_file_is_tried_once_and_a_mended_one_taken_over(gateway: Running, file: Path, up: MockServer) -> None:
    file.write_text("[way")
    wait_for(lambda: reloading(gateway).failures == 1)
    write(file, up, "mended")
    wait_for(lambda: reloading(gateway).loads == 1)
    assert (reloading(gateway).failures, reloading(gateway).error) == (1, "")
    assert ask(gateway, "mended") == 200


def test_a_file_that_comes_back_as_it_was_is_no_longer_told_of(gateway: Running, file: Path) -> None:
    before = file.read_bytes()
    file.write_text("[way")
    wait_for(lambda: reloading(gateway).failures == 1)
    file.write_bytes(before)
    wait_for(lambda: reloading(gateway).error == "")
    assert "sprat_config_stale 0" in gateway.get("/metrics")[2]


def test_a_file_that_is_gone_changes_nothing(gateway: Running, file: Path) -> None:
    file.unlink()
    wait_for(lambda: reloading(gateway).failures == 1)
    assert ask(gateway, "first") == 200


def test_a_running_request_ends_with_the_model_that_it_began_with(gateway: Running, file: Path, up: MockServer) -> None:
    up.faults.append({"stall": 0.5})
    statuses: list[int] = []
    asking = threading.Thread(target=lambda: statuses.append(ask(gateway, "first")))
    asking.start()
    wait_for(lambda: up.seen == 1)
    write(file, up, "second")
    wait_for(lambda: reloading(gateway).loads == 1)
    asking.join(5)
    assert statuses == [200]
    assert gateway.kept[-1].model == "first"


def test_what_the_store_was_opened_with_waits_for_a_restart(gateway: Running, file: Path, up: MockServer) -> None:
    write(file, up, "second", "store_prompts = true\nat_once = 7")
    wait_for(lambda: reloading(gateway).loads == 1)
    settings = gateway.app.served.settings
    assert (settings.store_prompts, settings.at_once) == (False, 7)
    assert "needs a restart: store_prompts" in gateway.get("/readyz")[2]


def test_a_file_that_is_not_watched_is_loaded_when_told_to(up: MockServer, file: Path) -> None:
    write(file, up, "first", "reload = false")

    async def story() -> tuple[int, int, bool]:
        from sprat.gateway.app import Gateway

        gateway = Gateway(load(file))
        watched = Reloading(gateway, file, 0.01)
        watched.start()
        write(file, up, "second", "reload = false")
        await asyncio.sleep(0.1)
        before = watched.loads
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(5):
            while not watched.loads:
                await asyncio.sleep(0.01)
        await watched.close()
        return before, watched.loads, "second" in gateway.served.models

    assert asyncio.run(story()) == (0, 1, True)


def test_a_file_is_checked_by_the_command(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(file), "--check"]) == 0
    assert "can be served: auto, first." in capsys.readouterr().out
    file.write_text("[gateway]\ndrian = 1\n")
    assert main(["serve", str(file), "--check"]) == 2


# Draining, in a process of its own


def stream(serving: Serving, path: str, body: dict[str, Any], said: list[str]) -> threading.Thread:
    import http.client

    def read() -> None:
        host = serving.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request("POST", path, json.dumps({"model": "auto", "stream": True, **body}))
        answer = connection.getresponse()
        while part := answer.read1(65536):
            said.append(part.decode())
        connection.close()

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body", "last"),
    [
        (CHAT, {"messages": HELLO}, '"code":"shutting_down"'),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 9}, '"type":"overloaded_error"'),
        ("/v1/responses", {"input": "hello"}, '"response.failed"'),
    ],
)
def test_a_stream_that_the_end_cuts_off_says_so(file: Path, up: MockServer, path: str, body: Any, last: str) -> None:
    up.faults.append({"hold": 2})
    serving = Serving(file)
    said: list[str] = []
    reading = stream(serving, path, body, said)
    wait_for(lambda: bool(said))
    assert serving.stop() == 0
    reading.join(10)
    assert last in "".join(said)
    assert up.left.acquire(timeout=5)


@pytest.mark.slow
def test_a_second_signal_ends_at_once(file: Path, up: MockServer) -> None:
    file.write_text(file.read_text().replace("drain = 1.0", "drain = 600.0"))
    up.faults.append({"hold": 2})
    serving = Serving(file)
    said: list[str] = []
    reading = stream(serving, CHAT, {"messages": HELLO}, said)
    wait_for(lambda: bool(said))
    serving.process.send_signal(signal.SIGTERM)
    wait_for(lambda: _ready(serving) != 200)
    serving.process.send_signal(signal.SIGTERM)
    serving.process.communicate(timeout=15)
    reading.join(10)
    assert serving.process.returncode == 1


def _ready(serving: Serving) -> int:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(serving.url + "/readyz", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:  # it listens no more
        return 0
