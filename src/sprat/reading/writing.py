"""Writes a dataset as long rows, whole or not at all: JSON lines (.jsonl, .jsonl.gz), CSV or Parquet, by the name."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..core import Reply, Request
from ..data import Call, Dataset, Example
from ..errors import BadInput, MissingExtra
from ..files import whole

Row = dict[str, Any]


def write(dataset: Dataset, path: str | Path) -> None:
    """Write every call as a row, so that `read` gives the same dataset; name, notes and `raw` are not kept.

    Raises BadInput for an unknown ending, ids that repeat, or values that JSON can't hold; MissingExtra for Parquet.
    """
    path = Path(path)
    name = path.name.lower()
    ids = [e.id for e in dataset]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise BadInput(f"Two examples have the id '{twice}', so {path} could not be read again.")
    if name.endswith((".jsonl", ".jsonl.gz", ".ndjson")):
        fill = _jsonl(dataset, zipped=name.endswith(".gz"))
    elif name.endswith((".csv", ".csv.gz")):
        fill = _csv(dataset, zipped=name.endswith(".gz"))
    elif name.endswith(".parquet"):
        fill = _parquet(dataset)
    else:
        raise BadInput(f"{path} ends in none of .jsonl, .jsonl.gz, .csv, .csv.gz, .parquet.", hint="Rename it.")
    try:
        whole(path, fill)
    except OSError as error:
        raise BadInput(
            f"{path} can't be written: {error.strerror}.", hint="Check the folder and its rights."
        ) from error
    except (TypeError, UnicodeEncodeError) as error:
        raise BadInput(f"{path} can't hold these data: {error}.") from error


def rows(dataset: Dataset) -> Iterator[Row]:
    """A row per call, with what is not known left out; an example without calls gives one row without a model."""
    common: Row = {}
    if dataset.bounds != (0.0, 1.0):
        common["bounds"] = list(dataset.bounds)
    if dataset.quality != "score":
        common["quality"] = dataset.quality
    for example in dataset:
        asked = _asked(example) | common
        if not example.calls:
            yield {**asked, "model": None}
        for call in example.calls:
            yield {**asked, **_called(call)}


def _asked(example: Example) -> Row:
    request = example.request
    row: Row = {"id": example.id}
    only = request.messages[0].get("content") if len(request.messages) == 1 else None
    if isinstance(only, str) and only and Request.of(only).messages == request.messages:
        row["prompt"] = only
    else:
        row["messages"] = [dict(m) for m in request.messages]
    told = {
        "options": dict(request.options) or None,
        "thread": request.thread,
        "group": request.group,
        "answered_by": request.answered_by,
        "unit": example.unit,
        "target": example.target,
        "meta": dict(example.meta) or None,
    }
    return row | {k: v for k, v in told.items() if v is not None}


def _called(call: Call) -> Row:
    row: Row = {"model": call.model, "reply": call.reply.text}
    if call.sample:
        row["sample"] = call.sample
    if call.options is not None:
        row["sampling"] = dict(call.options)
    if call.reply.model != call.model:
        row["reported_model"] = call.reply.model
    return row | _replied(call.reply)


def _replied(reply: Reply) -> Row:
    usage = reply.usage
    told: Row = {
        "score": reply.score,
        "cost": reply.cost,
        "seconds": reply.seconds,
        "usage": usage and {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        "tokens": None if reply.tokens is None else list(reply.tokens),
        "logprobs": None if reply.logprobs is None else list(reply.logprobs),
        "top_logprobs": None if reply.top_logprobs is None else [dict(t) for t in reply.top_logprobs],
        "tool_calls": [dict(t) for t in reply.tool_calls] or None,
        "finish": reply.finish,
        "error": reply.error or None,
        "cancelled": reply.cancelled or None,
        "by": reply.by or None,
        "because": reply.because or None,
        "asks": [{"model": a.model, "reply": a.text, **_replied(a)} for a in reply.asks] or None,
    }
    return {k: v for k, v in told.items() if v is not None}


def _jsonl(dataset: Dataset, zipped: bool) -> Any:
    def fill(file: IO[bytes]) -> None:
        for row in rows(dataset):
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")

    return _zipped(fill) if zipped else fill


def _csv(dataset: Dataset, zipped: bool) -> Any:
    def fill(file: IO[bytes]) -> None:
        header = list(dict.fromkeys(k for row in rows(dataset) for k in row))
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        table = csv.DictWriter(text, header)
        table.writeheader()
        for row in rows(dataset):
            table.writerow({k: '""' if v == "" else _cell(v) for k, v in row.items()})
        text.detach()

    return _zipped(fill) if zipped else fill


def _parquet(dataset: Dataset) -> Any:
    try:
        import polars as pl
    except ModuleNotFoundError:
        raise MissingExtra("study", "Writing Parquet") from None

    def fill(file: IO[bytes]) -> None:
        table = pl.DataFrame([{k: _cell(v) for k, v in row.items()} for row in rows(dataset)], infer_schema_length=None)
        table.write_parquet(file)

    return fill


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _zipped(fill: Any) -> Any:
    def into(file: IO[bytes]) -> None:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
            fill(packed)

    return into
