"""`sprat evaluate judge-the-judge`: which metric agrees with people on a set of judged texts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from ..errors import BadInput

SHOWN = ("system, pearson", "summary, spearman", "segment, spearman", "segment, kendall")


def judge_the_judge(named: str | None, metrics: str | None, as_json: bool) -> None:
    """Print every metric's agreement with people; raises BadInput without a set."""
    from ..study.judging import METRICS, judge_the_judges

    if named is None:
        raise BadInput("judge-the-judge needs a set of judged texts.", hint="Give --set summ_judged, or a folder.")
    asked = [m.strip() for m in metrics.split(",") if m.strip()] if metrics else list(METRICS)
    found = list(judge_the_judges(named, asked))
    if as_json:
        print(json.dumps([_plain(asdict(a)) for a in found]))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for key in dict.fromkeys((a.set, a.quality, a.documents) for a in found):
        here = [a for a in found if (a.set, a.quality, a.documents) == key]
        shown = [s for s in SHOWN if any(a.correlations.get(s) for a in here)]
        title = f"{key[0]}: {key[1]} ({key[2]:,} {'pairs' if key[1] == 'preference' else 'documents'})"
        table = Table("metric", *shown, "pairs right", "best is no better, p", title=title, title_justify="left")
        for a in here:
            accuracy = "" if a.accuracy is None else f"{100 * a.accuracy:.1f} %"
            behind = "" if a.behind is None else f"{a.behind:.3f}"
            table.add_row(a.metric, *(_text(a.correlations.get(s)) for s in shown), accuracy, behind)
        console.print(table)


def _text(e: Any) -> str:
    return "\u2013" if e is None else f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    named = {k: None if e is None else e._asdict() for k, e in told["correlations"].items()}
    return told | {"correlations": named}
