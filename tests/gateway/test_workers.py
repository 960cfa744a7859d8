"""Several workers behind one address, as real processes: one of them may die, and any of them speaks for all."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from running import SORT  # skips where a package of the gateway's is not there
from stored import wait_for

pytest.importorskip("fcntl")

from sprat.cli import main
from sprat.errors import BadInput
from sprat.gateway.access import keys
from sprat.gateway.last_good import keep
from sprat.gateway.ledger.store import Store
from sprat.gateway.reload import anew
from sprat.gateway.served import load
from sprat.gateway.workers import NOT_STARTED, Workers

CHAT = "/v1/chat/completions"
FILE = """
[way]
use = "route"
models = ["sprat", "mackerel"]
trust = [{use = "random"}]
at_least = [0.0]
[models.sprat]
use = "tiny"
[models.mackerel]
use = "tiny"
[gateway]
drain = 5.0
durable = true
"""


class Served:
    """`sprat serve --workers 2` over a store with a key."""

    def __init__(self, folder: Path, more: str = "", **limits: Any) -> None:
        self.folder = folder
        (folder / "serve.toml").write_text(FILE + more)
        with Store.read(folder / "sprat.db", create=True) as store:
            _, self.key = keys.create(store.engine, "team", **limits)
        run = "import sys; from sprat.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", run, "serve", str(folder / "serve.toml"), "--port", "0", "--workers", "2"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        said = ""
        while "/healthz" not in said and (line := self.process.stdout.readline()):
            said += line
        found = re.search(r"http://127.0.0.1:(\d+)/v1", said)
        assert found, said
        self.port = int(found[1])

    def ask(self, path: str = CHAT) -> tuple[int, dict[str, str], bytes]:
        """One request over a connection of its own, so that either worker may take it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            body = json.dumps({"model": "auto", "messages": SORT}) if path == CHAT else None
            connection.request("POST" if body else "GET", path, body, {"authorization": f"Bearer {self.key}"})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def counted(self) -> float:
        found = re.findall(rb'^sprat_requests_total\{.*status="200"\} (\S+)$', self.ask("/metrics")[2], re.M)
        return sum(map(float, found))

    def workers(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(n) for n in found.split()]

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def serve(more: str = "", **limits: Any) -> Served:
        made.append(Served(tmp_path, more, **limits))
        return made[-1]

    yield serve
    for one in made:
        one.stop()


@pytest.mark.slow
def test_whichever_worker_answers_the_metrics_are_all_workers_together(served: Callable[..., Served]) -> None:
    gateway = served()
    assert {gateway.ask()[0] for _ in range(24)} == {200}
    assert {gateway.counted() for _ in range(8)} == {24.0}


@pytest.mark.slow
def test_a_killed_worker_takes_no_acknowledged_record_and_no_count_along(served: Callable[..., Served]) -> None:
    gateway = served()
    told: list[str] = []
    enough = threading.Event()

    def keep_asking() -> None:
        while not enough.is_set():
            try:
                status, headers, _ = gateway.ask()
            except (OSError, http.client.HTTPException):
                continue  # it was being answered by the one that was killed
            assert status == 200
            told.append(headers["x-sprat-id"])

    asking = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in asking:
        thread.start()
    wait_for(lambda: len(told) > 20, 20)
    before, dead = gateway.counted(), gateway.workers()[0]
    os.kill(dead, signal.SIGKILL)
    counts = [before]
    ready = lambda: len(gateway.workers()) == 2 and dead not in gateway.workers()  # noqa: E731
    wait_for(lambda: counts.append(gateway.counted()) or ready(), 20)
    n = len(told)
    wait_for(lambda: len(told) > n + 20, 20)
    enough.set()
    for thread in asking:
        thread.join()
    assert counts == sorted(counts)
    assert gateway.counted() >= len(told)
    gateway.stop()
    with Store.read(gateway.folder / "sprat.db") as store:
        assert set(told) <= {e.id for e in store.exchanges()}


@pytest.mark.slow
def test_a_keys_rate_is_that_of_all_workers_together(served: Callable[..., Served]) -> None:
    gateway = served(rate=10)
    began = time.monotonic()
    found = [gateway.ask()[0] for _ in range(20)]
    filled = int((time.monotonic() - began) / 6) + 1
    assert 10 <= found.count(200) <= 10 + filled
    assert found.count(429) == 20 - found.count(200)


