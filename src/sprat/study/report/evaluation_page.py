"""An evaluation as one page that opens offline: means with intervals, spreads, and the lowest rows marked in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ...data import Dataset
from ...measure.evaluation import Evaluation, Line
from ...measure.resampling import Estimate
from ...safety.naming import named as scorer_of
from .charts import Drawing
from .dots_chart import Dot, dots_chart, dots_words, spread_chart, spread_words
from .markup import Content, tag
from .numbers import DASH
from .sheet import figure, grid, notes, sheet, write

Span = tuple[int, int]
_STYLE = """
mark { background: none; color: inherit; border-bottom: 3px solid var(--orange); font-weight: 600; }
mark.private { border: 1px solid var(--grey); padding: 0 .25em; font-weight: 400; color: var(--muted); }
.low { border-top: 1px solid var(--rule); padding: .75rem 0 .5rem; max-width: 52rem; }
.low p { margin: .15rem 0; max-width: none; }
.low .said { max-height: 22rem; overflow-y: auto; }
"""


def save(found: Evaluation, data: Dataset, folder: str | Path) -> Path:
    """Write index.html, evaluation.json and charts/, each file whole or not at all; MissingExtra without altair."""
    drawn = drawings(found)
    summary = found.summary()
    if _private(found):
        summary["lowest"] = [_places(low) for low in found.lowest]
    told = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return write(folder, drawn, {"evaluation.json": told, "index.html": page(found, data, drawn)})


def _private(found: Evaluation) -> bool:
    return any(low.get("measure") == "pii" for low in found.lowest)


def _places(low: Mapping[str, Any]) -> dict[str, Any]:
    """A low row without what it says, which may be private: its scores and the places of its spans."""
    if low.get("measure") == "pii":
        return dict(low)
    kept = {k: v for k, v in low.items() if k not in ("words", "unsupported")}
    if "unsupported" in low:
        kept["unsupported"] = [{"span": u["span"], "support": u["support"]} for u in low["unsupported"]]
    return kept


def drawings(found: Evaluation) -> dict[str, Drawing]:
    """The means, and the spread of the rows' scores, where any is known."""
    dots = [Dot(line.measure, line.model, e.value, e.low, e.high) for line in found.lines if (e := _mean(line))]
    scores = _scores(found)
    out: dict[str, Drawing] = {}
    if dots:
        out["means"] = Drawing("means", dots_chart(dots), dots_words(dots))
    if scores:
        out["spread"] = Drawing("spread", spread_chart(scores), spread_words(scores))
    return out


def _scores(found: Evaluation) -> dict[str, dict[str, Any]]:
    """The rows' known scores by measure and model."""
    out: dict[str, dict[str, list[float]]] = {}
    for row in found.rows:
        for name, value in row.items():
            if name not in ("id", "model") and isinstance(value, (int, float)):
                out.setdefault(name, {}).setdefault(str(row["model"]), []).append(float(value))
    return {n: {m: np.array(v) for m, v in of.items()} for n, of in out.items()}


def page(found: Evaluation, data: Dataset, drawn: Mapping[str, Drawing]) -> str:
    """The whole page."""
    models = list(dict.fromkeys(line.model for line in found.lines))
    measures = list(dict.fromkeys(line.measure for line in found.lines))
    heading = f"{_count(len(models), 'model')} on {_count(len(data), 'row')}, by {_count(len(measures), 'measure')}."
    return sheet(
        f"sprat evaluate: {data.name}",
        f"sprat evaluate · {data.name}",
        heading,
        [f"Models: {', '.join(models)}." if models else "No model has a reply with a score."],
        _sections(found, data, drawn),
        foot=f"data {data.hash}",
        style=_STYLE,
    )


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _sections(found: Evaluation, data: Dataset, drawn: Mapping[str, Drawing]) -> Iterator[tuple[str, Content]]:
    if "means" in drawn:
        caption = "Each model's mean over its rows; lines are 95 % bootstrap intervals by unit, each by itself."
        yield "How do the models score?", figure(drawn["means"], caption)
    if "spread" in drawn:
        caption = "The share of rows in each of twenty bins; one height is the same share within a measure."
        yield "How are the scores spread?", figure(drawn["spread"], caption)
    yield "All means", grid(["measure, model", "rows", "mean"], _means(found))
    hide = scorer_of("pii").spans if _private(found) else None
    for title, lows in _by_measure(found.lowest).items():
        first = "likeliest unsafe" if "p" in lows[0] else "lowest"
        yield f"The {first} rows by {title}", [_low(low, data, hide) for low in lows]
    yield from notes(found.notes)


def _means(found: Evaluation) -> list[list[str | Estimate]]:
    return [[f"{line.measure}, {line.model}", f"{line.n:,}", _mean(line) or DASH] for line in found.lines]


def _mean(line: Line) -> Estimate | None:
    if line.mean is None or line.low is None or line.high is None:
        return None
    return Estimate(line.mean, line.low, line.high, line.n)


def _by_measure(lowest: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    out: dict[str, list[Mapping[str, Any]]] = {}
    for low in lowest:
        out.setdefault(str(low.get("measure", "BERTScore")), []).append(low)
    return out


def _low(low: Mapping[str, Any], data: Dataset, hide: Callable[[str], Iterable[Any]] | None) -> Content:
    """One row: what it scored, and its text with the words or sentences that lower it underlined."""
    value, name = next((low[k], n) for k, n in (("f", "F"), ("p", "P(unsafe)"), ("support", "support")) if k in low)
    said = "unknown" if value is None else f"{value:.3f}"
    head = tag("p", f"{low['model']}, row {low['id']}: {name} {said}", class_="note")
    if low.get("measure") == "pii":  # neither the words nor what stands around them
        kinds = ", ".join(str(w) for w, _ in low["words"]) or "no single words"
        return tag("div", head, tag("p", f"{kinds} (not shown)"), class_="low")
    text = _text(data, str(low["id"]), str(low["model"]))
    if "unsupported" in low:
        spans = [(int(u["span"][0]), int(u["span"][1])) for u in low["unsupported"]]
        near = [
            tag("p", f"{u['support']:.2f}, closest: ", marked(str(u["evidence"])[:400], [], hide), class_="note")
            for u in low["unsupported"]
            if u["evidence"]
        ]
    else:
        spans, near = [(int(a), int(b)) for a, b in low["spans"]], []
    return tag("div", head, tag("p", marked(text, spans, hide), class_="said", tabindex="0"), near, class_="low")


def _text(data: Dataset, row: str, model: str) -> str:
    example = next(e for e in data if e.id == row)
    reply = example.reply(model)
    return "" if reply is None else reply.text or ""


def marked(text: str, spans: Sequence[Span], hide: Callable[[str], Iterable[Any]] | None = None) -> list[Content]:
    """The text with its spans in <mark>; what `hide` finds is replaced by its kind, marked or not."""
    private = [] if hide is None else [(s.start, s.end, str(s.kind)) for s in hide(text)]
    ends = {0, len(text), *(i for a, b in spans for i in (a, b)), *(i for a, b, _ in private for i in (a, b))}
    cuts = sorted(i for i in ends if 0 <= i <= len(text))
    out: list[Content] = []
    last: str | None = None
    for start, end in pairwise(cuts):
        kind = next((k for a, b, k in private if a <= start and end <= b), None)
        if kind is not None:
            out.append(tag("mark", kind, class_="private") if kind != last else None)
        elif any(a <= start and end <= b for a, b in spans):
            out.append(tag("mark", text[start:end]))
        else:
            out.append(text[start:end])
        last = kind
    return out
