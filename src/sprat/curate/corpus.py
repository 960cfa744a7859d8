"""Documents from JSON lines (plain or gzip) by chunks; what can't be read is set aside with its place and why."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import IO, Any, cast

from ..errors import BadInput

ROWS, BYTES, LONGEST = 1000, 8 << 20, 16 << 20  # a chunk's documents and bytes, and the longest line, in bytes
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that can't be used: where it is, why, and how it begins."""

    file: str
    line: int
    why: str
    begins: str


@dataclass(slots=True)
class Chunk:
    """Lines of one file with their numbers from 1, and those set aside before they were parsed."""

    number: int
    file: str
    lines: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    bad: list[Bad] = field(default_factory=list[Bad])


def paths(sources: Sequence[str | Path]) -> list[Path]:
    """The files meant, patterns and folders opened, each once, in order; raises BadInput where there is none."""
    found: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.name.endswith((".jsonl", ".jsonl.gz", ".ndjson")))
        else:
            inside = [path] if path.exists() else [Path(p) for p in sorted(glob(str(source)))]
        if not inside:
            raise BadInput(f"There is no file {source}.", hint="Give JSON lines, plain or gzip: one document a line.")
        found.update(dict.fromkeys(inside))
    return list(found)


def chunks(files: Sequence[Path], longest: int = LONGEST) -> Iterator[Chunk]:
    """The files' lines, cut where a chunk is full or a file ends, so always in the same places."""
    number = 0
    for path in files:
        chunk, size = Chunk(number, str(path)), 0
        for line, content in _lines(path, longest):
            if isinstance(content, Bad):
                chunk.bad.append(content)
            elif content.strip():
                chunk.lines.append((line, content))
                size += len(content)
            if len(chunk.lines) >= ROWS or size >= BYTES:
                yield chunk
                number += 1
                chunk, size = Chunk(number, str(path)), 0
        if chunk.lines or chunk.bad:
            yield chunk
            number += 1


def _lines(path: Path, longest: int) -> Iterator[tuple[int, bytes | Bad]]:
    number = 0
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if zipped else raw
            while line := file.readline(longest + 1):
                number += 1
                if len(line) <= longest:
                    yield number, line
                    continue
                begins = _begins(line)
                size = len(line)
                while not line.endswith(b"\n") and (line := file.readline(1 << 20)):
                    size += len(line)
                yield number, Bad(str(path), number, f"has {size:,} bytes; at most {longest:,} are read", begins)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield (
            number + 1,
            Bad(str(path), number + 1, "the gzip file is damaged or ends here; what stood before is used", ""),
        )
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from error


def _begins(line: bytes) -> str:
    return line[:_SHOWN].decode("utf-8", "replace").rstrip("\n")


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its id, its text, the whole row that it came in, and its line."""

    id: str
    text: str
    row: dict[str, Any]
    line: int


def parsed(chunk: Chunk, text: str = "text", id: str = "id") -> tuple[list[Document], list[Bad]]:
    """A chunk's documents, and every line that is none; a row without an id is named by file and line."""
    good, bad = list[Document](), list(chunk.bad)
    for number, line in chunk.lines:
        try:
            row: Any = json.loads(line)
        except UnicodeDecodeError:
            bad.append(Bad(chunk.file, number, "is not UTF-8", _begins(line)))
            continue
        except (ValueError, RecursionError):
            bad.append(Bad(chunk.file, number, "is not JSON", _begins(line)))
            continue
        why = _unusable(row, text)
        if why:
            bad.append(Bad(chunk.file, number, why, _begins(line)))
        else:
            name = row.get(id)
            named = f"{Path(chunk.file).name}:{number}" if name is None else str(name)
            good.append(Document(named, row[text], row, number))
    bad.sort(key=lambda b: b.line)
    return good, bad


def _unusable(row: Any, text: str) -> str:
    if not isinstance(row, dict):
        return "is not a JSON object"
    if text not in row:
        return f"has no '{text}', but {', '.join(map(str, list(cast('dict[str, Any]', row))[:6])) or 'nothing'}"
    value: Any = row[text]
    if not isinstance(value, str):
        return f"has a '{text}' that is no text but {type(value).__name__}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"has a '{text}' with half a surrogate pair"
    return ""
