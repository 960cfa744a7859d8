"""Which metric or judge agrees with people, as one page that opens offline: correlations by level, with intervals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...judging.agreement import PeopleAgreement
from ..judging import Agreement
from .charts import Drawing
from .dots_chart import Dot, dots_chart, dots_words
from .markup import Content, tag
from .numbers import DASH
from .sheet import figure, grid, sheet, write

_SHOWN = ("system, pearson", "summary, spearman", "segment, spearman", "segment, kendall")
_MEANING = (
    "system: of the systems' mean scores; summary: within a document, averaged; segment: of all texts pooled. "
    "Lines are 95 % bootstrap intervals over documents, each by itself; dashed: no agreement."
)
Key = tuple[str, str]


def save(found: Sequence[Agreement], named: str, told: Sequence[Mapping[str, Any]], folder: str | Path) -> Path:
    """Write index.html, agreement.json (`told`) and charts/, each whole or not at all; MissingExtra without altair."""
    drawn = drawings(found)
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    charts = {d.name: d for d in drawn.values()}
    return write(folder, charts, {"agreement.json": text, "index.html": page(found, named, drawn)})


def drawings(found: Sequence[Agreement]) -> dict[Key, Drawing]:
    """A chart for each set and quality: a panel by level, the metrics by their value in the first."""
    out: dict[Key, Drawing] = {}
    for i, key in enumerate(_keys(found)):
        here = [a for a in found if (a.set, a.quality) == key]
        dots = [
            Dot(level, a.metric, e.value, e.low, e.high)
            for level in _SHOWN
            for a in here
            if (e := a.correlations.get(level)) is not None
        ]
        if dots:
            ends = min(0.0, *(d.low for d in dots)), max(0.0, *(d.high for d in dots))
            out[key] = Drawing(f"agreement-{i + 1}", dots_chart(dots, at=0.0, domain=ends), dots_words(dots))
    return out


def _keys(found: Sequence[Agreement]) -> list[Key]:
    return list(dict.fromkeys((a.set, a.quality) for a in found))


def page(found: Sequence[Agreement], named: str, drawn: Mapping[Key, Drawing]) -> str:
    """The whole page."""
    metrics, keys = len({a.metric for a in found}), _keys(found)
    heading = f"How far {metrics} metric{'' if metrics == 1 else 's'} agree with people, by {len(keys)} of their marks."
    told = [
        "Each interval is of one metric by itself: where two lie apart the metrics differ, where they overlap they "
        "may or may not. The last column of the numbers is Williams' p that the best metric is no better than this one."
    ]
    return sheet(
        f"sprat evaluate judge-the-judge: {named}", f"sprat evaluate judge-the-judge · {named}", heading, told,
        _sections(found, drawn),
    )  # fmt: skip


def _sections(found: Sequence[Agreement], drawn: Mapping[Key, Drawing]) -> Iterator[tuple[str, Content]]:
    for key in _keys(found):
        here = [a for a in found if (a.set, a.quality) == key]
        shown = [s for s in _SHOWN if any(a.correlations.get(s) for a in here)]
        rows = [
            [a.metric, *(a.correlations.get(s) or DASH for s in shown), _share(a.accuracy), _p(a.behind)] for a in here
        ]
        what = "pairs" if key[1] == "preference" else "documents"
        content: list[Content] = [figure(drawn[key], _MEANING)] if key in drawn else []
        numbers = tag("details", tag("summary", "The numbers"), grid(["metric", *shown, "pairs right", "p"], rows))
        yield f"{key[0]}: {key[1]} ({here[0].documents:,} {what})", [content, numbers]


def _p(value: float | None) -> str:
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _share(value: Any) -> str:
    """A share of pairs, or an estimate of one, in per cent."""
    if value is None:
        return DASH
    return f"{100 * getattr(value, 'value', value):.1f} %"


def save_people(
    found: Sequence[PeopleAgreement], named: str, told: Sequence[Mapping[str, Any]], folder: str | Path
) -> Path:
    """The same folder for judges of pairs that people compared: each judge's agreement, by set."""
    dots = [Dot(f"{a.set}: agrees with people", a.judge, *a.accuracy[:3]) for a in found]
    drawn = {"agreement": Drawing("agreement", dots_chart(dots, at=0.5), dots_words(dots))}
    rows = [[f"{a.judge}, {a.set}", f"{a.n:,}", a.accuracy, a.kappa or DASH, f"{a.unread:,}"] for a in found]
    caption = "A tie against a choice counts half. Lines are 95 % intervals over prompts; dashed: a coin."
    sections: list[tuple[str, Content]] = [
        ("Does it agree with people?", figure(drawn["agreement"], caption)),
        ("The numbers", grid(["judge, set", "pairs", "agrees", "kappa", "unread"], rows)),
    ]
    title = f"sprat evaluate judge-the-judge: {named}"
    judges = len({a.judge for a in found})
    heading = f"How far {judges} judge{'' if judges == 1 else 's'} agree with people on pairs."
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    page = sheet(title, f"sprat evaluate judge-the-judge · {named}", heading, [], sections)
    return write(folder, drawn, {"agreement.json": text, "index.html": page})
