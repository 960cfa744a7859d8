"""Select documents of files towards a target: the rows chosen as they stood, and every document's weight beside."""

from __future__ import annotations

import gzip
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ..errors import BadInput
from ..files import whole
from .corpus import Bad, Chunk, chunks, parsed, paths
from .dsir import Drawn, Settings, drawn
from .ledger import polars
from .ngrams import Features, hasher
from .run import Tell, over_workers


@dataclass(frozen=True)
class Selection:
    """What was drawn from files: the draw, the file of the chosen rows, that of all weights, and the lines of the raw
    files, and of the targets, that could not be read."""

    drawn: Drawn
    out: Path
    weights: Path
    bad: tuple[Bad, ...]
    bad_targets: tuple[Bad, ...]


def select(
    sources: Sequence[str | Path],
    targets: Mapping[str, Sequence[str | Path]],
    out: str | Path,
    keep: int | None = None,
    tokens: int | None = None,
    shares: Mapping[str, float] | None = None,
    settings: Settings | None = None,
    text: str = "text",
    id: str = "id",
    workers: int | None = None,
    tell: Tell | None = None,
) -> Selection:
    """Draw documents of JSON lines by DSIR, of several targets by quota; write the rows chosen to `out` (gzip where it
    ends so), in the order of the files, and `out`.weights.parquet.

    `workers` processes read; they change nothing but the time. Raises BadInput where files don't fit, or change
    meanwhile.
    """
    settings, out = settings or Settings(), Path(out)
    files = paths(sources)
    towards = {name: paths(some) for name, some in targets.items()}
    if any(out.resolve() == p.resolve() for p in (*files, *(p for some in towards.values() for p in some))):
        raise BadInput(f"{out} is one of the files that are read.", hint="Give another file with --out.")
    if not out.parent.is_dir():
        raise BadInput(f"There is no folder {out.parent}.", hint="Make it first, or give another file with --out.")
    pl = polars()
    bad, bad_targets = list[Bad](), list[Bad]()
    work = partial(_features, settings=settings, text=text, id=id)
    with over_workers(work, workers) as read:

        def features(some: Sequence[Path], missed: list[Bad], told: Tell | None = None) -> Iterator[Features]:
            sizes = [p.stat().st_size for p in some]
            for chunk, (found, wrong) in read(chunks(some)):
                missed += wrong
                if told is not None:
                    told(sum(sizes[: some.index(Path(chunk.file))]), sum(sizes))
                yield found

        aims = {name: features(some, bad_targets) for name, some in towards.items()}
        draw = drawn(features(files, bad, tell), aims, keep, tokens, shares, settings, out.parent)
    beside = out.with_name(f"{out.name}.weights.parquet")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        parts = Path(folder)
        whole(out, partial(_write, files=files, draw=draw, parts=parts, zipped=out.suffix == ".gz", text=text, id=id))
        together = pl.scan_parquet(sorted(parts.glob("*.parquet")))
        whole(beside, lambda file: together.sink_parquet(file))
    return Selection(draw, out, beside, tuple(bad), tuple(bad_targets))


def _features(chunk: Chunk, settings: Settings, text: str, id: str) -> tuple[Features, list[Bad]]:
    good, bad = parsed(chunk, text, id)
    return hasher(settings.hash, settings.buckets, settings.ngrams)([d.text for d in good]), bad


def _write(file: IO[bytes], files: Sequence[Path], draw: Drawn, parts: Path, zipped: bool, text: str, id: str) -> None:
    """The rows chosen into the file, and each chunk's weights into the folder."""
    pl = polars()
    packed = gzip.GzipFile("", "wb", 3, file, mtime=0) if zipped else None
    to = cast("IO[bytes]", packed or file)
    target_of = np.full(len(draw.tokens), -1)
    target_of[draw.chosen] = draw.target_of
    names = [t.name for t in draw.towards]
    at = 0
    for chunk in chunks(files):
        good, _ = parsed(chunk, text, id)
        here = slice(at, at + len(good))
        at += len(good)
        if at > len(target_of):
            break
        lines = dict(chunk.lines)
        for document, target in zip(good, target_of[here].tolist(), strict=True):
            if target >= 0:
                to.write(lines[document.line].strip() + b"\n")
        columns: dict[str, Any] = {
            "id": [d.id for d in good],
            "file": [chunk.file] * len(good),
            "line": [d.line for d in good],
            "tokens": draw.tokens[here],
            **{f"log_weight.{name}": draw.log_weights[here, i] for i, name in enumerate(names)},
            "chosen_for": [None if t < 0 else names[t] for t in target_of[here].tolist()],
        }
        frame = pl.DataFrame(columns, schema_overrides={"id": pl.String, "file": pl.String, "chosen_for": pl.String})
        frame.write_parquet(parts / f"{chunk.number:09d}.parquet")
    if at != len(target_of):
        raise BadInput("The files have changed while they were read.", hint="Run it again when they are at rest.")
    if packed is not None:
        packed.close()


def named(targets: Sequence[str | Path]) -> dict[str, list[str | Path]]:
    """Target files by name: a file's own without its endings; the n-th of the same name has its number."""
    names = [Path(t).name.split(".")[0] or str(t) for t in targets]
    seen = Counter[str]()
    out: dict[str, list[str | Path]] = {}
    for target, name in zip(targets, names, strict=True):
        seen[name] += 1
        out[name if names.count(name) == 1 else f"{name}-{seen[name]}"] = [target]
    return out
