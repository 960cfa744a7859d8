"""The dashboard's reads over a real PostgreSQL say what they say over SQLite."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from dashboard_browser import Shown
from stored import postgresql
from week import fill

from sprat.gateway.dashboard.marks import Marks
from sprat.gateway.dashboard.overview import Overview
from sprat.gateway.ledger.store import Store


def said(shown: Shown, store: Store, now: float) -> dict[str, Any]:
    """What does not depend on when it is read."""
    made = fill(store, 300, now)
    overview, marks = Overview(store), Marks(store)
    found = overview.read(shown.app, "month")
    marks.mark("wait-0", "1,0", now)
    return {
        "totals": found["totals"] | {"dollars": 0.0, "saved": 0.0, "reference": 0.0, "saving": None},
        "saving": [round(v, 9) for v in found["totals"]["saving"]],
        "models": [(m["model"], m["requests"], m["failed"]) for m in found["models"]],
        "failures": {k: v for k, v in found["failures"].items() if k in ("labels", "errors", "escalations")},
        "failed": overview.decisions({"kind": "failed"})["decisions"],
        "found": [d["id"] for d in overview.decisions({"find": "conversation-0\0"})["decisions"]],
        "drawing": (overview.decision(shown.app, made[5].id) or {})["drawing"],
        "waiting": marks.waiting()["waiting"],
    }


@pytest.mark.slow
def test_both_databases_say_the_same(tmp_path: Path) -> None:
    now = time.time()
    shown = Shown(tmp_path)
    with postgresql() as server, Store.read(server.url, create=True) as one, Store.read(shown.path) as other:
        assert said(shown, one, now) == said(shown, other, now)
