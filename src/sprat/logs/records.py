"""Reads a log file's records with their line numbers: JSON lines, a JSON array, JSON objects in a row, CSV; gzip too.

Checked against truncated, damaged and pretty-printed files in tests/test_logs.py.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ..errors import BadInput, BadRow

Row = dict[str, Any]
OnBad = Callable[[int, str], None]

_CUT = "the gzip file is damaged or cut short"
_NOT_JSON = "not complete JSON (is the file cut short?)"


class Skip(Exception):
    """A record that is no usable call, with the reason: it is counted and passed over, never an error."""


def inner(record: Mapping[str, Any], name: str) -> Row:
    """The object in a field; empty where there is none. Raises ValueError for anything else."""
    found: Any = record.get(name) or {}
    if not isinstance(found, dict):
        raise ValueError(f"{name} is no object")
    return cast("Row", found)


@dataclass(frozen=True)
class Policy:
    """What to do with a bad record (raise BadRow, or count it), and where reasons are counted."""

    path: Path
    skip_bad: bool = False
    on_bad: OnBad = lambda line, why: None

    def bad(self, line: int, why: str) -> None:
        """A record that cannot be read. Raises BadRow unless bad ones are skipped."""
        if not self.skip_bad:
            raise BadRow(self.path, line, why)
        self.on_bad(line, why)

    def each(self, make: Callable[[Row], Iterator[Row]]) -> Iterator[Row]:
        """Every row that `make` finds in the file's records. Raises BadRow."""
        for line, record in records(self):
            yield from self.guard(line, make, record)

    def guard(self, line: int, make: Callable[[Any], Iterator[Row]], record: Any) -> Iterator[Row]:
        """The rows that `make` finds in one record; whatever else a foreign record does to it is a bad record."""
        try:
            yield from list(make(record))
        except Skip as why:
            self.on_bad(line, str(why))
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            self.bad(line, f"not laid out as this format is ({type(error).__name__}: {error})")


def opened(path: Path) -> IO[bytes]:
    """The file's bytes, decompressed where it is gzip by its first two bytes. Raises BadInput."""
    return cast("IO[bytes]", gzip.open(path)) if zipped(path) else path.open("rb")


def zipped(path: Path) -> bool:
    """Whether a file is gzip, by its first two bytes. Raises BadInput."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise BadInput(f"{path} cannot be opened: {error.strerror}.", hint="Give the path of a log file.") from error


def head(path: Path, size: int = 1 << 16) -> bytes:
    """The first bytes of a file, decompressed; of a damaged one, what there is. Raises BadInput."""
    got = b""
    with opened(path) as file:
        try:
            while len(got) < size and (more := file.read(size - len(got))):
                got += more
        except (EOFError, OSError, zlib.error):
            pass
    return got


def records(policy: Policy) -> Iterator[tuple[int, Row]]:
    """(line, record) of every record; a list inside an object's "data" is opened. Raises BadRow, BadInput."""
    start = head(policy.path).removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] not in (b"{", b"["):
        found = _csv(policy)
    elif start[:1] == b"[" or start.split(b"\n", 1)[0].strip() == b"{":
        found = _scan(policy)
    else:
        found = _lines(policy)
    for line, record in found:
        inner = record.get("data")
        if isinstance(inner, list):
            for item in cast("list[Any]", inner):
                if isinstance(item, dict):
                    yield line, cast("Row", item)
                else:
                    policy.bad(line, "an item of 'data' is no object")
        else:
            yield line, record


def _raw(policy: Policy) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of every line; a damaged gzip is a bad line."""
    line = 0
    with opened(policy.path) as file:
        try:
            for line, raw in enumerate(file, 1):
                yield line, raw
        except (EOFError, OSError, zlib.error):
            policy.bad(line + 1, _CUT)


def _text(policy: Policy) -> Iterator[tuple[int, str]]:
    for line, raw in _raw(policy):
        try:
            yield line, raw.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError:
            policy.bad(line, "not UTF-8 text")


def _lines(policy: Policy) -> Iterator[tuple[int, Row]]:
    for line, text in _text(policy):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError:
            policy.bad(line, _NOT_JSON)
            continue
        if isinstance(record, dict):
            yield line, cast("Row", record)
        else:
            policy.bad(line, "not a JSON object")


def _scan(policy: Policy) -> Iterator[tuple[int, Row]]:
    """Objects one after another, with or without an array around them, over any number of lines."""
    text = "".join(t for _, t in _text(policy))
    decode, at, line, counted = json.JSONDecoder().raw_decode, 0, 1, 0
    while True:
        while at < len(text) and (text[at].isspace() or text[at] in "[],"):
            at += 1
        if at >= len(text):
            break
        line, counted = line + text.count("\n", counted, at), at
        try:
            record, at = decode(text, at)
        except ValueError:
            policy.bad(line, _NOT_JSON)
            again = text.find("\n{", at + 1)  # the next object that starts a line
            if again < 0:
                return
            at = again + 1
            continue
        if isinstance(record, dict):
            yield line, cast("Row", record)
        else:
            policy.bad(line, "not a JSON object")
    if text.lstrip()[:1] == "[" and not text.rstrip().endswith("]"):
        policy.bad(line, "the array is not closed (is the file cut short?)")


def _csv(policy: Policy) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(1 << 30)  # a prompt in a cell easily passes the default of 128 KiB
    reader = csv.DictReader(io.StringIO("".join(t for _, t in _text(policy)), newline=""))
    before = 2
    try:
        for record in reader:
            if None in record or None in record.values():
                policy.bad(before, f"the row does not have the header's {len(reader.fieldnames or ())} columns")
            else:
                yield before, dict(record)
            before = reader.line_num + 1
    except csv.Error as error:
        policy.bad(before, f"not CSV ({error})")
