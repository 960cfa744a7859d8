"""`sprat study`: the cheapest way of working that keeps the quality asked for, with its certificate."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import BadInput


def study(
    source: str,
    *,
    small: str | None = None,
    large: str | None = None,
    peers: str = "",
    keep: float | None = None,
    within: float | None = None,
    confidence: float = 0.95,
    max_p95: str | None = None,
    prices: Path | None = None,
    grade: str | None = None,
    encoder: str = "static",
    models: Path | None = None,
    bounds: str | None = None,
    columns: str | None = None,
    skip_bad: bool = False,
    watch: bool = False,
    labels: Path | None = None,
    texts: Annotated[bool, Parameter(negative="")] = False,
    out: Path = Path("study"),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Find the cheapest way of working that keeps the quality asked for, from recorded calls.

    Example: sprat study calls.jsonl --small qwen3-4b --large gpt-5 --keep 0.98 --confidence 0.95

    Leaves a folder with index.html (open it), study.json, certificate.json, charts and serve.toml. With nothing
    certified the verdict is "not shown", serve.toml is the large model alone, and the exit code is still 0.

    Parameters
    ----------
    source
        A calls file (JSON lines, CSV, Parquet, or another tool's log), or a set by name: aquarium, mmlu-pro, ...
    small
        The cheap model whose answers may be enough.
    large
        The reference, whose quality is to be kept.
    peers
        Other models that may be asked too, separated by commas.
    keep
        The share of the large model's quality to keep; 0.98 unless --within is given.
    within
        The loss allowed instead, in points of 100.
    confidence
        The chance that the promise holds.
    max_p95
        The slowest 95th percentile allowed, such as 2s or 800ms.
    prices
        A TOML table of dollars per million tokens, with its date.
    grade
        How replies are scored: recorded, exact, choice, number, f1, regex:PATTERN, agreement,
        judge:MODEL (as in sprat ask --model), or module:function.
    encoder
        What turns prompts into vectors: static (embedded), tfidf, or a sentence-transformers model.
    models
        The file that the calls were collected with: serve.toml then asks its models, decoders too.
    bounds
        The scores' scale where it is not 0 to 1, such as 1,10.
    columns
        What columns are called here, such as prompt=question,target=gold.
    skip_bad
        Count and skip lines that can't be used instead of stopping at the first.
    watch
        Label disagreements in the terminal, the most useful ones first, and see the bound tighten; needs no scores.
    labels
        Where --watch keeps the labels; beside the calls unless given.
    texts
        Keep prompts of some rows beside serve.toml, for decision cards where [gateway] neighbour_texts = true.
    out
        The folder to write.
    as_json
        Print the findings as JSON.
    """
    from ..study.job import study as job
    from ..study.report import terminal
    from ..study.report.save import as_json as rendered
    from .progress import telling

    if watch:
        from .watch import label

        if keep is not None:
            raise BadInput(
                "--watch can't show --keep: a ratio needs the large model's own score; labels say which is better.",
                hint="Give --within POINTS.",
            )
        asked = [p for p in peers.split(",") if p]
        return label(
            source,
            small,
            large,
            asked,
            within,
            confidence,
            skip_bad,
            bounds=bounds_of(bounds),
            columns=renamed(columns),
            kept=labels,
            out=out,
            as_json=as_json,
        )
    writable(out)
    with telling() as tell:
        done = job(
            source,
            small=small,
            large=large,
            peers=[p for p in peers.split(",") if p],
            keep=keep,
            within=within,
            confidence=confidence,
            max_p95=_seconds(max_p95),
            prices=prices,
            grade=grade,
            encoder=encoder,
            models=models,
            bounds=bounds_of(bounds),
            columns=renamed(columns),
            skip_bad=skip_bad,
            command=shlex.join(["sprat", *sys.argv[1:]]),
            tell=tell,
        )
        done.save(out, texts)
    if as_json:
        print(rendered(done.result))
    else:
        terminal.show(done.result, out)
    return None


def writable(folder: Path) -> None:
    """Fail before the work where its result could not be written; raises BadInput."""
    import tempfile

    parent = next((p for p in (folder, *folder.absolute().parents) if p.exists()), Path("/"))
    try:  # permissions alone don't tell: a file system may be read-only
        tempfile.TemporaryFile(dir=parent).close()
    except OSError as error:
        hint = "Give another folder with --out."
        raise BadInput(f"{folder} can't be written: {error.strerror}.", hint=hint) from None


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(ms|s|)\s*", text)
    if not match or not float(match[1]) > 0:
        raise BadInput(f"--max-p95 is '{text}'; it needs a time.", hint="Such as 2s or 800ms.")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def bounds_of(text: str | None) -> tuple[float, float] | None:
    """The two numbers of --bounds; raises BadInput for anything else."""
    if text is None:
        return None
    try:
        low, high = (float(x) for x in text.split(","))
    except ValueError:
        raise BadInput(f"--bounds is '{text}'; it needs two numbers.", hint="Such as --bounds 1,10.") from None
    return low, high


def renamed(text: str | None) -> dict[str, str] | None:
    """--columns as a dictionary from our names to the file's; BadInput for what is no pair."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(eq and ours and theirs for ours, eq, theirs in pairs):
        raise BadInput(f"--columns is '{text}'; it needs pairs.", hint="Such as --columns prompt=question,target=gold.")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
