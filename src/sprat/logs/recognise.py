"""Tells by its content, never by its name, what a file of calls is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from . import otel
from .llm_tool import MAGIC, count, tables
from .records import Policy, Row, head, opened, records

_PEEK = 20  # records: in a file of spans the first few may be another program's


@dataclass(frozen=True)
class Understood:
    """What a file is: `format` is a name in FORMATS, or "native" (long rows), "table" or "openai-batch-input".

    `rows_hint` is the number of records where it is cheap to know; some may turn out to be no calls.
    """

    format: str
    rows_hint: int | None
    note: str


def recognise(path: str | Path) -> Understood | None:
    """What the file is, or None. Raises BadInput if it cannot be opened."""
    path = Path(path)
    start = head(path, 1 << 12).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(MAGIC):
        return _database(path)
    if start.startswith(b"PAR1"):
        return Understood("table", None, "a Parquet table")
    if start[:1] in (b"{", b"["):
        return _json(path)
    return _delimited(path, start)


def _database(path: Path) -> Understood | None:
    found = tables(path)
    if not found & {"turns", "responses"} or "conversations" not in found:
        return None
    shape = "turns and messages" if "turns" in found else "responses"
    return Understood("llm", count(path), f"logs.db of the llm command ({shape})")


def _json(path: Path) -> Understood | None:
    skipping = Policy(path, skip_bad=True)
    for _, record in islice(records(skipping), _PEEK):
        if found := _of_record(record):
            return Understood(found[0], _lines(path), found[1])
    return None


def _of_record(record: Row) -> tuple[str, str] | None:
    keys = record.keys()
    if "custom_id" in keys and ("response" in keys or "error" in keys):
        return "openai-batch", "an OpenAI batch's output; its input file is needed too"
    if {"custom_id", "body"} <= keys:
        return "openai-batch-input", "an OpenAI batch's input; give its output with it"
    if {"request_id", "spend", "call_type"} <= keys:
        return "litellm-spend", _stored(record)
    if {"call_type", "messages", "response", "model_parameters"} <= keys:
        return "litellm-payload", "LiteLLM's logging payloads"
    if {"traceId", "startTime", "type"} <= keys:
        return "langfuse", "Langfuse's observations, as its API answers them"
    if otel.looks_like(record):
        return "otel", "OpenTelemetry's spans"
    if record.get("object") == "chat.completion" and "choices" in keys:
        return "openai-stored", "OpenAI's stored completions; they hold no prompts"
    if {"model", "reply"} <= keys and keys & {"prompt", "messages"}:
        return "native", "rows of prompt, model and reply"
    if keys & {"prompt", "messages"}:
        return "table", "rows of prompts with a column per model"
    return None


def _stored(record: Row) -> str:
    kept: Any = record.get("proxy_server_request")
    if isinstance(kept, str):
        kept = json.loads(kept or "{}")
    without = "" if kept else "; the first row was stored without its prompt"
    return f"LiteLLM's spend log{without}"


def _lines(path: Path) -> int | None:
    """The number of lines of a file of JSON lines up to 64 MB; None for other shapes."""
    if path.stat().st_size > 1 << 26 or not _one_a_line(path):
        return None
    with opened(path) as file:
        try:
            return sum(1 for line in file if line.strip())
        except (EOFError, OSError):
            return None


def _one_a_line(path: Path) -> bool:
    first = head(path).split(b"\n", 1)[0]
    try:
        record: Any = json.loads(first)
    except ValueError:
        return False
    return isinstance(record, dict) and not isinstance(cast("Row", record).get("data"), list)


def _delimited(path: Path, start: bytes) -> Understood | None:
    try:
        header = start.split(b"\n", 1)[0].decode()
    except UnicodeDecodeError:
        return None
    names = {n.strip().strip('"') for n in header.split("," if "," in header else "\t")}
    if {"request_id", "spend", "call_type"} <= names:
        return Understood("litellm-spend", None, "LiteLLM's spend log, exported as CSV")
    if len(names) > 1 and names & {"prompt", "messages", "question", "text", "input"}:
        return Understood("table", None, f"a table of {len(names)} columns")
    return None
