"""`sprat replay`: quality, cost and coverage of a way of working on other recorded rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def replay(
    source: str,
    *,
    model: Path,
    at_once: bool = False,
    grade: str | None = None,
    prices: Path | None = None,
    skip_bad: bool = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Answer recorded rows by a way of working, offline, and say its quality, cost and coverage with intervals.

    Example: sprat replay more.jsonl --model study/serve.toml --json

    Parameters
    ----------
    source
        A calls file, or a set by name.
    model
        The TOML file of a way of working, such as study/serve.toml.
    at_once
        Count time and cancelled calls as if asks made together ran concurrently.
    grade
        How replies are scored, as in `sprat study`.
    prices
        A TOML table of dollars per million tokens.
    skip_bad
        Count and skip lines that can't be used.
    as_json
        Print the outcome as JSON.
    """
    from ..config import load
    from ..study.again import again
    from ..tree import duration

    found: dict[str, Any] = again(source, load(model), at_once, grade, prices, skip_bad)
    if as_json:
        print(json.dumps(found, allow_nan=False))
        return
    print(found["model"])
    print(f"answered from the recording: {found['answered']} of {found['rows']} rows")
    for name, count in found["missing"].items():
        each = found["missing_cost"].get(name)
        price = "at an unknown price" if each is None else f"about ${count * each:.4g} in all by its recorded calls"
        print(f"  {count} rows need at least one live call, of '{name}' first: {price}; see sprat collect")
    where = f" on the {found['answered']} rows answered" if found["missing"] else ""
    for label in ("quality", "cost per 1,000 ($)"):
        if found[label]:
            value, low, high = found[label]
            print(f"{label}{where}: {value:.4g} [{low:.4g}, {high:.4g}]")
        else:
            print(f"{label}: unknown")
    print(f"p50 {duration(found['p50'])}, p95 {duration(found['p95'])}")
