"""Reads calls into a Dataset: long rows or a column per model; JSON lines, CSV, Parquet, or another tool's log.

What was understood is said in the dataset's notes. Checked in tests/test_reading.py: read(write(d)) == d.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from ..data import Dataset, Example
from ..errors import BadInput, BadRow
from .cells import CHARS_PER_TOKEN
from .gather import Gather, scored
from .names import Columns, find_columns
from .sources import Source, open_source
from .writing import write

__all__ = ["read", "write"]

_PEEK = 20


def read(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    bounds: tuple[float, float] | None = None,
    group: str | None = None,
    target: str | None = None,
    models: Sequence[str] | None = None,
    prompts_only: bool = False,
) -> Dataset:
    """The calls in a file, rows of one request put together; the notes say what was understood.

    `columns` says our name -> the file's ({"prompt": "question", "gpt-4|score": "gpt4_correct"}), `group` and `target`
    are short for two of them; `models` keeps these alone, and says which bare columns are models; `bounds` declares the
    scores' scale, needed where they are not in [0, 1]; with `prompts_only` calls may be missing.
    Raises BadInput for the file, BadRow for a line (`skip_bad` counts and skips such), MissingExtra for Parquet.
    """
    path = Path(path)
    if bounds is not None and not bounds[0] < bounds[1]:
        raise BadInput(f"The bounds of a score go from low to high, not from {bounds[0]:g} to {bounds[1]:g}.")
    passed: Counter[str] = Counter()
    source = open_source(path, skip_bad, lambda _, why: passed.update([why]))
    given = dict(columns or {}) | {k: v for k, v in (("group", group), ("target", target)) if v}
    found, rows = _layout(path, source, given, models, prompts_only)
    gather = Gather(found, ids=not source.log, bounds=bounds)
    with _without_collector():
        for line, row in rows:
            try:
                gather.add(row)
            except ValueError as error:
                if not skip_bad:
                    raise BadRow(path, line, str(error)) from None
                passed[str(error)] += 1
        examples = gather.examples()
        paired = gather.by_messages(examples) if "id" in found.found and gather.ids else None
    if paired:
        examples = paired
    if models:
        examples = _only(examples, models)
    if not examples:
        raise BadInput(f"{path} holds no usable row.", hint=_most(passed) or "It needs prompt, model and reply.")
    data = Dataset(tuple(examples), path.name, _bounds(path, gather, examples, bounds))
    if len(gather.quality) == 1:
        data = replace(data, quality=next(iter(gather.quality)))
    if models:
        data.require(models)
    return replace(data, notes=_notes(data, source, found, gather, passed, bool(paired)))


@contextmanager
def _without_collector() -> Generator[None]:
    """Millions of live objects are made and none is garbage: looking for it takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _layout(
    path: Path, source: Source, given: Mapping[str, str], models: Sequence[str] | None, prompts_only: bool
) -> tuple[Columns, Any]:
    if source.log and not given:
        return Columns({}, {}, ()), source.rows
    first = list(islice(source.rows, _PEEK))
    if not first:
        raise BadInput(f"{path} holds no row below its header.", hint="It needs at least one.")
    header = list(dict.fromkeys(k for _, row in first for k in row))
    found = find_columns(path, header, [row for _, row in first], given, models, prompts_only)
    return found, chain(first, source.rows)


def _only(examples: list[Example], models: Sequence[str]) -> list[Example]:
    return [replace(e, calls=tuple(c for c in e.calls if c.model in models)) for e in examples]


def _bounds(
    path: Path, gather: Gather, examples: list[Example], given: tuple[float, float] | None
) -> tuple[float, float]:
    """The scores' scale: as given or declared in the rows, else [0, 1] if all are there; never as observed."""
    if len(gather.declared) > 1:
        raise BadInput(f"{path} mixes rows with different bounds of the score.", hint="Give each scale its own file.")
    low, high = given or next(iter(gather.declared), (0.0, 1.0))
    ranges = scored(examples)
    outside = {m: r for m, r in ranges.items() if r[0] < low or r[1] > high}
    if not outside:
        return low, high
    worst = max(outside, key=lambda m: outside[m][1] - outside[m][0])
    seen = f"'{worst}' from {outside[worst][0]:g} to {outside[worst][1]:g}"
    if gather.declared:
        raise BadInput(f"{path} has scores outside its declared bounds {low:g} to {high:g}: {seen}.", hint="Mend them.")
    inside = next((m for m in ranges if m not in outside), None)
    if inside is not None:
        other = f"'{inside}' from {ranges[inside][0]:g} to {ranges[inside][1]:g}"
        raise BadInput(
            f"{path} seems to mix scales of score: {other}, but {seen}.",
            hint="Put them on one scale; if they are, declare it with --bounds LOW,HIGH.",
        )
    raise BadInput(
        f"{path} has scores outside 0 to 1: {seen}.",
        hint="Declare their scale with --bounds LOW,HIGH, say --bounds 1,10.",
    )


def _most(passed: Counter[str]) -> str:
    return "Passed over: " + "; ".join(f"{n:,} because {why}" for why, n in passed.most_common(3)) if passed else ""


def _notes(
    data: Dataset, source: Source, found: Columns, gather: Gather, passed: Counter[str], paired: bool
) -> tuple[str, ...]:
    """What was understood, one sentence each."""
    n_calls = sum(len(e.calls) for e in data)
    shape = "a column per model" if found.wide else "a row per call"
    shown = ", ".join(data.models[:6]) + (", ..." if len(data.models) > 6 else "")
    ranges = scored(data)
    n_scored = sum(r[2] for r in ranges.values())
    low, high = data.bounds
    scores = f"scores in [{low:g}, {high:g}] for {'all' if n_scored == n_calls else f'{n_scored:,}'} calls"
    n_target = sum(e.target is not None for e in data)
    notes = [
        f"{source.what[:1].upper()}{source.what[1:]}, {shape}: {len(data):,} requests, {n_calls:,} calls of "
        f"{len(data.models)} models ({shown}), {scores if n_scored else 'no scores'}, "
        f"{'no targets' if not n_target else f'targets for {n_target:,} requests'}."
    ]
    renamed = [f"{ours} from '{theirs}'" for ours, theirs in found.found.items() if ours != theirs]
    notes += [f"Read {', '.join(renamed)}."] if renamed else []
    unused = ", ".join(found.unused[:8]) + (", ..." if len(found.unused) > 8 else "")
    notes += [f"Columns not used: {unused}."] if unused else []
    tally = gather.tally
    told = {
        "letters": "{n} replies are the recorded answer alone, not the whole text.",
        "guessed tokens": f"Tokens of {{n}} calls are estimates: characters / {CHARS_PER_TOKEN}.",
        "lettered": "The choices were put below {n} prompts, with letters.",
        "repeats": "{n} requests repeat earlier ones; repeats count as one unit.",
        "the same call twice": "{n} rows repeat a call word for word, and were left out.",
        "options": "{n} sampling options were left out where they differ between the calls of one request.",
    }
    notes += [text.format(n=f"{tally[what]:,}") for what, text in told.items() if tally[what]]
    notes += ["Ids are one per call, so calls were put together by their messages."] if paired else []
    notes += [f"{_most(passed)}."] if passed else []
    return tuple(notes)
