"""The `llm` command's logs.db (Simon Willison's): `turns` (0.36) and the older `responses`, which an upgrade keeps.

Checked against databases made by llm 0.36, 0.28 and 0.19.1 (tests/fixtures/logs/make/llm_tool.py).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from .chat import asked, replied, tokens
from .llm_legacy import Legacy
from .llm_messages import Store
from .records import Policy, Row, head, opened, zipped

MAGIC = b"SQLite format 3\0"


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection; a gzipped database is read into memory."""
    if zipped(path):
        with opened(path) as file:
            whole = file.read()
        database = sqlite3.connect(":memory:")
        database.deserialize(whole)
    else:
        database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    return database


def tables(path: Path) -> set[str]:
    """The names of a database's tables; none if it is no SQLite file or a damaged one."""
    if not head(path, 16).startswith(MAGIC):
        return set()
    try:
        with closing(connect(path)) as database:
            return {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    except (sqlite3.Error, OSError, EOFError):
        return set()


def count(path: Path) -> int | None:
    """How many calls the database holds."""
    try:
        with closing(connect(path)) as database:
            names = tables(path) & {"turns", "responses"}
            return sum(database.execute(f"select count(*) from {name}").fetchone()[0] for name in names)
    except sqlite3.Error:
        return None


def read_llm(policy: Policy) -> Iterator[Row]:
    """Native rows of every logged call; "line" in errors is the row's place, the oldest first. Raises BadRow."""
    found, line = tables(policy.path), 0
    try:
        with closing(connect(policy.path)) as database:
            store = Store(database, found)
            for name, make in (("responses", _response), ("turns", _turn)):
                if name not in found:
                    continue
                for row in database.execute(f"select * from {name} order by id"):
                    line += 1
                    yield from policy.guard(line, partial(make, store), dict(row))
    except (sqlite3.Error, OSError, EOFError) as error:
        policy.bad(line + 1, f"the database is damaged ({error})")


def _turn(store: Store, row: Row) -> Iterator[Row]:
    messages = store.chain(row["parent_message_hash"])
    answer = store.chain(row["tip_message_hash"], until=row["parent_message_hash"])
    told: Row = {"content": "".join(m.get("content") or "" for m in answer if m["role"] == "assistant")}
    told["tool_calls"] = [c for m in answer for c in m.get("tool_calls") or ()]
    tools = store.tools("select tool_id from turn_tools where turn_id = ?", row["id"])
    yield _row(store, row, messages, replied(told), row["thread_id"], tools)


def _response(store: Store, row: Row) -> Iterator[Row]:
    legacy = Legacy(store)
    messages = legacy.messages(row)
    told: Row = {"content": row["response"], "tool_calls": legacy.calls(row["id"])}
    tools = store.tools("select tool_id from tool_responses where response_id = ?", row["id"])
    yield _row(store, row, messages, replied(told), row["conversation_id"], tools)


def _row(store: Store, row: Row, messages: list[Row], answer: Row, thread: Any, tools: list[Row]) -> Row:
    options: Row = json.loads(row.get("options_json") or "{}")
    if tools:
        options["tools"] = tools
    if row.get("schema_id"):
        options["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": store.schema(row["schema_id"])},
        }
    made: Row = {"id": row["id"], **asked(messages), "model": row["model"], **answer, **tokens(row)}
    if options:
        made["options"] = options
    if row.get("duration_ms") is not None:
        made["seconds"] = row["duration_ms"] / 1000
    return {**made, "thread": thread} if thread else made
