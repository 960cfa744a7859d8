"""`sprat audit`: is a safety scorer right, calibrated, and as fair to one group as to another?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .study import writable


def audit(
    source: Path,
    *,
    scorer: str = "toxicity",
    text: str = "text",
    label: str = "unsafe",
    unsafe: str | None = None,
    group: str | None = None,
    unit: str | None = None,
    threshold: float = 0.5,
    fewest: int = 30,
    skip_bad: bool = False,
    out: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Audit a safety scorer on labelled rows: AUROC, calibration, and each group's false alarms and misses.

    Example: sprat audit rows.csv --scorer toxicity --label class --unsafe 0,1 --group mentions --out audit

    Parameters
    ----------
    source
        JSON lines, CSV or Parquet with a text and a label in every row.
    scorer
        toxicity, injection (at another rate of unsafe texts: toxicity@0.02), pii (of some kinds: pii:US_SSN+PERSON), or
        hub:MODEL (with the labels that count: hub:MODEL=toxic+insult).
    text
        The column of texts.
    label
        The column that says whether a text is unsafe: 1 or 0, true or false, yes or no.
    unsafe
        The label's values that are unsafe, separated by commas; every other value is safe.
    group
        A column of groups, or "mentions": which groups of people a text names, and words of a dialect.
    unit
        A column: rows with one value of it belong together, such as an author's.
    threshold
        From which probability on a text is flagged.
    fewest
        The safe (or unsafe) rows that a group needs for its rate to be said.
    skip_bad
        Count and skip rows without a text or a label.
    out
        A folder for index.html, charts and audit.json (needs sprat[study]).
    as_json
        Print the findings as JSON.
    """
    from ..study.auditing import audited
    from ..study.report.audit_page import as_dict, save
    from .progress import telling

    if out is not None:
        writable(out)
    with telling() as tell:
        found = audited(
            source, scorer, text=text, label=label, group=group, unit=unit, unsafe=unsafe, threshold=threshold,
            fewest=fewest, skip_bad=skip_bad, progress=lambda done, total: tell("judging", done, total),
        )  # fmt: skip
    if out is not None:
        save(found, out)
    if as_json:
        print(json.dumps(as_dict(found), ensure_ascii=False, allow_nan=False))
        return
    _show(found, out)


def _show(found: Any, out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..study.report.audit_page import number, verdict

    console = Console(highlight=False, width=max(80, shutil.get_terminal_size((100, 40)).columns))
    console.print(f"{found.scorer} · {found.rows:,} rows, {found.unsafe:,} unsafe · flagged from {found.threshold:g}\n")
    table = Table("", "value (95 % interval)", box=None, pad_edge=False, header_style="dim")
    for name, e in found.measures.items():
        table.add_row(name, number(e))
    console.print(table)
    console.print(f"\n{verdict(found)}", markup=False)
    if found.groups:
        table = Table("group", "rate", "rows", "here", "others", "p", box=None, pad_edge=False, header_style="dim")
        for g in found.groups:
            if g.rate is None or g.p is None:
                table.add_row(g.group, g.which, f"{g.rows:,}", "too few", "", "")
            else:
                style = "bold yellow" if g.differs else None
                table.add_row(
                    g.group, g.which, f"{g.rows:,}", number(g.rate), number(g.others), f"{g.p:.3f}", style=style
                )
        console.print(table)
    for note in found.notes:
        console.print(note, markup=False)
    if out is not None:
        console.print(f"\nOpen {out}/index.html")