@pytest.mark.slow
def test_told_to_stop_all_workers_end_and_what_they_shared_is_gone(served: Callable[..., Served]) -> None:
    gateway = served()
    assert gateway.ask()[0] == 200
    mine = gateway.workers()
    shared = {Path(line.split()[-1]).parent for line in Path(f"/proc/{mine[0]}/maps").read_text().splitlines()
              if line.endswith("/rates")}  # fmt: skip
    assert [folder.exists() for folder in shared] == [True]
    assert gateway.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in mine)
    assert not any(folder.exists() for folder in shared)


@pytest.mark.slow
def test_workers_end_when_their_supervisor_was_killed(served: Callable[..., Served]) -> None:
    gateway = served()
    assert gateway.ask()[0] == 200
    mine = gateway.workers()
    gateway.process.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in mine), 20)


@pytest.mark.slow
def test_a_worker_that_takes_anothers_place_serves_the_file_as_it_is_now(served: Callable[..., Served]) -> None:
    gateway = served("reload = false\n")  # so that nothing else takes the new file over
    wait_for(lambda: sum("/rates" in Path(f"/proc/{pid}/maps").read_text() for pid in gateway.workers()) == 2, 20)
    file = gateway.folder / "serve.toml"
    file.write_text(file.read_text().replace("mackerel", "herring"))
    assert not any(b"herring" in gateway.ask("/v1/models")[2] for _ in range(8))
    os.kill(gateway.workers()[0], signal.SIGKILL)
    wait_for(lambda: b"herring" in gateway.ask("/v1/models")[2], 20)


def test_a_file_that_can_not_be_served_leaves_a_new_worker_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "serve.toml"
    file.write_text(FILE)
    before = load(file)
    assert anew(before) is before
    file.write_text("[way")
    assert anew(before) is before
    assert "a worker starts with the one before" in caplog.text
    file.write_text(FILE.replace("mackerel", "herring"))
    assert "herring" in anew(before).models


def test_while_the_file_is_broken_a_new_worker_serves_what_was_last_taken_over(tmp_path: Path) -> None:
    file, folder = tmp_path / "serve.toml", tmp_path / "shared"
    folder.mkdir()
    file.write_text(FILE)
    start = taken = load(file)
    for name in ("herring", "mackerel", "herring"):
        file.write_text(FILE.replace("mackerel", name))
        taken = replace(load(file), read_at=1000.0)
        keep(taken, folder)
    file.write_text("[way")
    found = anew(start, folder)
    assert "herring" in found.models
    assert (found.path, found.digest, found.answering, found.read_at) == (file, taken.digest, taken.answering, 1000.0)


def test_a_kept_file_finds_its_keys_where_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    (tmp_path / "key").chmod(0o600)
    file, copy = tmp_path / "serve.toml", tmp_path / "copy" / "serve.toml"
    copy.parent.mkdir()
    file.write_text('[way]\nmodel = "m"\n[models.m]\nurl = "http://127.0.0.1:1/v1"\nkey_file = "key"\n')
    copy.write_text(file.read_text())
    assert load(copy, tmp_path).models["m"]._secret() == "secret"


def test_workers_that_can_not_begin_are_not_started_again_and_again() -> None:
    assert Workers(2, lambda folder, number: NOT_STARTED, 1.0).run() == 1


def test_a_worker_that_dies_at_once_is_started_again_ever_later(tmp_path: Path) -> None:
    def work(folder: Path, number: int) -> int:
        (tmp_path / str(time.monotonic_ns())).touch()
        if len(list(tmp_path.iterdir())) == 4:
            os.kill(os.getppid(), signal.SIGTERM)
        return 1

    assert Workers(1, work, 1.0).run() == 0
    at = sorted(int(p.name) / 1e9 for p in tmp_path.iterdir())
    first, second, third = (b - a for a, b in pairwise(at))
    assert first > 0.15
    assert second > 0.35
    assert third > 0.75


def test_no_worker_at_all_is_refused(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "serve.toml").write_text(FILE)
    assert main(["serve", str(tmp_path / "serve.toml"), "--workers", "0"]) == 2
    assert "There can't be 0 workers" in capsys.readouterr().err


def test_where_processes_can_not_fork_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with pytest.raises(BadInput, match="There can't be 2 workers"):
        Workers(2, lambda folder, number: 0, 1.0)
