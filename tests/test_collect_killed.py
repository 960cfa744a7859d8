"""Collecting is killed at 50 seeded instants, and goes on: nothing is lost, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sprat.collect import Collection, plan
from sprat.config import load_models
from sprat.reading import read

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGKILL and fork")]
HERE = Path(__file__).parent
PROMPTS = 150


def started(folder: Path, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    command = [
        sys.executable,
        str(HERE / "mock_server.py"),
        "--port-file",
        str(port_file),
        "--log",
        str(folder / "log"),
    ]
    process = subprocess.Popen([*command, *options])
    until = time.monotonic() + 20
    while not port_file.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return process, port_file.read_text()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "collect_child.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


def run(child: subprocess.Popen[str], arguments: dict[str, Any], kill_after: float | None) -> bool:
    """Collect; true where it came to its end before it was killed, which is so long after it began to write."""
    journal = Path(arguments["out"] + ".journal")
    before = journal.stat().st_size if journal.exists() else 0
    child.stdin.write(json.dumps(arguments) + "\n")
    child.stdin.flush()
    pid = int(child.stdout.readline())
    if kill_after is not None:
        with suppress(ProcessLookupError):
            while not journal.exists() or journal.stat().st_size <= before:
                time.sleep(0.002)
                os.kill(pid, 0)
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
    return int(child.stdout.readline()) == 0


def prepared(folder: Path, port: str, idempotent: bool) -> dict[str, Any]:
    prompts = "".join(json.dumps({"id": str(i), "prompt": f"number {i}"}) + "\n" for i in range(PROMPTS))
    (folder / "prompts.jsonl").write_text(prompts)
    told = f'url = "http://127.0.0.1:{port}/v1"\nmodel = "mock"\nidempotent = {str(idempotent).lower()}\n'
    (folder / "models.toml").write_text("[models.small]\n" + told)
    return {"prompts": str(folder / "prompts.jsonl"), "models": str(folder / "models.toml")}


def billed(folder: Path) -> list[dict[str, Any]]:
    log = folder / "log"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def asked(call: dict[str, Any]) -> str:
    return call["body"]["messages"][0]["content"]


def collected(out: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({r["id"] for r in rows}) == len(rows) == PROMPTS
    return {r["prompt"]: r["reply"] for r in rows if r.get("model")}


def killed_often(
    folder: Path, child: subprocess.Popen[str], idempotent: bool, retry: bool, kills: int
) -> Iterator[Any]:
    """Rounds of a collection that is killed again and again; yields each finished one's output and the calls billed."""
    process, port = started(folder, *([] if idempotent else ["--forgets"]))
    rng = random.Random(20261120)
    arguments, left, number, seen, cut = prepared(folder, port, idempotent), kills, 0, 0, 0
    try:
        while left:
            out = folder / f"calls-{number}.jsonl"
            finished = False
            while left and not finished:
                finished = run(child, {**arguments, "out": str(out), "retry": retry}, rng.uniform(0.0, 0.25))
                left -= not finished
                cut += not finished and len(entries(out)) > 1
            if not finished:
                assert run(child, {**arguments, "out": str(out), "retry": retry}, None)
            calls = billed(folder)
            yield out, calls[seen:]
            seen, number = len(calls), number + 1
        assert cut >= kills // 2
    finally:
        process.kill()
        process.wait()


def test_with_a_server_that_knows_keys_nothing_is_lost_and_nothing_paid_twice(
    tmp_path: Path, child: subprocess.Popen[str]
) -> None:
    for out, calls in killed_often(tmp_path, child, idempotent=True, retry=False, kills=50):
        assert max(Counter(asked(c) for c in calls).values()) == 1
        assert collected(out) == {asked(c): c["text"] for c in calls}
        assert len(calls) == PROMPTS


def test_skipping_what_is_in_doubt_never_pays_twice(tmp_path: Path, child: subprocess.Popen[str]) -> None:
    for out, calls in killed_often(tmp_path, child, idempotent=False, retry=False, kills=15):
        assert max(Counter(asked(c) for c in calls).values()) == 1
        data, models = read(tmp_path / "prompts.jsonl", prompts_only=True), load_models(tmp_path / "models.toml")
        collection = Collection(plan(data, models), out)
        collection.close()
        doubtful = {c.request.text for c in collection.in_doubt}
        said = {asked(c): c["text"] for c in calls}
        assert collected(out) == {prompt: text for prompt, text in said.items() if prompt not in doubtful}
        assert len(collected(out)) + len(doubtful) == PROMPTS


def test_retrying_what_is_in_doubt_loses_nothing_and_pays_at_most_that_twice(
    tmp_path: Path, child: subprocess.Popen[str]
) -> None:
    for out, calls in killed_often(tmp_path, child, idempotent=False, retry=True, kills=15):
        assert collected(out).keys() == {f"number {i}" for i in range(PROMPTS)}
        begun = Counter(e["call"] for e in entries(out) if e["is"] == "begun")
        assert len(calls) - PROMPTS <= sum(n - 1 for n in begun.values())


def entries(out: Path) -> list[dict[str, Any]]:
    lines = out.with_name(out.name + ".journal").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
