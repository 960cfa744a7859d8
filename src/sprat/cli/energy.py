"""`sprat energy`: what recorded calls drew, by model, with a low and a high; without a file, what is measured here."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import BadInput

if TYPE_CHECKING:
    from ..energy import Energy, Meter, Served
    from ..energy.calls import Drawn


def energy(
    source: str | None = None,
    *,
    prices: Path | None = None,
    active: str | None = None,
    batch: int | None = None,
    pue: float | None = None,
    grid: str | None = None,
    columns: str | None = None,
    skip_bad: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Watt-hours per 1,000 recorded calls of each model, with a low, a high, and how they were found.

    Example: sprat energy calls.jsonl --active gpt-4o=50:200/200:1800,phi-3-mini=3.8 --grid 56

    Without a file: what this machine can measure, and what is assumed where it can't.

    Parameters
    ----------
    source
        A calls file (JSON lines, CSV, Parquet, or another tool's log), or a set by name.
    prices
        A price table whose models may say watts (times seconds), or active and parameters (in billions).
    active
        Billions of parameters active per token, by model; after a slash those in all. A range has a colon. Models whose
        name says their size (llama-3.1-8b, qwen3-30b-a3b) need none.
    batch
        Requests that the server answers at once; unless given, 64, the range from 16 to 256.
    pue
        The data centre's overhead; unless given, 1.14, the range from 1.09 to 1.20.
    grid
        Grams of CO2 equivalent per kWh, or a range such as 30:60, for the column of carbon.
    columns
        What columns are called here, such as prompt=question,target=gold.
    skip_bad
        Count and skip lines that can't be used.
    as_json
        Print the findings as JSON.
    """
    from ..energy import of_calls
    from ..prices import read_prices
    from ..reading import read
    from .study import renamed

    carbon = _grid(grid)
    if source is None:
        _here(as_json)
        return
    table = read_prices(prices) if prices is not None else None
    served = dict(_sizes(active, batch, pue))
    data = read(source, columns=renamed(columns), skip_bad=skip_bad)
    unmet = [m for m in served if m not in data.models]
    if unmet:
        raise BadInput(f"--active names '{unmet[0]}'; {source} has {', '.join(data.models[:8])}.")
    found = of_calls(data, table, _resized(served, data.models, table, batch, pue))
    if as_json:
        print(json.dumps({"per": 1000, "models": [_plain(d, carbon) for d in found], "notes": list(data.notes)}))
        return
    _show(found, carbon)


def _numbers(text: str, what: str) -> tuple[float, float]:
    try:
        each = [float(v) for v in text.split(":")]
    except ValueError:
        each = []
    if len(each) not in (1, 2) or not all(math.isfinite(v) for v in each):
        raise BadInput(f"{what} is '{text}'; it needs a number, or a range such as 30:60.")
    return each[0], each[-1]


def _grid(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    least, most = _numbers(text, "--grid")
    if not 0 <= least <= most:
        raise BadInput(f"--grid is '{text}'; it needs grams per kWh, 0 or more, the lowest first.")
    return least, most


def _sizes(text: str | None, batch: int | None, pue: float | None) -> Generator[tuple[str, Served]]:
    from ..energy import Served

    for part in (text or "").split(",") if text is not None else ():
        name, equals, size = part.strip().rpartition("=")
        if not equals or not name:
            raise BadInput(f"--active has '{part.strip()}'; it needs NAME=BILLIONS, or NAME=ACTIVE/IN ALL.")
        some, _, whole = size.partition("/")
        bounds = _numbers(some, f"--active of {name}")
        yield name, Served.of(bounds, _numbers(whole, f"--active of {name}") if whole else None, batch, pue, "as given")


def _resized(
    served: Mapping[str, Served], models: tuple[str, ...], table: Any, batch: int | None, pue: float | None
) -> dict[str, Served]:
    """What is given by model; with --batch or --pue also what prices and names say, served so."""
    from ..energy import Served, parameters_in
    from ..energy.calls import served_by

    if batch is None and pue is None:
        return dict(served)
    found = dict(served)
    for name in models:
        price = table.of(name) if table is not None else None
        if name in found or (price is not None and price.watts is not None):
            continue
        known = (served_by(price) if price is not None else None) or parameters_in(name)
        if known is not None:
            found[name] = Served.of(known.active, known.total, batch, pue, known.note)
    return found


def _plain(drawn: Drawn, grid: tuple[float, float] | None) -> dict[str, Any]:
    told = {"model": drawn.model, "calls": drawn.calls, "known": drawn.known, **drawn.energy.summary()}
    if grid is None:
        return told
    grams = drawn.energy.carbon(grid)
    return told | {"grams": None if grams is None else dict(zip(("value", "low", "high"), grams, strict=True))}


def _show(found: list[Drawn], grid: tuple[float, float] | None) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Energy per 1,000 calls", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for head in ("model", "calls", "Wh [low, high]", *(["g CO2e [low, high]"] if grid else []), "how"):
        table.add_column(head)
    for drawn in found:
        known = f"{drawn.calls:,}" if drawn.known == drawn.calls else f"{drawn.known:,} known of {drawn.calls:,}"
        cells = [escape(drawn.model), known, _spread(_hours(drawn.energy))]
        cells += [_spread(drawn.energy.carbon(grid))] if grid else []
        table.add_row(*cells, drawn.energy.method)
    console = Console()
    console.print(table)
    for drawn in found:
        console.print(f"{drawn.model}: {'; '.join(drawn.energy.notes)}.", markup=False, highlight=False)
    if any(d.energy.joules is not None and d.energy.low != d.energy.high for d in found):
        print("The ranges are of the assumptions, not confidence intervals.")


def _hours(energy: Energy) -> tuple[float, float, float] | None:
    if energy.joules is None or energy.low is None or energy.high is None:
        return None
    return energy.joules / 3600, energy.low / 3600, energy.high / 3600


def _spread(values: tuple[float, float, float] | None) -> str:
    if values is None:
        return "unknown"
    value, low, high = values
    return f"{value:.3g}" if low == high else f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _here(as_json: bool) -> None:
    from ..energy import share
    from ..energy.metering import counters

    told, assumed = counters(), share()
    if as_json:
        listed = [{"counter": c.name, "readable": not why, "why": why or None} for c, why in told]
        core = {"watts": assumed.watts, "low": assumed.low, "high": assumed.high, "note": assumed.note}
        print(json.dumps({"counters": listed, "per_core": core}))
        return
    for counter, why in told:
        print(f"{counter.name}: {why or 'counted by the hardware'}")
    if not told:
        print("No counter of energy here: neither NVML's for a graphics processor nor RAPL's for the processor.")
    print(f"Else CPU seconds times a core's share, estimated. {assumed.note}.")


@contextmanager
def metered(wanted: bool) -> Generator[Meter | None]:
    """A meter around a command's work where --energy asks for one."""
    if not wanted:
        yield None
        return
    from ..energy import meter

    with meter() as running:
        yield running


def said(running: Meter | None) -> list[str]:
    """What the meter found, in lines to print; none where nobody asked."""
    if running is None:
        return []
    parts = [f"  {p}: {'; '.join(p.notes)}." for p in running.parts]
    return [f"Energy of this machine's work: {running.energy}", *parts]
