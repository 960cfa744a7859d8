"""`sprat calibrate`: how far a confidence can be trusted, a map that mends it, and from where on to answer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .study import bounds_of, renamed, writable


def calibrate(
    source: str,
    *,
    model: str | None = None,
    confidence: str | None = None,
    by: str | None = None,
    risk: float = 0.1,
    sure: float = 0.95,
    grade: str | None = None,
    bounds: str | None = None,
    columns: str | None = None,
    skip_bad: bool = False,
    out: Path = Path("calibration"),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Calibrate a model's confidence on recorded calls, and show how far it can be trusted before and after.

    Example: sprat calibrate calls.jsonl --model qwen3-4b --confidence logprob --risk 0.05

    One half of the rows teaches, the other measures. Leaves a folder with index.html (open it), calibration.json,
    charts and trust.toml, the calibrated signal: sprat.config.load("calibration/trust.toml").

    Parameters
    ----------
    source
        A calls file (JSON lines, CSV, Parquet, or another tool's log) with scores or targets, or a set by name.
    model
        Whose confidence; may be left out where the file has one model.
    confidence
        A signal by name (logprob, answer_features, agreement:PEER, ...), or a column of numbers from 0 to 1. Unless
        given: the column `confidence`, else logprob where it was recorded, else answer_features.
    by
        The map: platt, temperature, beta, isotonic or reconfidence; the best on the teaching rows unless given.
    risk
        The share of the answers given that may be wrong: where to answer from on is certified for it.
    sure
        The chance that the certificate holds.
    grade
        How replies are scored: recorded, exact, choice, number, f1, regex:PATTERN, judge:MODEL, or module:function.
    bounds
        The scores' scale where it is not 0 to 1, such as 1,10.
    columns
        What columns are called here, such as prompt=question,target=gold.
    skip_bad
        Count and skip lines that can't be used instead of stopping at the first.
    out
        The folder to write.
    as_json
        Print the findings as JSON.
    """
    from ..study.calibrating import calibrate as job
    from ..study.report.calibration_page import as_json as rendered
    from ..study.report.calibration_page import save

    writable(out)
    found = job(
        source,
        model=model,
        confidence=confidence,
        by=by,
        risk=risk,
        delta=1 - sure,
        grade=grade,
        columns=renamed(columns),
        bounds=bounds_of(bounds),
        skip_bad=skip_bad,
    )
    save(found, out)
    if as_json:
        print(rendered(found))
    else:
        _show(found, out)


def _show(found: Any, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..study.calibrating import WAS
    from ..study.report.calibration_page import mending, number, verdict

    wide = max(80, shutil.get_terminal_size((100, 40)).columns)
    console = Console(highlight=False, width=wide)
    console.print(f"{found.name} · {found.model} · {found.confidence} · right = {found.quality}", style="dim")
    console.print(f"Taught by {found.taught:,} rows, measured on {found.rows:,} others.\n", style="dim")
    shown = found.abstention.threshold is not None
    console.print(found.abstention.sentence, style="bold" if shown else "bold yellow")
    console.print(f"{verdict(found)}\n")
    table = Table("", WAS, f"by {found.chosen} (95 % intervals)", box=None, pad_edge=False, header_style="dim")
    for name, was in found.measures[WAS].items():
        table.add_row(name, number(was), number(found.measures[found.chosen][name]))
    console.print(table)
    console.print(f"\n{mending(found)}")
    for group, mended in list(zip(found.groups, found.mended, strict=True))[:3]:
        said = f"said {group.confidence:.2f}, {group.rate.value:.2f} right, now says {mended.confidence:.2f}"
        console.print(f"  {group.rule} (n = {group.rows}): {said}.")
    console.print(f"\nOpen {out}/index.html; use sprat.config.load('{out}/trust.toml').")
