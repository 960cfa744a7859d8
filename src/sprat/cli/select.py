"""`sprat curate select`: draw, from many documents, those that look like a target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..errors import BadInput, nearest
from .progress import telling

_METHODS = ("dsir",)


def select(
    *sources: str,
    target: Sequence[str] = (),
    method: str = "dsir",
    keep: int | None = None,
    tokens: int | None = None,
    out: Path | None = None,
    hash: str = "sha256",
    seed: int = 0,
    top: Annotated[bool, Parameter(negative="")] = False,
    separate: Annotated[bool, Parameter(negative="")] = False,
    share: Sequence[float] = (),
    least_tokens: int = 100,
    laplace: float = 0.0,
    buckets: int = 10_000,
    ngrams: int = 2,
    text: str = "text",
    id: str = "id",
    workers: int | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Draw documents so that they look like a target, by importance resampling (DSIR, arXiv 2302.03169).

    Example: sprat curate select raw/*.jsonl.gz --target good.jsonl --keep 1000 --out like-good.jsonl.gz

    Writes the rows drawn, as they stood, and beside them OUT.weights.parquet: every document's log weight and tokens.

    Parameters
    ----------
    sources
        Files, patterns or folders of JSON lines, plain or gzip, one document a line.
    target
        A file, pattern or folder of documents like those that are wanted; may be given several times.
    method
        How to choose: dsir.
    keep
        How many documents to draw.
    tokens
        Or how many tokens, as WordPunct counts them; the document that would pass it is not drawn.
    out
        The file to write, gzip where it ends in .gz.
    hash
        sha256 draws what the authors' package draws; fast is several times as quick, and ranks nearly the same.
    seed
        Of the noise; the same seed draws the same documents, with any number of workers.
    top
        Keep those with the highest weights, without noise.
    separate
        Draw for each --target apart, by quota, and not for all together.
    share
        With --separate: each target's share, in their order; by their n-grams unless given.
    least_tokens
        Shorter documents are never drawn.
    laplace
        A pseudo-count added to the target's n-grams.
    buckets
        How many buckets n-grams are hashed into.
    ngrams
        The longest n-gram, in words.
    text
        The column of the text, in the targets too.
    id
        The column of the id.
    workers
        How many processes read; as many as there are cores unless given.
    as_json
        Print the findings as JSON.
    """
    if not sources or not target or out is None:
        raise BadInput(
            "sprat curate select needs files, a target and a file to write.",
            hint="Try: sprat curate select raw/*.jsonl.gz --target good.jsonl --keep 1000 --out drawn.jsonl",
        )
    if method not in _METHODS:
        raise BadInput(f"There is no method '{method}'.", hint=nearest(method, _METHODS))
    if workers is not None and workers < 1:
        raise BadInput("--workers is at least 1.")
    if share and (not separate or len(share) != len(target)):
        raise BadInput("--share gives each --target's share, and needs --separate.")
    from ..curate import Settings
    from ..curate import select as run
    from ..curate.select import named

    settings = Settings(hash, buckets, ngrams, least_tokens, laplace, seed, top)
    targets = named(target) if separate else {"target": list(target)}
    shares = dict(zip(targets, share, strict=True)) if share else None
    with telling() as tell:
        found = run(
            sources,
            targets,
            out,
            keep,
            tokens,
            shares,
            settings,
            text,
            id,
            workers,
            lambda done, of: tell("reading", done, of),
        )
    print(json.dumps(_plain(found), ensure_ascii=False)) if as_json else _show(found)
    return 0


def _plain(found: Any) -> dict[str, Any]:
    draw = found.drawn
    return {
        "documents": len(draw.tokens),
        "tokens": int(draw.tokens.sum()),
        "short": draw.short,
        "drawn": len(draw.chosen),
        "drawn_tokens": int(draw.tokens[draw.chosen].sum()),
        "bad": len(found.bad),
        "bad_targets": len(found.bad_targets),
        "targets": [{**asdict(t), "kl_reduction": t.reduction} for t in draw.towards],
        "out": str(found.out),
        "weights": str(found.weights),
    }


def _show(found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    plain, console = _plain(found), Console()
    console.print(
        f"{plain['drawn']:,} of {plain['documents']:,} documents drawn, {plain['drawn_tokens']:,} of "
        f"{plain['tokens']:,} tokens; {plain['short']:,} were too short.",
        highlight=False,
    )
    for some in (found.bad, found.bad_targets):
        if some:
            console.print(
                f"{len(some):,} lines could not be read: {some[0].file}, line {some[0].line}, {some[0].why}"
                f"{'; and others' if len(some) > 1 else ''}.",
                highlight=False,
                soft_wrap=True,
            )
    table = Table(box=None, header_style="bold")
    heads = ("target", "drawn", "effective size", "KL to all", "to the draw", "to a random one")
    for name in heads:
        table.add_column(name, justify="left" if name == "target" else "right")
    for t in found.drawn.towards:
        far = (f"{v:.3f}" for v in (t.from_raw, t.from_drawn, t.from_random))
        table.add_row(t.name, f"{t.drawn:,}", f"{t.effective:,.1f}", *far)
    console.print(table)
    console.print(
        f"The documents are in {found.out}, every document's weight in {found.weights}.",
        highlight=False,
        soft_wrap=True,
    )
