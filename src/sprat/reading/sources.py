"""Rows of a file with their numbers, told by content: JSON lines, JSON, CSV (gzip too), Parquet, another tool's log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import BadInput, MissingExtra
from ..logs.records import OnBad, Policy, Row, head, records, zipped

_SLICE = 2000


@dataclass(frozen=True)
class Source:
    """What a file is, in words, and its rows; `log` says that they come from another tool's log."""

    what: str
    rows: Iterator[tuple[int, Row]]
    log: bool = False


def open_source(path: Path, skip_bad: bool, on_bad: OnBad) -> Source:
    """Recognise a file by its content. Raises BadInput, BadRow or MissingExtra."""
    if path.is_dir():
        raise BadInput(f"{path} is a folder.", hint="Give a file: JSON lines, CSV, Parquet, or another tool's log.")
    if not path.exists():
        raise BadInput(f"There is no file {path}.", hint="Check the path.")
    start = head(path, 1 << 12)
    if not start.strip():
        why = "is a gzip file with nothing in it, or damaged" if zipped(path) else "is empty"
        raise BadInput(f"{path} {why}.", hint="It needs at least one row of prompt, model and reply.")
    if start.startswith(b"PAR1"):
        return Source("a Parquet table", _parquet(path))
    if found := _log(path, skip_bad, on_bad):
        return found
    if b"\0" in start.split(b"\n", 1)[0]:
        raise BadInput(
            f"{path} is none of the files that can be read: JSON lines, CSV, Parquet, or another tool's log.",
            hint="Export one of these.",
        )
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    rows = records(Policy(path, skip_bad, on_bad))
    if first in (b"{", b"["):
        return Source("JSON lines" if first == b"{" else "a JSON array", _whole_text(rows))
    return Source("a CSV table", ((line, _cells(row)) for line, row in rows))


def _log(path: Path, skip_bad: bool, on_bad: OnBad) -> Source | None:
    from ..logs import FORMATS, read, recognise

    found = recognise(path)
    if found is None or (found.format not in FORMATS and found.format != "openai-batch-input"):
        return None
    rows = read(path, format=found.format, skip_bad=skip_bad, on_bad=on_bad)
    return Source(found.note, enumerate(rows, 1), log=True)


def _cells(row: Row) -> Row:
    """A CSV row: an empty cell says nothing, and one of just two quotes is the empty text."""
    return {k: None if v == "" else "" if v == '""' else v for k, v in row.items()}


def _whole_text(rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    r"""JSON may hold half a surrogate pair (\ud83d) where a tool cut a text: it becomes a replacement character."""
    for line, row in rows:
        yield line, cast("Row", _mended(row)) if _broken(row) else row


def _broken(value: Any) -> bool:
    if isinstance(value, str):
        return not value.isascii() and _unpaired(value)
    if isinstance(value, dict):
        return any(map(_broken, cast("dict[str, Any]", value).values()))
    return isinstance(value, list) and any(map(_broken, cast("list[Any]", value)))


def _unpaired(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_mended(k): _mended(v) for k, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_mended(v) for v in cast("list[Any]", value)]
    return value


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import polars as pl
    except ModuleNotFoundError:
        raise MissingExtra("study", "Reading Parquet") from None
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        said = str(error).split("\n", 1)[0]
        raise BadInput(f"{path} is damaged, or no Parquet table ({said}).", hint="Write it again.") from error
    line = 0
    for piece in table.iter_slices(_SLICE):
        for row in piece.iter_rows(named=True):
            line += 1
            yield line, row
