"""Curate files into a folder: chunks spread over processes, each written whole, so that a killed run goes on.

Chunks are cut by content alone and written in order, so however often a run was killed, and with however many workers,
its bytes are the same. Checked by killing it in tests/curate/test_killed_curation.py.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SpratError
from .corpus import LONGEST, Bad, Chunk, chunks, parsed, paths
from .ledger import Entry, Folder, Scored, edits_of
from .recipe import Recipe
from .rules import Judged, judge

Judgement = tuple[list[Scored], list[Bad]]
Tell = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Summary:
    """What became of the documents: how many came, stayed, could not be read; by reason, how many it dropped first and
    how many it would drop alone."""

    documents: int
    kept: int
    characters: int
    kept_characters: int
    bad: int
    edited: int
    first: dict[str, int]
    alone: dict[str, int]


def judged(texts: Sequence[str], recipe: Recipe) -> list[Judged]:
    """The recipe's judgement of texts at hand."""
    return [judge(text, recipe.rules, recipe.words) for text in texts]


def curate(
    sources: Sequence[str | Path],
    recipe: Recipe,
    out: str | Path,
    workers: int | None = None,
    longest: int = LONGEST,
    tell: Tell | None = None,
) -> Folder:
    """Judge every document of the files and write the folder `out`; what is written already is not done again.

    `workers` processes judge, as many as there are cores unless given; `tell` hears of the bytes read, of how many.
    Raises BadInput where files or folder don't fit, or there is no room left.
    """
    files = paths(sources)
    folder = Folder(Path(out))
    about = [{"path": str(p), "bytes": p.stat().st_size} for p in files]
    folder.create({"recipe": recipe.described(), "files": about, "longest": longest, "finished": False})
    total = sum(p.stat().st_size for p in files)
    # Chunks of packed files are told by the share of their file, which only its end tells.
    done, before = 0, ""
    sizes = {str(p): p.stat().st_size for p in files}
    with over_workers(partial(documents, recipe=recipe), workers) as read:
        for chunk, found in read(c for c in chunks(files, longest) if _wanted(folder, c)):
            if before and chunk.file != before:
                done += sizes[before]
            before = chunk.file
            folder.write(chunk.number, *found)
            if tell is not None:
                tell(done, total)
    if tell is not None:
        tell(total, total)
    folder.told(finished=True)
    return folder


def _wanted(folder: Folder, chunk: Chunk) -> bool:
    return not folder.done(chunk.number)


def documents(chunk: Chunk, recipe: Recipe) -> Judgement:
    """A chunk's documents after the recipe, and the lines that are none."""
    good, bad = parsed(chunk, recipe.text, recipe.id)
    out: list[Scored] = []
    for d in good:
        found = judge(d.text, recipe.rules, recipe.words)
        edits = edits_of(found.edits, d.text) if found.edits else ()
        entry = Entry(d.id, chunk.file, d.line, len(d.text), found.kept, found.reasons, (), found.scores, edits)
        out.append(Scored(entry, d.row if found.text is d.text else {**d.row, recipe.text: found.text}))
    return out, bad


@contextmanager
def over_workers(
    work: Callable[[Chunk], T], workers: int | None
) -> Generator[Callable[[Iterable[Chunk]], Iterator[tuple[Chunk, T]]]]:
    """What pairs chunks with their `work`, in order: over forked processes, or in turn where there is one core."""
    many = workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if many < 2 or sys.platform != "linux":
        yield lambda asked: ((c, work(c)) for c in asked)
        return
    with ProcessPoolExecutor(many, multiprocessing.get_context("fork"), initializer=_quiet) as pool:

        def spread(asked: Iterable[Chunk]) -> Iterator[tuple[Chunk, T]]:
            waiting = deque[tuple[Chunk, Future[T]]]()
            for chunk in asked:
                waiting.append((chunk, pool.submit(work, chunk)))
                if len(waiting) > 2 * many:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()

        try:
            yield spread
        except BrokenProcessPool:
            raise SpratError(
                "A worker was killed, perhaps for want of memory.",
                hint="What is written stays: run the same command again, with fewer --workers.",
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _quiet() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def summary(folder: Folder) -> Summary:
    """The folder's funnel, from its ledger."""
    totals: dict[str, Any] = dict.fromkeys(("documents", "kept", "characters", "kept_characters", "edited"), 0)
    names = [limit.score for limit in folder.limits]
    first, alone = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for number in folder.numbers():
        frame = folder.frame(number)
        totals["documents"] += len(frame)
        totals["kept"] += int(frame["kept"].sum())
        totals["characters"] += int(frame["characters"].sum() or 0)
        totals["kept_characters"] += int(frame.filter(frame["kept"])["characters"].sum() or 0)
        totals["edited"] += int((frame["edits"].list.len() > 0).sum())
        for reasons, restored in zip(frame["reasons"].to_list(), frame["restored"].to_list(), strict=True):
            left = [r for r in reasons if r not in restored]
            if left:
                first[left[0]] += 1
            if len(left) == 1:
                alone[left[0]] += 1
    bad = sum(1 for _ in folder.quarantined())
    return Summary(**totals, bad=bad, first=first, alone=alone)
