"""`sprat cache`: what the gateway's cache gave, and how sure it is that semantic hits are right."""

from __future__ import annotations

import json
from typing import Annotated, Any

from cyclopts import App, Parameter

from .keys import open_store

cache = App(name="cache", help="Show what the gateway's cache does.\n\nExample: sprat cache status")
_KINDS = {"hit": "exact", "semantic": "semantic", "shared": "shared"}


@cache.command
def status(
    *, store: str | None = None, as_json: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> None:
    """Show the kept replies that were given, and the measured share of false semantic hits.

    Example: sprat cache status

    Parameters
    ----------
    store
        The store: a file or postgresql://...; else $SPRAT_STORE, else sprat.db in the current folder.
    as_json
        Print everything as JSON.
    """
    with open_store(store) as opened:
        from ..gateway.caching.semantic import SETTING, evidence_in

        evidence = evidence_in(opened.setting(SETTING))
        given = opened.facts("cache", tuple(_KINDS))
    found: dict[str, Any] = {_KINDS[k]: n for k, n in given.items()}
    told = None if evidence is None else evidence.status()
    if as_json:
        print(json.dumps({"given": found, "semantic": told}))
        return
    counts = ", ".join(f"{name} {n:,}" for name, n in found.items())
    print(f"Given without asking a model, among the exchanges that are kept: {counts}.")
    print("No semantic hit was verified yet." if told is None else told["sentence"])
