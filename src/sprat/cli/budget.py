"""`sprat budget`: what the gateway's budgets have spent, and which setting they call for."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

from cyclopts import App, Parameter

from .keys import console, open_store, plain, unsure

budget = App(
    name="budget",
    help="Show how the gateway's budgets stand.\n\nExample: sprat budget status --store study/sprat.db",
)


@budget.command
def status(
    *, store: str | None = None, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> None:
    """Show what is spent of each budget in its day or month (UTC), and the setting that it calls for.

    Example: sprat budget status --store study/sprat.db

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print them as JSON.
    """
    with open_store(store) as opened:
        from ..gateway.steering.controllers import kept

        rows = kept(opened, time.time())
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        print('No budget has steered anything yet: set all = "50/day" under [budget], or give a key a --budget.')
        return
    from rich.table import Table

    table = Table("budget of", "allows", "spent", "setting", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(plain, (row["scope"], f"${row['budget']:g}/{row['per']}", _spent(row), _setting(row))))
    console().print(table)


def _spent(row: dict[str, Any]) -> str:
    said = f"${row['spent']:.4f} ({row['spent'] / row['budget']:.0%})"
    return said + unsure(row["unknown"], row["at_most"])


def _setting(row: dict[str, Any]) -> str:
    if row["setting"] is None:
        return "none to move along"
    return row["setting"] + ("" if row["certified"] else " (not certified: the promise is suspended)")
