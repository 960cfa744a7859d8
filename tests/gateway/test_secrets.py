"""Secrets planted wherever the gateway reads one are looked for wherever it writes: answers, logs, cards, store."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from running import SORT, TOOLS, Running

import sprat
from mock_server import MockServer
from sprat.gateway.access import keys
from sprat.gateway.ledger.store import Store
from sprat.gateway.served import of, secrets_of
from sprat.gateway.wire.struck import struck

IN_ENV, IN_FILE = "planted-key-of-the-environment", "planted-key-of-a-file"
ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings")


@dataclass
class Planted:
    gateway: Running
    up: MockServer
    key: str
    file: Path
    log: logging.Handler

    @property
    def secrets(self) -> tuple[str, ...]:
        return IN_ENV, IN_FILE, self.key


class Kept(logging.Handler):
    """Keeps every line of every logger, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))


def body_of(path: str, model: str, **more: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"messages": SORT, "max_tokens": 9}
    if path == "/v1/responses":
        said = {"input": "sort 1:"}
    elif path == "/v1/completions":
        said = {"prompt": "sort 1:"}
    elif path == "/v1/embeddings":
        said = {"input": "a cat"}
    return {"model": model, **said, **more}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    folder = tmp_path_factory.mktemp("planted")
    (folder / "key").write_text(IN_FILE)
    (folder / "key").chmod(0o600)
    kept = Kept()
    root = logging.getLogger()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch, MockServer() as up:
        patch.setenv("PLANTED", IN_ENV)
        told: dict[str, Any] = {"retries": 0, "timeout": 5.0}
        far = sprat.openai("far", up.url, "mock", key_env="PLANTED", **told)
        filed = sprat.openai("filed", up.url, "mock", key_file=str(folder / "key"), **told)
        claude = sprat.anthropic("claude", up.url, "mock", key_file=str(folder / "key"), **told)
        gone = sprat.openai("gone", "http://127.0.0.1:9/v1", key_env="PLANTED", **told)
        served = of(sprat.cascade(far, filed, trust=sprat.signals.random(), at_least=0.5), store_prompts=True)
        served = replace(served, models={**served.models, "claude": claude, "gone": gone})
        with Store.read(folder / "sprat.db", create=True) as made:
            secret = keys.create(made.engine, "planted")[1]
        gateway = Running(served)

        async def opening() -> Any:
            store = await Store.open(folder / "sprat.db", prompts=True, secrets=secrets_of(served))
            return await keys.Keys.open(store), store

        gateway.app.opening, gateway.app.open_keys = opening, False
        with gateway:
            yield Planted(gateway, up, secret, folder / "sprat.db", kept)
    root.removeHandler(kept)
    root.setLevel(level)


def faults_of(secret: str) -> list[Any]:
    """No fault, and those that an upstream may have, with its key said back where it says anything."""
    said: list[Any] = [{"status": s, "said": f"bad key {secret}!"} for s in (400, 401, 403, 404, 429, 500)]
    return [None, *said, {"garbage": True}, {"reset": True}, {"half": 3}]


def asked(planted: Planted) -> list[str]:
    """Everything that is answered to a round of requests, among them upstreams that say their key back."""
    said: list[str] = []
    known = {"far": IN_ENV, "claude": IN_FILE}  # what an upstream can say back
    for path in ROUTES:
        for model in ("auto", "far", "filed", "claude", "gone", planted.key):
            for fault in faults_of(known[model]) if model in known else [None]:
                planted.up.faults[:] = [fault] if fault else []
                for stream in (False, True) if fault is not None else (False,):
                    told = {"card": True, "thread": planted.key}
                    body = body_of(path, model, stream=stream, user=planted.key, sprat=told)
                    if path == "/v1/embeddings":
                        body.pop("stream")
                    status, headers, text = planted.gateway.post(path, body, authorization=f"Bearer {planted.key}")
                    said.append(f"{status} {headers} {text}")
                    number = headers.get("x-sprat-id")
                    card = planted.gateway.get(f"/sprat/decisions/{number}", authorization=f"Bearer {planted.key}")
                    said.append(f"{card[1]} {card[2]}")
    for path in ("/metrics", "/readyz", "/openapi.json", "/sprat", "/sprat/api/overview"):
        said.append(str(planted.gateway.get(path, x_api_key=planted.key)))
    return said


def test_no_planted_secret_is_in_any_answer_log_or_table(planted: Planted) -> None:
    said = asked(planted)
    # What the client itself said comes back to it where the dialect repeats it (a model's name that is not served).
    ours = [s for s in said if IN_ENV in s or IN_FILE in s]
    assert ours == []
    lines = planted.log.lines  # type: ignore[attr-defined]
    assert [line for line in lines if any(s in line for s in planted.secrets)] == []
    wait_written(planted.file)
    with sqlite3.connect(planted.file) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        rows = [(t, str(row)) for t in tables for row in database.execute(f"select * from {t}")]
    database.close()
    assert len([r for t, r in rows if t == "sprat_prompts"]) > 10
    found = [
        (t, s)
        for t, row in rows
        for s in planted.secrets
        if s in row and not (t == "sprat_prompts" and s == planted.key)
    ]
    assert found == []


def wait_written(file: Path) -> None:
    async def flushed() -> None:
        store = await Store.open(file)
        await store.flush()
        await store.close()

    asyncio.run(asyncio.sleep(0.3))
    asyncio.run(flushed())


@pytest.mark.parametrize("text", ["key sk-sprat-abcdefgh123 here", "Bearer abcdefgh12345", "postgresql://u:secret@h/d"])
def test_what_looks_like_a_secret_is_struck_out_of_what_is_written(text: str) -> None:
    assert not re.search(r"abcdefgh|secret@", struck(text))


def test_a_newline_in_a_name_makes_no_second_line_of_log(planted: Planted) -> None:
    before = len(planted.log.lines)  # type: ignore[attr-defined]
    for name in ("x\nERROR forged", "x\r\nERROR forged", "x\x1b[31mforged"):
        body = body_of(ROUTES[0], name, sprat={"thread": name}, tools=TOOLS)
        planted.gateway.post(ROUTES[0], body, authorization=f"Bearer {planted.key}")
        planted.gateway.get("/v1/models/x%0aERROR%20forged", authorization=f"Bearer {planted.key}")
    lines = planted.log.lines[before:]  # type: ignore[attr-defined]
    assert [line for line in lines if line.lstrip().startswith("ERROR forged")] == []


def test_a_header_is_not_split_by_a_name(planted: Planted) -> None:
    body = body_of(ROUTES[0], "x\r\nset-cookie: a=b")
    _, headers, text = planted.gateway.post(ROUTES[0], body, authorization=f"Bearer {planted.key}")
    assert "set-cookie" not in headers
    assert json.dumps("x\r\nset-cookie: a=b")[1:-1] in json.dumps(text)
